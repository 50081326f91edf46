package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is longer than anything in these tests takes that goes well.
const patient = 10 * time.Second

// open serves a gateway on loopback until the test ends.
func open(t testing.TB, c Config) (g *Gateway, url string) {
	t.Helper()
	g = New(c)
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return g, "http://" + l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// process is a backend: what it serves dies with kill, connections included.
type process struct {
	addr   string
	server *http.Server
	served chan error
}

func start(t testing.TB, h http.Handler) *process {
	t.Helper()
	return startOn(t, listen(t), h)
}

func startOn(t testing.TB, l net.Listener, h http.Handler) *process {
	t.Helper()
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	b := &process{addr: l.Addr().String(), served: make(chan error, 1),
		server: &http.Server{Handler: h, Protocols: &p, ReadHeaderTimeout: patient}}
	go func() { b.served <- b.server.Serve(l) }()
	t.Cleanup(b.kill)
	return b
}

func (b *process) kill() {
	b.server.Close()
	if err, open := <-b.served; open && !errors.Is(err, http.ErrServerClosed) {
		panic(err)
	}
	select {
	case <-b.served:
	default:
		close(b.served)
	}
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, text)
	})
}

// client returns a client of its own, of HTTP/1.1 or of HTTP/2 without TLS.
func client(t testing.TB, http2 bool) *http.Client {
	t.Helper()
	var p http.Protocols
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	tr := &http.Transport{Protocols: &p, MaxIdleConnsPerHost: 64, DisableCompression: true, ExpectContinueTimeout: patient}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patient}
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// send makes a request on a goroutine and returns where its answer will be.
func send(ctx context.Context, c *http.Client, method, url, body string) <-chan answer {
	done := make(chan answer, 1)
	go func() { done <- do(ctx, c, method, url, body) }()
	return done
}

func do(ctx context.Context, c *http.Client, method, url, body string) answer {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return answer{err: err}
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), err}
}

func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patient):
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}

// eventually waits until the gateway's counts are as wanted.
func eventually(t testing.TB, g *Gateway, what string, wanted func(Stats) bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patient); !wanted(g.Stats()); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %+v", what, g.Stats())
		}
	}
}

func (a answer) is(t testing.TB, status int, body string) {
	t.Helper()
	if a.err != nil || a.status != status || a.body != body {
		t.Fatalf("got %d %.80q (%d bytes, %v), want %d %.80q (%d bytes)", a.status, a.body, len(a.body), a.err, status, body, len(body))
	}
}

// isRefusal checks the envelope and returns it.
func (a answer) isRefusal(t testing.TB, status int, code string) envelope {
	t.Helper()
	if a.err != nil || a.status != status {
		t.Fatalf("got %d %q (%v), want %d", a.status, a.body, a.err, status)
	}
	var e envelope
	d := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("not an envelope: %q: %v", a.body, err)
	}
	if e.Error.Code != code || e.Error.Message == "" || e.Error.Hint == "" || e.Data != nil {
		t.Fatalf("got %+v, want code %s with message and hint", e, code)
	}
	if len(e.Meta.TraceID) != 32 || e.Meta.TraceID != a.header.Get("X-Trace-Id") ||
		e.Meta.RequestID == "" || e.Meta.RequestID != a.header.Get("X-Request-Id") {
		t.Fatalf("ids differ: %+v, headers %v", e.Meta, a.header)
	}
	return e
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
