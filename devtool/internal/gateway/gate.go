package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Why a request could not be let in. Each becomes a 503.
var (
	errNoBackend = errors.New("no backend came up in time")
	errHolding   = errors.New("requests are being held, and were not let in in time")
	errTooMany   = errors.New("too many requests wait already")
	errClosing   = errors.New("the gateway is shutting down")
)

// redial is how long a request waits before it tries again a backend that
// refused the connection, unless another backend comes first.
const redial = 100 * time.Millisecond

// gate lets requests in to the current backend or makes them wait.
type gate struct {
	maxHeld int64

	mu       sync.Mutex
	current  *backend // nil: requests wait
	holds    int      // Holds in force
	closed   bool
	waiting  int64
	held     int64
	inFlight int64
	changed  chan struct{} // closed when a waiting request should look again
	idle     chan struct{} // closed when inFlight is 0; nil when nobody waits for that
	handlers int           // requests between arrive and depart
	empty    chan struct{} // closed when handlers is 0 after close
}

func newGate(maxHeld int) gate {
	return gate{maxHeld: int64(maxHeld), changed: make(chan struct{}), empty: make(chan struct{})}
}

// arrive and depart enclose everything that is done about a request.
func (g *gate) arrive() {
	g.mu.Lock()
	g.handlers++
	g.mu.Unlock()
}

func (g *gate) depart() {
	g.mu.Lock()
	g.handlers--
	g.checkEmpty()
	g.mu.Unlock()
}

// checkEmpty closes empty once. The caller holds mu.
func (g *gate) checkEmpty() {
	if !g.closed || g.handlers > 0 {
		return
	}
	select {
	case <-g.empty:
	default:
		close(g.empty)
	}
}

// wake makes those who wait look again. The caller holds mu.
func (g *gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// enter waits until there is a backend to send a request to and counts the
// request as in flight there; the caller calls leave. avoid is a backend that
// has just refused the connection, or nil: it is not tried again before redial.
// p is the patience of this request over all its calls of enter. The error is
// ctx's or one of those above.
func (g *gate) enter(ctx context.Context, p *patience, avoid *backend) (*backend, error) {
	g.mu.Lock()
	if b, err := g.admit(avoid); b != nil || err != nil {
		g.mu.Unlock()
		return b, err
	}
	if g.waiting >= g.maxHeld {
		g.mu.Unlock()
		return nil, errTooMany
	}
	g.waiting++
	if p.waits++; p.waits == 1 {
		g.held++
	}
	began := time.Now()
	expiry := time.NewTimer(p.left)
	defer func() {
		expiry.Stop()
		waited := time.Since(began)
		p.left -= waited
		p.spent += waited
	}()
	var retry <-chan time.Time
	if avoid != nil {
		timer := time.NewTimer(redial)
		defer timer.Stop()
		retry = timer.C
	}
	for {
		changed := g.changed
		g.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-retry:
			avoid = nil
		case <-ctx.Done():
			err = ctx.Err()
		case <-expiry.C:
			err = errNoBackend
		}
		g.mu.Lock()
		if errors.Is(err, errNoBackend) && g.holds > 0 {
			err = errHolding
		}
		var b *backend
		if err == nil {
			b, err = g.admit(avoid)
		}
		if b != nil || err != nil {
			g.waiting--
			g.mu.Unlock()
			return b, err
		}
	}
}

// admit lets a request in, if that is possible now. The caller holds mu.
func (g *gate) admit(avoid *backend) (*backend, error) {
	if g.closed {
		return nil, errClosing
	}
	if g.holds > 0 || g.current == nil || g.current == avoid {
		return nil, nil
	}
	g.inFlight++
	g.current.inFlight++
	return g.current, nil
}

// leave takes a request off b.
func (g *gate) leave(b *backend) {
	g.mu.Lock()
	g.inFlight--
	b.inFlight--
	if g.inFlight == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
	drained := b.retired && b.inFlight == 0
	g.mu.Unlock()
	if drained {
		b.drain()
	}
}

// swap makes b, which may be nil, the current backend and retires the old one.
func (g *gate) swap(b *backend) (old *backend) {
	g.mu.Lock()
	old, g.current = g.current, b
	drained := false
	if old != nil {
		old.retired = true
		drained = old.inFlight == 0
	}
	g.wake()
	g.mu.Unlock()
	if drained {
		old.drain()
	}
	return old
}

// hold makes requests wait until release, even if there is a backend.
func (g *gate) hold() (release func()) {
	g.mu.Lock()
	g.holds++
	g.mu.Unlock()
	return sync.OnceFunc(func() {
		g.mu.Lock()
		g.holds--
		g.wake()
		g.mu.Unlock()
	})
}

// quiet waits until no request is in flight.
func (g *gate) quiet(ctx context.Context) error {
	g.mu.Lock()
	if g.inFlight == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	left := g.inFlight
	g.mu.Unlock()
	if left == 0 {
		return nil
	}
	return fmt.Errorf("hold requests: %d in flight did not end in time: %w", left, ctx.Err())
}

// close turns away those who wait and all who come later, and retires the
// backend. It may be called more than once.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.checkEmpty()
	g.mu.Unlock()
	g.swap(nil)
}

func (g *gate) stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Stats{Held: g.held, InFlight: g.inFlight, Waiting: g.waiting, Holding: g.holds > 0}
	if g.current != nil {
		s.Backend = g.current.addr
	}
	return s
}

// Swap sends new requests, and those that wait, to the backend at host:port
// from now on; "" means that there is none and they wait. Requests that are in
// flight at the old backend end there. Swap never blocks. The same address again
// is a new backend: the process behind it is another one.
func (g *Gateway) Swap(addr string) *Retired {
	var b *backend
	if addr != "" {
		b = newBackend(addr)
	}
	old := g.gate.swap(b)
	g.event(Event{Kind: Swapped, Backend: addr})
	return &Retired{gate: &g.gate, backend: old}
}

// Hold makes new requests wait, whether there is a backend or not, and returns
// when those in flight have ended. When ctx is done first, the error says how
// many have not; the hold is in force all the same. It lasts until release,
// which is never nil and may be called more than once. Holds add up.
func (g *Gateway) Hold(ctx context.Context) (release func(), err error) {
	release = g.gate.hold()
	return release, g.gate.quiet(ctx)
}
