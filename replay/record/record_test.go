package record_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink hands exchanges to a test.
type sink chan *replay.Exchange

func (s sink) Record(ex *replay.Exchange) { s <- ex }

func (s sink) next(t *testing.T) *replay.Exchange {
	t.Helper()
	select {
	case ex := <-s:
		return ex
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was recorded")
		return nil
	}
}

// serve runs a handler behind the middleware on a real server.
func serve(t *testing.T, h http.HandlerFunc, adapt func(*record.Config)) (*httptest.Server, sink) {
	t.Helper()
	s := make(sink, 100)
	c := record.Config{Sink: s, Service: "notes"}
	if adapt != nil {
		adapt(&c)
	}
	server := httptest.NewUnstartedServer(record.Middleware(c)(h))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // panics are on purpose here
	server.Start()
	t.Cleanup(server.Close)
	return server, s
}

func post(t *testing.T, server *httptest.Server, body io.Reader) *http.Response {
	t.Helper()
	response, err := server.Client().Post(server.URL+"/notes?x=1", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func text(t *testing.T, response *http.Response) string {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body)
}

func TestAnExchangeIsRecordedInFull(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	times := []time.Time{start, start.Add(7 * time.Millisecond)}
	server, s := serve(t, echo, func(c *record.Config) {
		c.Now = func() time.Time { now := times[0]; times = times[1:]; return now }
		c.Identify = func(context.Context) (string, string, string) {
			return "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "r-1"
		}
	})
	if got := text(t, post(t, server, strings.NewReader(`{"a":1,"password":"canarybird"}`))); got != `{"a":1,"password":"canarybird"}` {
		t.Errorf("the client got %s", got)
	}
	ex := s.next(t)
	if ex.ID != "4bf92f35-00f067aa" || ex.RequestID != "r-1" || ex.Service != "notes" {
		t.Errorf("ids: %+v", ex)
	}
	if !ex.Time.Equal(start) || ex.Duration != 7*time.Millisecond {
		t.Errorf("time %s, duration %s", ex.Time, ex.Duration)
	}
	if ex.Request.Method != "POST" || ex.Request.URL != "/notes?x=1" || ex.Request.Proto != "HTTP/1.1" || ex.Request.Host == "" {
		t.Errorf("request: %+v", ex.Request)
	}
	if ex.Response.Status != 201 || ex.Response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("response: %+v", ex.Response)
	}
	for name, b := range map[string]replay.Body{"request": ex.Request.Body, "response": ex.Response.Body} {
		if b.State != replay.Full || b.Size != 31 || !strings.HasPrefix(string(b.Bytes), `{"a":1,"password":"[redacted:`) {
			t.Errorf("%s body: %+v %s", name, b, b.Bytes)
		}
	}
}

