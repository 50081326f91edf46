// Package record captures the exchanges of a net/http server.
//
// The middleware is transparent: a handler can stream, flush, hijack, send
// trailers and panic as it can without it. It keeps the start of both bodies,
// redacts the exchange, and hands it to a [Sink] when the handler is done.
//
// Where it stands matters. Put it inside of what starts the trace, so that
// [Config.Identify] finds the ids in the context, and outside of what recovers
// from panics, so that the answer to a panic is captured too. Put
// [http.MaxBytesHandler] outside of it: net/http closes the connection on a
// body that is too large only when it is given its own ResponseWriter.
package record

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"sync"
	"time"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/redact"
)

// Limits of what is kept of a body, in bytes.
const (
	DefaultRequestLimit  = 64 << 10
	DefaultResponseLimit = 256 << 10
)

// DefaultDrainTimeout bounds how long the rest of a body that the handler did
// not read is waited for. It is short because the response waits as well; what
// a client has sent already is there at once.
const DefaultDrainTimeout = 50 * time.Millisecond

// Sink takes finished exchanges.
type Sink interface {
	// Record owns ex from now on. It is called on the goroutine of the request
	// before the response is completed, so it must neither block nor fail: what
	// it cannot take, it drops and counts. It is called by many goroutines.
	Record(ex *replay.Exchange)
}

// Config says what is captured. Only Sink is required: without one, nothing is
// captured.
type Config struct {
	Sink    Sink
	Service string // the name of the service, as it stands in the captures
	// Redact takes the secrets out; nil is redact.New(redact.Options{}).
	Redact *redact.Policy
	// RequestLimit and ResponseLimit bound what is kept of each body, in bytes.
	// Zero is the default; a negative limit keeps nothing.
	RequestLimit, ResponseLimit int
	// DrainTimeout bounds the wait for a body that the handler left unread.
	// Zero is the default; a negative one never waits.
	DrainTimeout time.Duration
	// Identify returns the ids of the request with this context, in lower-case
	// hex, empty where there are none. It is called after the handler.
	Identify func(context.Context) (traceID, spanID, requestID string)
	// Skip says which requests are not captured, such as health checks.
	Skip func(*http.Request) bool
	// Now and Random are time.Now and crypto/rand.Reader if nil.
	Now    func() time.Time
	Random io.Reader
}

// Middleware returns the capture as a middleware.
func Middleware(c Config) func(http.Handler) http.Handler {
	if c.Sink == nil {
		return func(next http.Handler) http.Handler { return next }
	}
	r := &recorder{Config: c.withDefaults()}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.serve(next, w, req) })
	}
}

func (c Config) withDefaults() Config {
	if c.Redact == nil {
		c.Redact = redact.New(redact.Options{})
	}
	if c.RequestLimit == 0 {
		c.RequestLimit = DefaultRequestLimit
	}
	if c.ResponseLimit == 0 {
		c.ResponseLimit = DefaultResponseLimit
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.Identify == nil {
		c.Identify = func(context.Context) (traceID, spanID, requestID string) { return "", "", "" }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	return c
}

type recorder struct {
	Config
	buffers sync.Pool // of *[]byte
}

// buffer returns an empty buffer; release gives it back.
func (r *recorder) buffer() *[]byte {
	if b, ok := r.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 2048)
	return &b
}

func (r *recorder) release(b *[]byte) {
	if b == nil {
		return
	}
	*b = (*b)[:0]
	r.buffers.Put(b)
}

func (r *recorder) serve(next http.Handler, w http.ResponseWriter, req *http.Request) {
	if r.Skip != nil && r.Skip(req) {
		next.ServeHTTP(w, req)
		return
	}
	ex := &replay.Exchange{Time: r.Now(), Service: r.Service, Request: snapshot(req)}
	watched := &struct {
		requestBody
		response
	}{requestBody{recorder: r}, response{recorder: r, head: req.Method == http.MethodHead}}
	body, response := &watched.requestBody, &watched.response
	body.wrap(req)

	// A panic is not recovered, it is noticed: the stack that net/http logs
	// stays whole, and runtime.Goexit is covered too.
	returned := false
	defer func() {
		ex.Duration = r.Now().Sub(ex.Time)
		if returned && !response.isHijacked() {
			body.drain(w, req)
		}
		r.finish(ex, req, body, response, !returned)
	}()
	next.ServeHTTP(response.wrap(w), req)
	returned = true
}

// finish completes the exchange and hands it over.
func (r *recorder) finish(ex *replay.Exchange, req *http.Request, body *requestBody, response *response, panicked bool) {
	body.unwrap(req)
	ex.Response = response.finish(req.Context(), panicked)
	ex.Request.Body = body.finish()
	if ex.Response.Body.State == replay.Upgraded {
		ex.Request.Body.State = replay.Upgraded
	}
	ex.Request.Route = req.Pattern
	ex.TraceID, ex.SpanID, ex.RequestID = r.Identify(req.Context())
	if ex.RequestID == "" {
		// An inner middleware may have named the request.
		if ex.RequestID = ex.Response.Header.Get("X-Request-Id"); ex.RequestID == "" {
			ex.RequestID = ex.Request.Header.Get("X-Request-Id")
		}
	}
	id, err := replay.NewID(ex.TraceID, ex.SpanID, r.Random)
	if err != nil {
		id = "" // an exchange without an id is still found by its trace
	}
	ex.ID = id
	r.Redact.Exchange(ex)
	r.Sink.Record(ex)
}

// snapshot copies what a handler might change.
func snapshot(req *http.Request) replay.Request {
	target := req.RequestURI
	if target == "" || target[0] != '/' { // absolute form, or made by hand
		target = req.URL.RequestURI()
	}
	return replay.Request{
		Method: req.Method,
		URL:    target,
		Host:   req.Host,
		Proto:  req.Proto,
		Header: req.Header.Clone(),
	}
}
