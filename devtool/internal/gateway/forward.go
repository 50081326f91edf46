package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"time"
)

// flight is one request on its way through the gateway.
type flight struct {
	gateway     *Gateway
	method      string
	path        string
	patience    patience
	body        *replayBody // nil: the request has none
	backend     *backend    // where it is in flight; nil: nowhere
	last        string      // address of the last backend it was sent to
	repeated    bool        // it was sent a second time after its backend was lost
	unreachable error       // why the last backend could not be reached
}

type flightKey struct{}

func flightOf(r *http.Request) *flight {
	return r.Context().Value(flightKey{}).(*flight)
}

// ServeHTTP passes r on to the backend, waiting for one if need be.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.requests.Add(1)
	g.gate.arrive()
	f := &flight{gateway: g, method: r.Method, path: r.URL.Path, patience: patience{left: g.config.HoldTimeout}}
	// Also when the proxy panics, which is how it cuts a client off.
	defer func() {
		f.land()
		g.gate.depart()
	}()
	duplex := r.ProtoMajor == 1 && r.ContentLength != 0
	if duplex {
		// Otherwise the server takes what is left of the body for itself when the
		// answer begins: from under the transport, which then breaks the connection
		// that the answer comes over. And a stream could not answer before its end.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), flightKey{}, f)))
	f.land() // the backend is done with it, whatever the client still sends
	if duplex && w.Header().Get("Content-Length") != "" && r.Header.Get("Expect") == "" {
		// The client has its answer. What is left of the body is read here: when the
		// server does that later, it drops the connection (it panics with "invalid
		// concurrent Body.Read call", as of Go 1.26).
		_ = http.NewResponseController(w).Flush()
		_ = r.Body.Close()
	}
}

// land takes the request off its backend.
func (f *flight) land() {
	if f.backend != nil {
		f.gateway.gate.leave(f.backend)
		f.backend = nil
	}
}

func (f *flight) describe(kind EventKind, err error) Event {
	return Event{Kind: kind, Backend: f.last, Method: f.method, Path: f.path, Waited: f.patience.spent, Err: err}
}

// rewrite makes the request for the backend: that of the client, with its
// address added to X-Forwarded-For. What an outer proxy (the port forwarding of
// an editor) said of host and scheme stays.
func rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.RawQuery = p.In.URL.RawQuery // as it came; the proxy re-encodes odd ones
	p.Out.Trailer = p.In.Trailer           // filled while the body is read
	if prior, ok := p.In.Header["X-Forwarded-For"]; ok {
		p.Out.Header["X-Forwarded-For"] = prior
	}
	p.SetXForwarded()
	for _, name := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if prior, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = prior
		}
	}
}

// forwarder is the proxy's transport.
type forwarder Gateway

// RoundTrip sends req to the current backend. It holds it while there is none.
// A request of which nothing was sent goes to the next backend; so does, once, a
// GET or HEAD without a body whose backend was lost before it answered (RFC 9110,
// 9.2.2). Anything else fails with a lostError.
func (t *forwarder) RoundTrip(req *http.Request) (*http.Response, error) {
	g, f, ctx := (*Gateway)(t), flightOf(req), req.Context()
	if req.Body != nil && req.Body != http.NoBody {
		f.body = &replayBody{src: req.Body}
	}
	var avoid *backend
	for {
		waits := f.patience.waits
		b, err := g.gate.enter(ctx, &f.patience, avoid)
		if err != nil {
			return nil, err
		}
		f.backend, f.last = b, b.addr
		if f.patience.waits > waits {
			g.event(f.describe(Waited, nil))
		}
		resp, err := f.send(ctx, b, req)
		if err == nil {
			if f.body != nil {
				f.body.settled.Store(true)
			}
			if resp.StatusCode != http.StatusSwitchingProtocols {
				resp.Body = &answerBody{ReadCloser: resp.Body, ctx: ctx, flight: f}
			}
			return resp, nil
		}
		f.land()
		if f.body != nil {
			if broken := f.body.broken(); broken != nil && !errors.Is(broken, io.EOF) {
				return nil, &brokenBodyError{broken}
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var unreachable *unreachableError
		switch {
		case errors.As(err, &unreachable) && (f.body == nil || !f.body.gone()):
			f.unreachable, avoid = err, b
		case !f.repeated && f.body == nil && (req.Method == http.MethodGet || req.Method == http.MethodHead):
			f.repeated, avoid = true, nil
		default:
			return nil, &lostError{addr: b.addr, cause: err}
		}
	}
}

// send makes one attempt at b.
func (f *flight) send(ctx context.Context, b *backend, req *http.Request) (*http.Response, error) {
	out, url := req.WithContext(ctx), *req.URL
	url.Scheme, url.Host = "http", b.addr
	out.URL = &url
	if f.body != nil {
		// The transport asks for the body again when a connection from its pool
		// turned out to be dead before it took a byte.
		out.GetBody = f.body.open
		var err error
		if out.Body, err = f.body.open(); err != nil {
			return nil, err
		}
	}
	return b.transport(req).RoundTrip(out)
}

// answerBody is the body of a response. It notices that the backend broke off.
type answerBody struct {
	io.ReadCloser
	ctx    context.Context
	flight *flight
}

// Read is io.Reader's.
func (a *answerBody) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && err != io.EOF && a.ctx.Err() == nil {
		a.flight.gateway.dropped.Add(1)
		a.flight.gateway.event(a.flight.describe(Lost, fmt.Errorf("read the answer of the backend: %w", err)))
	}
	return n, err
}

// lostError says that a backend broke a connection before it answered.
type lostError struct {
	addr  string
	cause error
}

func (e *lostError) Error() string {
	return fmt.Sprintf("lost the backend %s: %v", e.addr, e.cause)
}

func (e *lostError) Unwrap() error { return e.cause }

// brokenBodyError says that the client did not send the body that it announced.
type brokenBodyError struct{ cause error }

func (e *brokenBodyError) Error() string { return "the request body broke off: " + e.cause.Error() }

func (e *brokenBodyError) Unwrap() error { return e.cause }

// patience is how long a request may still be held. Only time spent waiting
// counts.
type patience struct {
	left, spent time.Duration
	waits       int
}