func dial(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestPanics(t *testing.T) {
	for name, value := range map[string]any{"a panic": "boom", "http.ErrAbortHandler": http.ErrAbortHandler} {
		t.Run(name+" is recorded and goes on", func(t *testing.T) {
			server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusAccepted)
				_, _ = w.Write([]byte("first half"))
				panic(value)
			}, nil)
			if _, err := server.Client().Get(server.URL); err == nil {
				t.Error("the client got an answer, so the panic was swallowed")
			}
			if ex := s.next(t); ex.Response.Body.State != replay.Aborted || !strings.HasPrefix(string(ex.Response.Body.Bytes), "first ") || ex.Response.Status != 202 {
				t.Errorf("%+v", ex.Response)
			}
		})
	}
	t.Run("a panic before the answer has no status", func(t *testing.T) {
		s := make(sink, 1)
		h := record.Middleware(record.Config{Sink: s})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
		func() {
			defer func() {
				if got := recover(); got != "boom" {
					t.Errorf("recovered %v", got)
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
		if ex := s.next(t); ex.Response.Status != 0 || ex.Response.Body.State != replay.Aborted {
			t.Errorf("%+v", ex.Response)
		}
	})
}

func TestTransparency(t *testing.T) {
	t.Run("connections are kept alive after a body was drained", func(t *testing.T) {
		server, s := serve(t, func(http.ResponseWriter, *http.Request) {}, nil)
		conn := dial(t, server)
		answers := bufio.NewReader(conn)
		for range 5 {
			_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
			if _, err := http.ReadResponse(answers, nil); err != nil {
				t.Fatal(err)
			}
			s.next(t)
		}
	})
	t.Run("a request without a body keeps http.NoBody, and 103 is not the answer", func(t *testing.T) {
		server, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Body != http.NoBody {
				t.Errorf("the body is a %T", r.Body)
			}
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		}, nil)
		response, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		text(t, response)
		if ex := s.next(t); ex.Response.Status != http.StatusNoContent {
			t.Errorf("status %d", ex.Response.Status)
		}
	})
	t.Run("a HEAD response has no body", func(t *testing.T) {
		server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }, nil)
		response, err := server.Client().Head(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if b := s.next(t).Response.Body; b.State != replay.Full || b.Size != 0 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("what a handler changes of the request does not change the capture", func(t *testing.T) {
		server, s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			r.Header.Set("X-Mine", "changed")
			r.URL.Path = "/changed"
		}, nil)
		text(t, post(t, server, nil))
		if ex := s.next(t); ex.Request.Header.Get("X-Mine") != "" || ex.Request.URL != "/notes?x=1" {
			t.Errorf("%+v", ex.Request)
		}
	})
	t.Run("the matched route is told", func(t *testing.T) {
		s := make(sink, 1)
		mux := http.NewServeMux()
		mux.HandleFunc("GET /notes/{id}", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Request-Id", "r-9") })
		record.Middleware(record.Config{Sink: s})(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/notes/7", nil))
		if ex := s.next(t); ex.Request.Route != "GET /notes/{id}" || ex.RequestID != "r-9" {
			t.Errorf("%q, %q", ex.Request.Route, ex.RequestID)
		}
	})
	t.Run("skipped requests are not recorded, nor is anything without a sink", func(t *testing.T) {
		server, s := serve(t, echo, func(c *record.Config) { c.Skip = func(r *http.Request) bool { return r.URL.Path == "/notes" } })
		text(t, post(t, server, nil))
		if len(s) != 0 {
			t.Error("it was recorded")
		}
		w := httptest.NewRecorder()
		record.Middleware(record.Config{})(http.HandlerFunc(echo)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != http.StatusCreated {
			t.Errorf("status %d", w.Code)
		}
	})
	t.Run("goroutines that a handler leaves behind do no harm", func(t *testing.T) {
		var left sync.WaitGroup
		finish := make(chan struct{})
		server, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			for range 4 {
				left.Go(func() {
					<-finish
					_, _ = r.Body.Read(make([]byte, 10))
					_ = r.Body.Close()
				})
			}
			_, _ = w.Write([]byte("x"))
		}, nil)
		text(t, post(t, server, strings.NewReader("abc")))
		ex := s.next(t)
		close(finish)
		left.Wait()
		if string(ex.Response.Body.Bytes) != "x" {
			t.Errorf("%q", ex.Response.Body.Bytes)
		}
	})
	t.Run("many at a time do not mix", func(t *testing.T) {
		server, s := serve(t, echo, nil)
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				for j := range 10 {
					body := strings.Repeat(fmt.Sprintf("%d-%d ", i, j), 500)
					response, err := server.Client().Post(server.URL, "text/plain", strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			})
		}
		clients.Wait()
		for range 80 {
			ex := s.next(t)
			first, _, _ := strings.Cut(string(ex.Request.Body.Bytes), " ")
			if string(ex.Request.Body.Bytes) != strings.Repeat(first+" ", 500) || !bytes.Equal(ex.Request.Body.Bytes, ex.Response.Body.Bytes) {
				t.Fatalf("bodies are mixed: %.60q %.60q", ex.Request.Body.Bytes, ex.Response.Body.Bytes)
			}
		}
	})
}
