package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/service/internal/domain/problem"
)

func TestPanics(t *testing.T) {
	const path = "/broken"
	broken := func(handler http.HandlerFunc) func(*Options) {
		return func(o *Options) {
			o.RPC = RPC{Routes: []string{path}, Handler: handler, Refuse: func(w http.ResponseWriter, _ *http.Request, p *problem.Error) {
				http.Error(w, string(p.Code), status(p.Code))
			}}
		}
	}
	get := func(t *testing.T, f *fixture) (*http.Response, error) {
		t.Helper()
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response, nil
	}
	t.Run("before the answer began, it is answered in the protocol of the route", func(t *testing.T) {
		f := newFixture(t, broken(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Content-Encoding", "gzip")
			panic("boom")
		}))
		response, err := get(t, f)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusInternalServerError || string(body) != "internal\n" ||
			response.Header.Get("Content-Encoding") != "" || response.Header.Get("X-Trace-Id") == "" {
			t.Errorf("answer = %d %q %v, %v", response.StatusCode, body, response.Header, err)
		}
	})
	t.Run("after the answer began, the connection is cut so that nobody takes it for whole", func(t *testing.T) {
		f := newFixture(t, broken(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half of")
			_ = http.NewResponseController(w).Flush()
			panic("boom")
		}))
		response, err := get(t, f)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err == nil {
			t.Errorf("the body ended well: %q", body)
		}
	})
	t.Run("http.ErrAbortHandler stays what it is", func(t *testing.T) {
		f := newFixture(t, broken(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		if response, err := get(t, f); err == nil {
			t.Errorf("there is an answer: %d", response.StatusCode)
		}
		for _, line := range f.logs.lines(t) {
			if line["level"] == "error" {
				t.Errorf("it is logged as a failure: %v", line)
			}
		}
	})
}

func TestTimeLimit(t *testing.T) {
	t.Run("a handler's context ends with the request's time and the answer is request_timeout", func(t *testing.T) {
		f := newFixture(t, func(o *Options) { o.Timeout = 20 * time.Millisecond })
		f.store.Fail = func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		w := f.send(http.MethodGet, BasePath, "")
		if w.Code != http.StatusGatewayTimeout || refused(t, w) != "request_timeout" || time.Since(began) > 2*time.Second {
			t.Errorf("answer = %d %s after %s", w.Code, w.Body, time.Since(began))
		}
	})
	t.Run("a client that leaves is logged as 499", func(t *testing.T) {
		f := newFixture(t)
		ctx, leave := context.WithCancel(t.Context())
		f.store.Fail = func(ctx context.Context, _ string) error {
			leave()
			<-ctx.Done()
			return ctx.Err()
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, BasePath, nil)
		f.ServeHTTP(httptest.NewRecorder(), r)
		lines := f.logs.lines(t)
		if last := lines[len(lines)-1]; last["status"] != 499.0 || last["error_code"] != "request_cancelled" {
			t.Errorf("line = %v", last)
		}
	})
}

func TestRateLimit(t *testing.T) {
	var asked []string
	verdict := Verdict{Allowed: true}
	f := newFixture(t, func(o *Options) {
		o.Limit = func(_ context.Context, key string) Verdict {
			asked = append(asked, key)
			return verdict
		}
	})
	t.Run("an allowed request goes on", func(t *testing.T) {
		if w := f.send(http.MethodGet, BasePath, ""); w.Code != http.StatusOK {
			t.Errorf("answer = %d %s", w.Code, w.Body)
		}
	})
	t.Run("a refused request costs no work and is told when to come back, rounded up", func(t *testing.T) {
		f.store.Fail = func(context.Context, string) error { return errors.New("work was done") }
		for wait, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", 1001 * time.Millisecond: "2"} {
			verdict = Verdict{RetryAfter: wait}
			w := f.send(http.MethodGet, BasePath, "")
			if w.Code != http.StatusTooManyRequests || refused(t, w) != "rate_limited" || w.Header().Get("Retry-After") != want {
				t.Errorf("answer to a wait of %s = %d %v", wait, w.Code, w.Header())
			}
		}
	})
	t.Run("clients are told apart by address, whatever they write in X-Forwarded-For", func(t *testing.T) {
		f.send(http.MethodGet, BasePath, "", "X-Forwarded-For", "10.0.0.1")
		for _, key := range asked {
			if key != "192.0.2.1" {
				t.Errorf("key = %q", key)
			}
		}
	})
}

func TestRoutes(t *testing.T) {
	f := newFixture(t)
	id := f.note(t, "milk", "")
	for _, tc := range []struct{ fact, method, path, allow string }{
		{"the collection", http.MethodDelete, BasePath, "GET, HEAD, POST"},
		{"a note", http.MethodPost, BasePath + "/" + id, "GET, HEAD, PATCH, DELETE"},
		{"a note, for a method nobody knows", "BREW", BasePath + "/" + id, "GET, HEAD, PATCH, DELETE"},
	} {
		t.Run("the methods of "+tc.fact+" are named in Allow", func(t *testing.T) {
			w := f.send(tc.method, tc.path, "")
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != tc.allow {
				t.Errorf("answer = %d, Allow %q", w.Code, w.Header().Get("Allow"))
			}
		})
	}
	for path, hint := range map[string]string{
		"/api/v1/note":                    "did you mean /api/v1/notes?",
		"/api/v1/notes/":                  "did you mean /api/v1/notes?",
		"/":                               "the notes are at /api/v1/notes",
		"/api/v1/notes/" + id + "/tags":   "the notes are at /api/v1/notes",
		"/" + strings.Repeat("x", 60_000): "the notes are at /api/v1/notes",
	} {
		t.Run("a path of nothing gets a hint: "+clip(path), func(t *testing.T) {
			w := f.send(http.MethodGet, path, "")
			if e := open(t, w); w.Code != http.StatusNotFound || e.Error.Hint != hint {
				t.Errorf("answer = %d %s", w.Code, w.Body)
			}
		})
	}
	t.Run("HEAD answers as GET does", func(t *testing.T) {
		if w := f.send(http.MethodHead, BasePath+"/"+id, ""); w.Code != http.StatusOK {
			t.Errorf("answer = %d", w.Code)
		}
	})
	t.Run("a body that is too large closes its connection", func(t *testing.T) {
		server := httptest.NewServer(f)
		defer server.Close()
		// No length, so that only reading finds out.
		body := io.MultiReader(strings.NewReader(`{"title":"`), io.LimitReader(endless{}, 2*MaxBody))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+BasePath, io.NopCloser(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
			t.Errorf("answer = %d, close %v", response.StatusCode, response.Close)
		}
	})
	t.Run("capture sees the ids and the answer that the client gets", func(t *testing.T) {
		var seen int
		f := newFixture(t, func(o *Options) {
			o.Capture = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					recorder := httptest.NewRecorder()
					next.ServeHTTP(recorder, r)
					seen = recorder.Code
					if w.Header().Get("X-Trace-Id") == "" {
						t.Error("the ids are not on the response yet")
					}
				})
			}
		})
		f.store.Fail = func(context.Context, string) error { panic("boom") }
		f.send(http.MethodGet, BasePath, "")
		if seen != http.StatusInternalServerError {
			t.Errorf("capture saw %d", seen)
		}
	})
}

// endless reads as the letter x for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
