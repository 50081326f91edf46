package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	dialTimeout = 2 * time.Second
	// backendIdleTimeout is how long an unused connection to a backend is kept.
	// It must be less than the backend's own (net/http: Server.IdleTimeout), or
	// a request could be written to a connection that the backend is closing.
	// No server is known to use less than 5 s; a new connection on loopback
	// costs a tenth of a millisecond.
	backendIdleTimeout = 3 * time.Second
	maxIdlePerBackend  = 256
)

// backend is one process that requests are sent to. It has connections of its
// own: none that leads to a retired backend can serve a later request.
type backend struct {
	addr    string
	http1   *http.Transport
	http2   *http.Transport
	drained chan struct{} // closed when retired and nothing is in flight

	// Guarded by gate.mu.
	inFlight int64
	retired  bool
}

func newBackend(addr string) *backend {
	var h1, h2 http.Protocols
	h1.SetHTTP1(true)
	h2.SetUnencryptedHTTP2(true)
	return &backend{addr: addr, http1: newTransport(addr, &h1), http2: newTransport(addr, &h2),
		drained: make(chan struct{})}
}

func newTransport(addr string, p *http.Protocols) *http.Transport {
	dialer := net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		Protocols: p,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, &unreachableError{addr: addr, cause: err}
			}
			return conn, nil
		},
		DisableCompression:    true, // bodies pass as they are
		MaxIdleConnsPerHost:   maxIdlePerBackend,
		IdleConnTimeout:       backendIdleTimeout,
		ExpectContinueTimeout: time.Second,
	}
}

// transport returns the connections of the protocol that r came with.
func (b *backend) transport(r *http.Request) *http.Transport {
	if r.ProtoMajor >= 2 {
		return b.http2
	}
	return b.http1
}

// drain is called once: when b is retired and nothing is in flight there.
func (b *backend) drain() {
	b.http1.CloseIdleConnections()
	b.http2.CloseIdleConnections()
	close(b.drained)
}

// unreachableError says that there was no connection, so that nothing of a
// request was sent.
type unreachableError struct {
	addr  string
	cause error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("connect to the backend %s: %v", e.addr, e.cause)
}

func (e *unreachableError) Unwrap() error { return e.cause }

// Retired is a backend that gets no new requests.
type Retired struct {
	gate    *gate
	backend *backend // nil: there was none
}

// Wait returns nil when the backend has no request in flight: its process can
// end with nobody noticing. When ctx is done first, the error says how many are
// left. Open streams and upgraded connections count.
func (r *Retired) Wait(ctx context.Context) error {
	if r.backend == nil {
		return nil
	}
	select {
	case <-r.backend.drained:
		return nil
	default:
	}
	select {
	case <-r.backend.drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the backend %s: %d requests still in flight: %w",
			r.backend.addr, r.InFlight(), ctx.Err())
	}
}

// InFlight is how many requests the backend is still at work on.
func (r *Retired) InFlight() int64 {
	if r.backend == nil {
		return 0
	}
	r.gate.mu.Lock()
	defer r.gate.mu.Unlock()
	return r.backend.inFlight
}
