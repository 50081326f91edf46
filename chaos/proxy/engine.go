// Package proxy stands between clients and their dependencies and carries out
// the faults of package chaos.
//
// A connection is one hop: the engine accepts and dials, and moves the bytes
// itself while there is no fault. Faults on the bytes go through Toxiproxy's
// links and toxics; faults on the connection (down, reset, timeout) are the
// engine's own, and act at once on connections that are open. Handler serves
// Toxiproxy's HTTP API over the same faults.
package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/goldenpath/chaos/proxy/internal/link"
)

// Errors of the engine. Test for them with errors.Is.
var (
	ErrClosed       = errors.New("engine is closed")
	ErrProxyExists  = errors.New("proxy already exists")
	ErrUnknownProxy = errors.New("proxy not found")
	ErrUnknownFault = errors.New("fault not found")
)

// Config is what an engine depends on. The zero value serves.
type Config struct {
	// Seed is what every draw starts from: which connections a fault of some
	// probability acts on, jitter, sizes of slices. The same seed, faults and
	// order of connections give the same draws.
	Seed uint64
	// Now and AfterFunc are the clock of the leases; time's when nil. AfterFunc
	// calls f in a goroutine of its own, and stop keeps it from doing so.
	Now       func() time.Time
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
	// OnEvent is told what happens. It is called from many goroutines and must
	// return soon. It may call the engine's Faults, and nothing that changes it.
	OnEvent func(Event)
	// DialTimeout is how long to wait for a dependency to accept; 5 s when 0.
	DialTimeout time.Duration
	// Hosts are the names by which callers may reach Handler besides those of
	// loopback, without a port: "toxiproxy" between containers.
	Hosts []string
	// ListenAnywhere lets callers of Handler open proxies at other addresses than
	// those of loopback.
	ListenAnywhere bool
}

// Engine is a set of proxies and the faults in force on them.
type Engine struct {
	config  Config
	library *link.Library

	mu      sync.Mutex
	proxies map[string]*Proxy
	faults  []*fault // in the order of the chain of toxics
	applied uint64   // faults so far
	closed  bool

	done  chan struct{} // closed by Close
	tasks sync.WaitGroup
}

// New makes an engine without proxies. It starts nothing.
func New(config Config) *Engine {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.AfterFunc == nil {
		config.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if config.OnEvent == nil {
		config.OnEvent = func(Event) {}
	}
	if config.DialTimeout == 0 {
		config.DialTimeout = 5 * time.Second
	}
	return &Engine{
		config:  config,
		library: link.OpenLibrary(),
		proxies: make(map[string]*Proxy),
		done:    make(chan struct{}),
	}
}

// Add opens a proxy to upstream, a "host:port" that need not answer yet; empty
// where it is not known yet, and every connection is reset until SetUpstream. The
// listener must be TCP and is the engine's to close from now on, also when Add
// fails. kind is that of chaos.Target: "kafka" has the addresses of brokers
// rewritten, every other kind is bytes.
func (e *Engine) Add(name, kind string, l net.Listener, upstream string) (*Proxy, error) {
	return e.add(Definition{Name: name, Protocol: kind, Upstream: upstream}, l, true)
}

// add is Add. owned says that callers of the HTTP API may not take the proxy
// away.
func (e *Engine) add(d Definition, l net.Listener, owned bool) (*Proxy, error) {
	p, err := e.register(d, l, owned)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("add proxy %s: %w", d.Name, err), l.Close())
	}
	return p, nil
}

// register makes a proxy and starts to accept.
func (e *Engine) register(d Definition, l net.Listener, owned bool) (*Proxy, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("listener %T is not TCP", l)
	}
	p, err := newProxy(e, d, tcp, owned)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	if _, taken := e.proxies[d.Name]; taken {
		return nil, ErrProxyExists
	}
	e.proxies[d.Name] = p
	p.main.serve(tcp)
	return p, nil
}

// Proxies gives the proxies, by name.
func (e *Engine) Proxies() []*Proxy {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*Proxy
	for _, p := range e.proxies {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Proxy) int { return strings.Compare(a.name, b.name) })
	return all
}

// Proxy returns the proxy of that name, or ErrUnknownProxy.
func (e *Engine) Proxy(name string) (*Proxy, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.proxies[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownProxy, name)
	}
	return p, nil
}

// remove closes a proxy and forgets it and its faults.
func (e *Engine) remove(p *Proxy) error {
	e.mu.Lock()
	if e.proxies[p.name] != p {
		e.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrUnknownProxy, p.name)
	}
	delete(e.proxies, p.name)
	dropped := e.take(func(f *fault) bool { return f.spec.Target == p.name })
	e.mu.Unlock()
	err := p.close()
	for _, f := range dropped {
		e.tell(Event{Kind: FaultOff, Proxy: p.name, Fault: f.report()})
	}
	return err
}

// Close closes every proxy and connection and waits until nothing of them runs
// any more. It does not wait for clients or dependencies. Further calls do
// nothing.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	close(e.done)
	for _, f := range e.faults {
		f.stop()
	}
	e.faults = nil
	e.mu.Unlock()
	var errs []error
	for _, p := range e.Proxies() {
		errs = append(errs, p.close())
	}
	e.tasks.Wait()
	return errors.Join(errs...)
}

// dice returns the random source for one fault on one connection.
func (e *Engine) dice(f *fault, connection uint64) *rand.Rand {
	return rand.New(rand.NewPCG(e.config.Seed, f.seed<<32^connection))
}
