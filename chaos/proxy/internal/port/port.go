// Package port holds a TCP port that a dependency is behind, open or closed.
package port

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Port is a TCP port that can be closed and opened again. While it is closed,
// clients are refused by the kernel as by a server that is not there, and it is
// reserved, as far as the system can, so that no other process gets it.
type Port struct {
	addr *net.TCPAddr

	mu       sync.Mutex
	listener *net.TCPListener // nil while closed
	reserved io.Closer
}

// New takes over the port of a listener, which is the Port's to close.
func New(l *net.TCPListener) *Port {
	return &Port{addr: l.Addr().(*net.TCPAddr), listener: l}
}

// Addr is the address, which stays the same.
func (p *Port) Addr() *net.TCPAddr { return p.addr }

// Open opens the port and returns its listener, or nil when it is open already.
func (p *Port) Open() (*net.TCPListener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil, nil
	}
	l, err := net.ListenTCP("tcp", p.addr)
	if err != nil {
		return nil, fmt.Errorf("open port: %w", err)
	}
	p.listener = l
	return l, p.unreserve()
}

// Shut closes the port until Open. Connections are refused when it returns.
func (p *Port) Shut() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	// Without a reservation the port is as free as on a system that has none:
	// opening it again may fail, and says so.
	p.reserved, _ = reserve(p.addr)
	return err
}

// Close gives the port up.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.listener != nil {
		err = p.listener.Close()
		p.listener = nil
	}
	return errors.Join(err, p.unreserve())
}

// unreserve ends the reservation. p.mu is held.
func (p *Port) unreserve() error {
	if p.reserved == nil {
		return nil
	}
	err := p.reserved.Close()
	p.reserved = nil
	return err
}
