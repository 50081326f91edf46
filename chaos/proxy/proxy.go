package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"example.com/goldenpath/chaos/proxy/internal/port"
)

// Proxy stands before one dependency.
type Proxy struct {
	engine *Engine
	name   string
	kind   string
	public string // what clients of Kafka are told to dial; empty is where it listens
	owned  bool   // by the program; the HTTP API may not take it away
	main   *endpoint

	mu          sync.Mutex
	upstream    string
	connections map[*connection]struct{}
	accepted    uint64
	closed      bool

	// doors is held while listeners open and close, so that they end as the
	// newest faults want them.
	doors   sync.Mutex
	brokers map[string]*endpoint // Kafka brokers but the one behind main
	listed  bool                 // the cluster has told its brokers
	only    string               // address of the only one of them
}

// newProxy makes a proxy that does not accept yet.
func newProxy(e *Engine, d Definition, l *net.TCPListener, owned bool) (*Proxy, error) {
	if d.Name == "" {
		return nil, errors.New("a proxy needs a name")
	}
	if err := checkUpstream(d.Upstream); err != nil && (d.Upstream != "" || !owned) {
		return nil, err
	}
	p := &Proxy{
		engine: e, name: d.Name, kind: d.Protocol, public: d.Public, owned: owned, upstream: d.Upstream,
		connections: make(map[*connection]struct{}),
		brokers:     make(map[string]*endpoint),
	}
	p.main = &endpoint{proxy: p, port: port.New(l)}
	return p, nil
}

// checkUpstream wants a host and a port.
func checkUpstream(address string) error {
	host, number, err := net.SplitHostPort(address)
	if err != nil || host == "" || number == "" {
		return fmt.Errorf("upstream %q is not host:port", address)
	}
	return nil
}

// Name is what faults call the proxy by.
func (p *Proxy) Name() string { return p.name }

// Kind is that of the dependency.
func (p *Proxy) Kind() string { return p.kind }

// Addr is where the proxy listens, or would while it is down.
func (p *Proxy) Addr() string { return p.main.port.Addr().String() }

// Upstream is where new connections are led.
func (p *Proxy) Upstream() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.upstream
}

// SetUpstream leads new connections to another address, for a dependency that
// was restarted on another port. Open connections are left alone.
func (p *Proxy) SetUpstream(address string) {
	p.mu.Lock()
	p.upstream = address
	p.mu.Unlock()
	p.doors.Lock()
	p.listed, p.only = false, ""
	p.doors.Unlock()
}

// CloseConnections resets every open connection. New ones are accepted as ever.
func (p *Proxy) CloseConnections() {
	for _, c := range p.all() {
		c.abort()
		<-c.ended
	}
}

// Enabled reports whether the port is open as far as the faults go.
func (p *Proxy) Enabled() bool {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	return p.enabled()
}

// enabled is Enabled with the engine's lock held.
func (p *Proxy) enabled() bool {
	for _, f := range p.engine.faults {
		if f.spec.Target == p.name && f.closesPort() {
			return false
		}
	}
	return !p.engine.closed
}

// all gives the connections.
func (p *Proxy) all() []*connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*connection, 0, len(p.connections))
	for c := range p.connections {
		all = append(all, c)
	}
	return all
}

// follow brings the listeners and the open connections to what the faults in
// force come to. The error is that of a port that cannot be opened again; the
// next follow tries once more.
func (p *Proxy) follow() error {
	err := p.openDoors()
	e := p.engine
	e.mu.Lock()
	var waits []wait
	for _, c := range p.all() {
		waits = append(waits, c.set(e.effectOn(p, c.number))...)
	}
	e.mu.Unlock()

	limit := time.NewTimer(patience)
	defer limit.Stop()
	late := false
	for _, w := range waits {
		if !late {
			select {
			case <-w.done:
				continue
			case <-limit.C:
				late = true
			}
		}
		select {
		case <-w.done:
		default:
			w.connection.abort()
		}
	}
	return err
}

// openDoors opens or closes the listeners.
func (p *Proxy) openDoors() error {
	p.doors.Lock()
	defer p.doors.Unlock()
	if p.isClosed() {
		return nil
	}
	open := p.Enabled()
	var errs []error
	for _, ep := range p.endpoints() {
		if err := ep.set(open); err != nil {
			err = fmt.Errorf("open proxy %s again: %w", p.name, err)
			errs = append(errs, err)
			p.engine.tell(Event{Kind: ListenFailed, Proxy: p.name, Err: err})
		}
	}
	return errors.Join(errs...)
}

// isClosed reports whether close was called.
func (p *Proxy) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// endpoints gives every endpoint. p.doors is held.
func (p *Proxy) endpoints() []*endpoint {
	all := []*endpoint{p.main}
	for _, ep := range p.brokers {
		all = append(all, ep)
	}
	return all
}

// close closes the listeners and resets the connections. It does not wait for
// the goroutines of either.
func (p *Proxy) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.doors.Lock()
	var errs []error
	for _, ep := range p.endpoints() {
		errs = append(errs, ep.port.Close())
	}
	p.doors.Unlock()
	for _, c := range p.all() {
		c.abort()
	}
	return errors.Join(errs...)
}

// admit registers a connection and tells it what the faults come to. It is
// false when the proxy is closed.
func (p *Proxy) admit(c *connection) bool {
	e := p.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || e.closed {
		return false
	}
	p.accepted++
	c.number = p.accepted
	p.connections[c] = struct{}{}
	e.tasks.Add(1)
	c.set(e.effectOn(p, c.number))
	return true
}

// forget undoes admit.
func (p *Proxy) forget(c *connection) {
	p.mu.Lock()
	delete(p.connections, c)
	p.mu.Unlock()
	p.engine.tasks.Done()
}
