package httpapi

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/observability"
	"example.com/goldenpath/service/internal/suggest"
)

// recovered turns a panic into the answer internal. Where part of an answer is
// out already, the connection is cut, so that the client does not take it for
// the whole.
func (a *api) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
				panic(cause)
			}
			ctx := r.Context()
			observability.Logger(ctx, a.Log).Error("a handler panicked",
				zap.Any("panic", cause), zap.ByteString("stack", debug.Stack()))
			if tallyOf(ctx).status != 0 {
				observability.SetErrorCode(ctx, string(problem.Internal))
				panic(http.ErrAbortHandler)
			}
			// What the handler said of the body that it did not write.
			for _, name := range []string{"Content-Length", "Content-Encoding", "Location", "Trailer"} {
				w.Header().Del(name)
			}
			a.refuse(w, r, problem.From(fmt.Errorf("panic: %v", cause)))
		}()
		next.ServeHTTP(w, r)
	})
}

// bounded gives the request its time limit, which everything below obeys by its
// context. It does not stand in for a handler that hangs: to answer in its place
// one must hold back what it writes, and that breaks streams.
func (a *api) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.Timeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// limited asks the rate limit before any work is done.
func (a *api) limited(next http.Handler) http.Handler {
	if a.Limit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verdict := a.Limit(r.Context(), clientOf(r))
		if verdict.Allowed {
			next.ServeHTTP(w, r)
			return
		}
		// RFC 9110, 10.2.3: whole seconds. Rounded up, or the client is early.
		seconds := max(1, int(math.Ceil(verdict.RetryAfter.Seconds())))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		a.refuse(w, r, problem.New(problem.RateLimited, "there are too many requests from this address",
			fmt.Sprintf("wait %d s, as Retry-After says, and slow down", seconds)))
	})
}

func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	hint := "the notes are at " + BasePath
	path := strings.TrimRight(r.URL.Path, "/")
	if near, ok := suggest.Nearest(path, append([]string{BasePath}, a.RPC.Routes...), 4); ok {
		hint = "did you mean " + near + "?"
	}
	a.fail(w, r, problem.New(problem.RouteNotFound, "there is nothing at this path", hint))
}

// methodNotAllowed names the methods that the path does take, as RFC 9110
// (15.5.6) asks.
func (a *api) methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete} {
			if routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
				allowed = append(allowed, method)
			}
		}
		list := strings.Join(allowed, ", ")
		w.Header().Set("Allow", list)
		a.fail(w, r, problem.New(problem.MethodNotAllowed, "this path does not take the method "+clip(r.Method), "use one of "+list))
	}
}
