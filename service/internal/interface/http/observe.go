package httpapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/felixge/httpsnoop"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/observability"
)

// The route of a request that no pattern matches.
const unmatched = "unmatched"

// identified puts the ids of trace and request on the response before anything
// can fail, and into the context with a logger that writes them on every line.
func (a *api) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !sane(id) {
			id = a.NewRequestID()
		}
		ctx := observability.WithRequest(r.Context(), id, a.Log)
		traceID, _ := observability.TraceIDs(ctx)
		w.Header().Set("X-Trace-Id", traceID)
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// sane accepts a client's request id: up to 64 characters that need no escaping
// in a header, a log line, a URL or a shell.
func sane(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// tally is what became of one request. It belongs to the goroutine that serves
// the request.
type tally struct {
	route  string
	status int // 0 until the header is written
	bytes  int64
}

type tallyKey struct{}

// tallyOf is the tally of a request that has passed observed.
func tallyOf(ctx context.Context) *tally {
	t, _ := ctx.Value(tallyKey{}).(*tally)
	return t
}

// named notes which route took the request.
func named(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tallyOf(r.Context()).route = pattern
		next.ServeHTTP(w, r)
	})
}

// observed writes the access log line, counts the request and names its span.
func (a *api) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		t := &tally{route: unmatched}
		ctx := context.WithValue(r.Context(), tallyKey{}, t)
		a.Metrics.Began()
		defer func() {
			took := time.Since(began)
			if t.status == 0 {
				t.status = http.StatusOK // net/http writes it for a handler that wrote nothing
			}
			method, code := knownMethod(r.Method), observability.ErrorCode(ctx)
			a.Metrics.Ended(t.route, method, t.status, code, took)
			span := trace.SpanFromContext(ctx)
			span.SetName(method + " " + t.route)
			span.SetAttributes(attribute.String("http.route", t.route))
			observability.Logger(ctx, a.Log).Info("request",
				zap.String("method", r.Method), zap.String("route", t.route),
				zap.Int("status", t.status), zap.String("error_code", code),
				zap.Int64("bytes", t.bytes), zap.Float64("duration_ms", float64(took.Microseconds())/1000),
				zap.String("client", clientOf(r)))
		}()
		next.ServeHTTP(t.watch(w), r.WithContext(ctx))
	})
}

// watch returns w, with every optional interface that it has, counting.
func (t *tally) watch(w http.ResponseWriter) http.ResponseWriter {
	return httpsnoop.Wrap(w, httpsnoop.Hooks{
		WriteHeader: func(next httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(status int) {
				if t.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
					t.status = status
				}
				next(status)
			}
		},
		Write: func(next httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(p []byte) (int, error) {
				n, err := next(p)
				t.wrote(int64(n))
				return n, err
			}
		},
		ReadFrom: func(next httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
			return func(src io.Reader) (int64, error) {
				n, err := next(src)
				t.wrote(n)
				return n, err
			}
		},
	})
}

func (t *tally) wrote(n int64) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	t.bytes += n
}

// knownMethod keeps what clients make up out of labels and span names.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	}
	return "other"
}

// clientOf is the address of the peer without its port. X-Forwarded-For is not
// believed: anybody can write it.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
