// Package gatetest stands between a client and a server in a test, and breaks
// the line in the ways that networks do. It knows nothing of protocols.
package gatetest

import (
	"net"
	"sync"
	"testing"
	"time"
)

type mode int

const (
	open mode = iota
	silent
	deaf
	refusing
)

// Gate is a TCP listener on 127.0.0.1 that forwards to a server. It ends with
// its test. Safe for concurrent use.
type Gate struct {
	upstream string
	addr     string
	wg       sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond // mode, or closed
	mode     mode
	closed   bool
	listener net.Listener
	pairs    map[*pair]bool
}

type pair struct {
	client, server net.Conn
	gone           bool
}

// New returns an open gate to the server at upstream.
func New(t testing.TB, upstream string) *Gate {
	t.Helper()
	g := &Gate{upstream: upstream, pairs: map[*pair]bool{}}
	g.changed = sync.NewCond(&g.mu)
	if err := g.listen("127.0.0.1:0"); err != nil {
		t.Fatalf("opening a gate: %v", err)
	}
	g.addr = g.listener.Addr().String()
	t.Cleanup(g.close)
	return g
}

// Addr is where clients connect to, for as long as the gate lives.
func (g *Gate) Addr() string { return g.addr }

// Silence lets connections stand and be made, and no byte through.
func (g *Gate) Silence() { g.set(silent) }

// LoseReplies lets what clients send through, and nothing of what the server
// answers: it did the work, and the acknowledgement is lost.
func (g *Gate) LoseReplies() { g.set(deaf) }

// Refuse resets every connection and refuses new ones.
func (g *Gate) Refuse() {
	g.set(refusing)
	g.mu.Lock()
	l := g.listener
	g.mu.Unlock()
	l.Close()
	g.Cut()
}

// Cut resets every connection. New ones are as they were.
func (g *Gate) Cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.pairs {
		p.reset()
	}
	g.changed.Broadcast()
}

// Open lets everything through again. Connections whose replies were lost are
// reset: the rest of them would make no sense.
func (g *Gate) Open(t testing.TB) {
	t.Helper()
	g.mu.Lock()
	before := g.mode
	g.mu.Unlock()
	switch before {
	case deaf:
		g.Cut()
	case refusing:
		if err := g.listen(g.addr); err != nil {
			t.Fatalf("opening the gate again: %v", err)
		}
	}
	g.set(open)
}

func (g *Gate) set(m mode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mode = m
	g.changed.Broadcast()
}

func (g *Gate) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.listener = l
	g.mu.Unlock()
	g.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			g.wg.Go(func() { g.serve(client) })
		}
	})
	return nil
}

func (g *Gate) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", g.upstream, 5*time.Second)
	if err != nil {
		(&pair{client: client, server: client}).reset()
		return
	}
	p := &pair{client: client, server: server}
	g.mu.Lock()
	g.pairs[p] = true
	if g.closed || g.mode == refusing {
		p.reset()
	}
	g.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() { g.forward(p, server, client, false) })
	ways.Go(func() { g.forward(p, client, server, true) })
	ways.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pairs, p)
}

// forward copies until a side ends, then ends both: the protocols here have no
// use for half a connection.
func (g *Gate) forward(p *pair, to, from net.Conn, reply bool) {
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		p.close()
		g.changed.Broadcast()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && g.lets(p, reply) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// lets waits while the gate is silent, and says whether the bytes at hand go on.
func (g *Gate) lets(p *pair, reply bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.mode == silent && !p.gone && !g.closed {
		g.changed.Wait()
	}
	return !p.gone && !g.closed && !(reply && g.mode == deaf)
}

func (g *Gate) close() {
	g.mu.Lock()
	g.closed = true
	g.listener.Close()
	for p := range g.pairs {
		p.close()
	}
	g.changed.Broadcast()
	g.mu.Unlock()
	g.wg.Wait()
}

func (p *pair) close() {
	p.gone = true
	p.client.Close()
	p.server.Close()
}

// reset ends both sides with RST in place of FIN.
func (p *pair) reset() {
	for _, c := range []net.Conn{p.client, p.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a connection that is closed already needs none
		}
	}
	p.close()
}
