package postgres

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
)

// sockets are the connections that the pool has dialled and not closed, those
// included that pgx still closes in the background: it gives a server that fell
// silent 15 seconds to say goodbye, which is too long for a process that ends.
type sockets struct {
	mu   sync.Mutex
	open map[*socket]bool
}

func newSockets() *sockets { return &sockets{open: map[*socket]bool{}} }

type dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// watch returns a dial whose connections are remembered until they are closed.
func (s *sockets) watch(d dial) dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		k := &socket{Conn: c, set: s}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open[k] = true
		return k, nil
	}
}

// closeAll closes what is open, whatever it is in the middle of.
func (s *sockets) closeAll() {
	s.mu.Lock()
	open := s.open
	s.open = map[*socket]bool{}
	s.mu.Unlock()
	for k := range open {
		_ = k.Conn.Close() // nobody is left to hear of it
	}
}

type socket struct {
	net.Conn
	set *sockets
}

// Close is net.Conn's.
func (k *socket) Close() error {
	k.set.mu.Lock()
	delete(k.set.open, k)
	k.set.mu.Unlock()
	return k.Conn.Close()
}

// SyscallConn is syscall.Conn's, for alive.
func (k *socket) SyscallConn() (syscall.RawConn, error) {
	if c, ok := k.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
