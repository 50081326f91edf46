package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// endpoint is a port of a proxy. While a fault keeps it closed, clients are
// refused by the kernel as by a dependency that is not there, and the port is
// reserved, as far as the system can, so that no other process gets it.
type endpoint struct {
	proxy  *Proxy
	addr   *net.TCPAddr
	broker string // the dependency behind it; empty is the proxy's

	mu       sync.Mutex
	listener *net.TCPListener // nil while closed
	reserved io.Closer
}

func newEndpoint(p *Proxy, l *net.TCPListener, broker string) *endpoint {
	return &endpoint{proxy: p, addr: l.Addr().(*net.TCPAddr), broker: broker, listener: l}
}

// upstream is where connections to this port are led.
func (ep *endpoint) upstream() string {
	if ep.broker != "" {
		return ep.broker
	}
	return ep.proxy.Upstream()
}

// serve starts to accept from the listener that is open. The engine must not be
// closed.
func (ep *endpoint) serve() {
	l := ep.listener
	ep.proxy.engine.tasks.Go(func() { ep.accept(l) })
}

// set opens or closes the port.
func (ep *endpoint) set(open bool) error {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if open == (ep.listener != nil) {
		return nil
	}
	if !open {
		err := ep.listener.Close()
		ep.listener = nil
		// Without a reservation the port is as free as it is on systems that
		// have none, and opening it again may fail.
		ep.reserved, _ = reserve(ep.addr)
		return err
	}
	l, err := net.ListenTCP("tcp", ep.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	ep.listener = l
	if ep.reserved != nil {
		err = ep.reserved.Close()
		ep.reserved = nil
	}
	ep.serve()
	return err
}

// close gives the port up.
func (ep *endpoint) close() error {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	var errs []error
	if ep.listener != nil {
		errs = append(errs, ep.listener.Close())
		ep.listener = nil
	}
	if ep.reserved != nil {
		errs = append(errs, ep.reserved.Close())
		ep.reserved = nil
	}
	return errors.Join(errs...)
}

// accept serves connections until the listener is closed.
func (ep *endpoint) accept(l *net.TCPListener) {
	pause := 5 * time.Millisecond
	for {
		client, err := l.AcceptTCP()
		switch {
		case err == nil:
			pause = 5 * time.Millisecond
			newConnection(ep, client).start()
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		// Most likely there are no file descriptors left. Others may end soon.
		e := ep.proxy.engine
		e.tell(Event{Kind: ListenFailed, Proxy: ep.proxy.name, Err: fmt.Errorf("accept: %w", err)})
		select {
		case <-time.After(pause):
			pause = min(2*pause, time.Second)
		case <-e.done:
			return
		}
	}
}
