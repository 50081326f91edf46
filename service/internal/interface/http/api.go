// Package httpapi is the service's HTTP door: /api/v1/notes in JSON, and the
// middleware that every request passes, the Connect ones too.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/observability"
	"example.com/goldenpath/service/internal/usecase/note"
)

// MaxBody is the most bytes that a request body may have.
const MaxBody = 1 << 20

// BasePath is where the notes are.
const BasePath = "/api/v1/notes"

// Options are what the door needs. All fields must be set but Limit, Capture
// and RPC.
type Options struct {
	Notes      *note.Notes
	Log        *zap.Logger
	Metrics    *observability.Metrics
	Tracer     trace.TracerProvider
	Propagator propagation.TextMapPropagator
	// Timeout is the longest that one request may take.
	Timeout time.Duration
	// NewRequestID makes the id of a request that brings none.
	NewRequestID func() string
	// Limit says whether a client may go on; nil lets everybody.
	Limit Limit
	// Capture records exchanges for replay; nil records none. It runs with the
	// ids in the context and sees the answer that the client gets.
	Capture func(http.Handler) http.Handler
	// RPC is served beside the notes by its own handler.
	RPC RPC
}

// Limit asks whether the client named key may make one more request. It must
// answer fast and let requests through when it cannot know.
type Limit func(ctx context.Context, key string) Verdict

// Verdict is the answer of a Limit.
type Verdict struct {
	Allowed    bool
	RetryAfter time.Duration // when not allowed
}

// RPC is a handler with routes of its own that shares the middleware.
type RPC struct {
	Routes  []string // exact paths, which are also the route names in logs and metrics
	Handler http.Handler
	// Refuse answers a request to one of Routes that the middleware turned
	// down, in the protocol of that request.
	Refuse func(w http.ResponseWriter, r *http.Request, p *problem.Error)
}

// New returns the handler of the service's public port.
func New(o Options) http.Handler {
	a := &api{Options: o, rpc: map[string]bool{}}
	router := chi.NewRouter()
	for _, route := range a.routes() {
		router.Method(route.method, route.pattern, named(route.pattern, a.answer(route.handle)))
		if route.method == http.MethodGet {
			router.Method(http.MethodHead, route.pattern, named(route.pattern, a.answer(route.handle)))
		}
	}
	for _, path := range o.RPC.Routes {
		a.rpc[path] = true
		router.Handle(path, named(path, o.RPC.Handler))
	}
	router.NotFound(a.notFound)
	router.MethodNotAllowed(a.methodNotAllowed(router))

	// From the inside to the outside.
	h := a.limited(router)
	h = a.bounded(h)
	h = a.recovered(h)
	if o.Capture != nil {
		h = o.Capture(h)
	}
	h = a.observed(h)
	h = a.identified(h)
	h = otelhttp.NewHandler(h, "http",
		otelhttp.WithTracerProvider(o.Tracer),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(o.Propagator),
		// The route is not known yet; observed names the span once it is.
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return knownMethod(r.Method) }),
	)
	// Outermost, because net/http closes the connection of a body that is too
	// large only when the reader was given its own ResponseWriter.
	return http.MaxBytesHandler(h, MaxBody)
}

type api struct {
	Options
	rpc map[string]bool
}

type route struct {
	method, pattern string
	handle          func(r *http.Request) (reply, error)
}

func (a *api) routes() []route {
	one := BasePath + "/{id}"
	return []route{
		{http.MethodPost, BasePath, a.create},
		{http.MethodGet, BasePath, a.list},
		{http.MethodGet, one, a.get},
		{http.MethodPatch, one, a.update},
		{http.MethodDelete, one, a.remove},
	}
}

// refuse answers p in the protocol of the request.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	if a.rpc[r.URL.Path] {
		a.RPC.Refuse(w, r, p)
		return
	}
	a.fail(w, r, p)
}
