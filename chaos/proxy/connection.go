package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/kafka"
	"example.com/goldenpath/chaos/proxy/internal/link"
)

// connection is a client and, once dialed, its connection to the dependency.
type connection struct {
	endpoint *endpoint
	proxy    *Proxy
	number   uint64 // of the proxy's connections; set by admit
	client   *net.TCPConn

	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	ended  chan struct{} // closed when nothing of it runs any more

	mu       sync.Mutex
	effect   effect
	met      map[uint64]bool // faults that it was counted for
	timer    *time.Timer     // ends it, for the fault whose key is due
	due      uint64
	upstream *net.TCPConn
	up, down *link.Pipe
	closed   bool
}

// wait is something to wait for until a change of faults is in force.
type wait struct {
	connection *connection
	done       <-chan struct{}
}

func newConnection(ep *endpoint, client *net.TCPConn) *connection {
	ctx, cancel := context.WithCancel(context.Background())
	return &connection{
		endpoint: ep, proxy: ep.proxy, client: client,
		ctx: ctx, cancel: cancel,
		ended: make(chan struct{}),
		met:   make(map[uint64]bool),
	}
}

// start serves the connection in a goroutine of its own.
func (c *connection) start() {
	if !c.proxy.admit(c) {
		c.cancel()
		// It is refused; that it could not be told so changes nothing.
		_ = c.client.SetLinger(0)
		_ = c.client.Close()
		return
	}
	go c.serve()
}

// set makes the connection follow an effect. It does not block. What it returns
// is to be waited for.
func (c *connection) set(next effect) []wait {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return []wait{{c, c.ended}}
	}
	for _, f := range next.acting {
		if !c.met[f.seed] {
			c.met[f.seed] = true
			f.hits.Add(1)
		}
	}
	was := c.effect
	c.effect = next
	fault, after := next.deadline()
	// What was sent in the silence is lost, so a connection cannot go on where
	// it was: its client would wait for ever for an answer to a request that
	// never arrived, or read the middle of an answer as the beginning of one.
	heard := was.up.Silent && !next.up.Silent || was.down.Silent && !next.down.Silent
	if next.refuse != nil || heard || next.reset != nil && after == 0 {
		c.close(true)
		return []wait{{c, c.ended}}
	}
	c.limit(fault, after)
	if c.up == nil {
		return nil // the pipes will be made with it
	}
	return []wait{{c, c.up.Set(next.up)}, {c, c.down.Set(next.down)}}
}

// limit ends the connection after a while, counted from when the fault first
// acted. c.mu is held.
func (c *connection) limit(f *fault, after time.Duration) {
	var key uint64
	if f != nil {
		key = f.key
	}
	if key == c.due {
		return
	}
	c.due = key
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if f != nil {
		reset := f.spec.Type == chaos.Reset
		c.timer = time.AfterFunc(after, func() { c.end(reset) })
	}
}

// abort resets the connection on both sides.
func (c *connection) abort() { c.end(true) }

// end closes the connection on both sides, with a reset or in good order.
func (c *connection) end(reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(reset)
}

// close is end with c.mu held. Once it is closed it does nothing.
func (c *connection) close(reset bool) {
	if c.closed {
		return
	}
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.cancel()
	if c.up != nil {
		c.up.Abort()
		c.down.Abort()
	}
	for _, conn := range []*net.TCPConn{c.client, c.upstream} {
		if conn == nil {
			continue
		}
		if reset {
			// What is unsent is thrown away, and an RST goes out.
			_ = conn.SetLinger(0)
		}
		// All that can fail is a connection that has failed already.
		_ = conn.Close()
	}
}

// serve carries the connection from beginning to end.
func (c *connection) serve() {
	defer c.proxy.forget(c)
	defer close(c.ended)
	defer c.abort()
	c.mu.Lock()
	closed, now := c.closed, c.effect
	c.mu.Unlock()
	tell := c.proxy.engine.tell
	switch {
	case closed && now.refuse != nil:
		tell(Event{Kind: Refused, Proxy: c.proxy.name, Fault: now.refuse.report()})
	case closed && now.reset != nil:
		tell(Event{Kind: Refused, Proxy: c.proxy.name, Fault: now.reset.report()})
	case closed:
	case now.silent():
		// The dependency is not dialed: it would have a connection open for each
		// attempt of a client that gives up and tries again. The copy ends when
		// the client leaves or the connection is closed.
		_, _ = io.Copy(io.Discard, c.client)
	default:
		if err := c.dial(); err == nil {
			c.carry()
		} else if c.ctx.Err() == nil {
			tell(Event{Kind: Unreachable, Proxy: c.proxy.name, Err: err})
		}
	}
}

// dial connects to the dependency and makes the pipes.
func (c *connection) dial() error {
	dialer := net.Dialer{Timeout: c.proxy.engine.config.DialTimeout}
	address := c.endpoint.upstream()
	conn, err := dialer.DialContext(c.ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("dial %s: %w", c.proxy.name, err)
	}
	upstream := conn.(*net.TCPConn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.Join(link.ErrAborted, upstream.Close())
	}
	c.upstream = upstream
	requests, responses := io.Reader(c.client), io.Reader(upstream)
	if c.proxy.kind == "kafka" {
		session := kafka.NewSession(brokers{c.proxy, c.ctx})
		requests, responses = session.Requests(requests), session.Responses(responses)
	}
	library := c.proxy.engine.library
	c.up = link.New(library, requests, c.client, upstream, c.effect.up)
	c.down = link.New(library, responses, upstream, c.client, c.effect.down)
	return nil
}

// carry moves bytes until both directions have ended, then closes both sides.
// The end of one direction is passed on as a half-close: the other may have an
// answer to deliver. An error of either is passed on as a reset of both.
func (c *connection) carry() {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		err := c.down.Run()
		if errors.Is(err, link.ErrSilenced) {
			return // the dependency has closed, which the client is not to learn
		}
		c.settle(err)
	}()
	c.settle(c.up.Run())
	<-answered
	c.end(false)
}

// settle acts on the end of a direction.
func (c *connection) settle(err error) {
	switch {
	case err == nil:
	case errors.Is(err, link.ErrCut):
		c.end(false) // what was let through is to arrive
	default:
		c.abort()
	}
}
