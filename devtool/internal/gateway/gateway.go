// Package gateway is the front door of a local stack: it holds requests while
// there is no backend to send them to, sends them on to the one there is, and
// changes backends without a request noticing.
//
// It speaks HTTP/1.1 and HTTP/2 without TLS (RFC 9113, prior knowledge) to both
// sides, each request over the protocol it came with: gRPC, Connect, gRPC-Web,
// event streams, upgrades and trailers pass. It never listens anywhere but on
// loopback, adds no CORS headers and has no place in production.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Config.
const (
	DefaultHoldTimeout = 30 * time.Second
	DefaultMaxHeld     = 1024
)

// Limits on what a client may do to a connection. There is none on how long a
// request takes: a handler may stream, or stand at a breakpoint.
const (
	readHeaderTimeout = 10 * time.Second
	clientIdleTimeout = 2 * time.Minute
)

// Config says how a Gateway behaves. The zero value is fit for use.
type Config struct {
	// HoldTimeout is how long a request waits for a backend before it is
	// answered with 503. 0: DefaultHoldTimeout.
	HoldTimeout time.Duration
	// MaxHeld is how many requests may wait at a time; one more is answered
	// with 503 at once. 0: DefaultMaxHeld.
	MaxHeld int
	// Hint is what the gateway's own answers tell people to type next.
	// "": "devtool logs server".
	Hint string
	// Now is the clock that Event.Time and Event.Waited are told by.
	// nil: time.Now.
	Now func() time.Time
	// Rand makes the ids of answers to requests that brought none.
	// nil: crypto/rand.
	Rand io.Reader
	// OnEvent is told what happens. It is called on the goroutine of a request
	// or of Swap and must return at once. nil: nobody is told.
	OnEvent func(Event)
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	Swapped EventKind = "swapped" // new requests go to Backend; "" means that they wait
	Waited  EventKind = "waited"  // a request was held, and goes to Backend now
	Refused EventKind = "refused" // a held request was answered with 503
	Lost    EventKind = "lost"    // Backend broke the connection of a request
)

// Event is something that happened at the gateway.
type Event struct {
	Time    time.Time
	Kind    EventKind
	Backend string
	Method  string        // of the request; "" for Swapped
	Path    string        // of the request
	Waited  time.Duration // how long the request was held
	Err     error         // why, for Refused and Lost
}

// Stats counts requests since New.
type Stats struct {
	Requests int64  // that arrived
	Held     int64  // that had to wait, once each
	Dropped  int64  // that failed because no backend came in time or because theirs was lost
	InFlight int64  // that a backend is at work on, retired ones included
	Waiting  int64  // that wait now
	Holding  bool   // Hold is in force
	Backend  string // where new requests go; "" when there is none
}

// Gateway is the front door. Its methods may be called from any goroutine.
type Gateway struct {
	config Config
	gate   gate
	proxy  *httputil.ReverseProxy
	server *http.Server
	end    context.CancelFunc // ends every request's context
	fresh  freshConns
	idSeed sync.Mutex // guards config.Rand

	requests atomic.Int64
	dropped  atomic.Int64
}

// New returns a gateway with no backend: what arrives waits for Swap.
func New(c Config) *Gateway {
	if c.HoldTimeout <= 0 {
		c.HoldTimeout = DefaultHoldTimeout
	}
	if c.MaxHeld <= 0 {
		c.MaxHeld = DefaultMaxHeld
	}
	if c.Hint == "" {
		c.Hint = "devtool logs server"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	g := &Gateway{config: c, gate: newGate(c.MaxHeld), fresh: freshConns{conns: map[net.Conn]bool{}}}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     (*forwarder)(g),
		FlushInterval: -1, // a streamed piece is worth nothing late
		BufferPool:    &bufferPool{},
		ErrorHandler:  g.refuse,
		ErrorLog:      log.New(io.Discard, "", 0), // refuse tells OnEvent
	}
	life, end := context.WithCancel(context.Background())
	g.end = end
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	g.server = &http.Server{
		Handler:                      g,
		Protocols:                    &protocols,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  clientIdleTimeout,
		DisableGeneralOptionsHandler: true, // OPTIONS * is the backend's to answer
		ConnState:                    g.fresh.note,
		BaseContext:                  func(net.Listener) context.Context { return life },
		ErrorLog:                     log.New(io.Discard, "", 0), // clients that send garbage
	}
	return g
}

// Serve answers on l, which must listen on a loopback address, until Shutdown;
// then it returns nil. It closes l. It may be called for several listeners.
func (g *Gateway) Serve(l net.Listener) error {
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		l.Close()
		return fmt.Errorf("serve the gateway on %s: it listens on loopback addresses alone", l.Addr())
	}
	if err := g.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the gateway on %s: %w", l.Addr(), err)
	}
	return nil
}

// Shutdown closes the listeners, answers the requests that wait with 503 and
// lets those in flight end. When ctx is done first, their connections are cut
// and the error says so. Either way nothing of the gateway runs afterwards.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.gate.close()
	g.fresh.closeAll()
	err := g.server.Shutdown(ctx)
	if err == nil {
		// The server does not know of upgraded connections.
		select {
		case <-g.gate.empty:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	g.end()
	if err != nil {
		g.server.Close()
		err = fmt.Errorf("shut the gateway down: requests in flight were cut: %w", err)
	}
	<-g.gate.empty
	return err
}

// Stats returns the counts as they are now.
func (g *Gateway) Stats() Stats {
	s := g.gate.stats()
	s.Requests, s.Dropped = g.requests.Load(), g.dropped.Load()
	return s
}

func (g *Gateway) event(e Event) {
	e.Time = g.config.Now()
	g.config.OnEvent(e)
}

// freshConns are the connections that have not carried a request yet. Browsers
// open some in advance; the server's own Shutdown would wait 5 s for each.
type freshConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

func (f *freshConns) note(c net.Conn, s http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case s != http.StateNew:
		delete(f.conns, c)
	case f.closed:
		c.Close()
	default:
		f.conns[c] = true
	}
}

func (f *freshConns) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.conns {
		c.Close()
	}
}

// bufferPool lends the buffers that responses are copied through.
type bufferPool struct{ pool sync.Pool }

const copyBuffer = 32 << 10

// Get is httputil.BufferPool's.
func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[copyBuffer]byte); ok {
		return b[:]
	}
	return make([]byte, copyBuffer)
}

// Put is httputil.BufferPool's.
func (p *bufferPool) Put(b []byte) {
	if cap(b) >= copyBuffer {
		p.pool.Put((*[copyBuffer]byte)(b[:copyBuffer]))
	}
}
