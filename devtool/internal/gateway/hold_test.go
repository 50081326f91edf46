package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestWaiting(t *testing.T) {
	ctx := context.Background()

	t.Run("a request that comes first waits for the backend", func(t *testing.T) {
		g, url := open(t, Config{})
		got := send(ctx, client(t, false), "POST", url, "body")
		eventually(t, g, "the request waits", func(s Stats) bool { return s.Waiting == 1 })
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})).addr)
		receive(t, "answer", got).is(t, 200, "body")
		if s := g.Stats(); s.Held != 1 || s.Dropped != 0 || s.Waiting != 0 {
			t.Fatalf("counts: %+v", s)
		}
	})

	t.Run("nothing comes up and it gets 503 in the envelope", func(t *testing.T) {
		g, url := open(t, Config{HoldTimeout: 20 * time.Millisecond, Rand: strings.NewReader("0123456789abcdef")})
		req, err := http.NewRequest("GET", url+"/notes", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		resp, err := client(t, false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		e := answer{resp.StatusCode, resp.Header, string(body), err}.isRefusal(t, 503, CodeNoBackend)
		if e.Meta.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" || e.Meta.RequestID != "30313233343536373839616263646566" {
			t.Fatalf("ids: %+v", e.Meta)
		}
		if e.Error.Hint != "devtool logs server" || resp.Header.Get("Retry-After") == "" {
			t.Fatalf("hint %q, headers %v", e.Error.Hint, resp.Header)
		}
		if s := g.Stats(); s.Held != 1 || s.Dropped != 1 {
			t.Fatalf("counts: %+v", s)
		}
	})

	t.Run("a client that goes away while it waits is forgotten", func(t *testing.T) {
		g, url := open(t, Config{})
		gone, leave := context.WithCancel(ctx)
		got := send(gone, client(t, false), "GET", url, "")
		eventually(t, g, "the request waits", func(s Stats) bool { return s.Waiting == 1 })
		leave()
		if a := receive(t, "answer", got); a.err == nil {
			t.Fatalf("got %+v", a)
		}
		eventually(t, g, "nobody waits", func(s Stats) bool { return s.Waiting == 0 })
		if s := g.Stats(); s.Dropped != 0 {
			t.Fatalf("counts: %+v", s)
		}
	})

	t.Run("one more than may wait is turned away at once", func(t *testing.T) {
		g, url := open(t, Config{MaxHeld: 1})
		first := send(ctx, client(t, false), "GET", url, "")
		eventually(t, g, "the first waits", func(s Stats) bool { return s.Waiting == 1 })
		do(ctx, client(t, false), "GET", url, "").isRefusal(t, 503, CodeOverloaded)
		g.Swap(start(t, says("up")).addr)
		receive(t, "answer", first).is(t, 200, "up")
	})

	t.Run("shutdown turns away those who wait", func(t *testing.T) {
		g, url := open(t, Config{})
		got := send(ctx, client(t, false), "GET", url, "")
		eventually(t, g, "the request waits", func(s Stats) bool { return s.Waiting == 1 })
		if err := g.Shutdown(within(t, patient)); err != nil {
			t.Fatal(err)
		}
		receive(t, "answer", got).isRefusal(t, 503, CodeNoBackend)
	})

	t.Run("shutdown does not wait for a connection that says nothing", func(t *testing.T) {
		g, url := open(t, Config{})
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		g.Swap(start(t, says("up")).addr)
		do(ctx, client(t, false), "GET", url, "").is(t, 200, "up") // conn is accepted by now
		began := time.Now()
		if err := g.Shutdown(within(t, patient)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Fatalf("took %v", took)
		}
	})

	t.Run("shutdown cuts a request that does not end, and says so", func(t *testing.T) {
		g, url := open(t, Config{})
		in := make(chan struct{})
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(in)
			<-r.Context().Done()
		})).addr)
		got := send(ctx, client(t, false), "GET", url, "")
		receive(t, "request at the backend", in)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := g.Shutdown(gone); !errors.Is(err, context.Canceled) {
			t.Fatalf("shutdown: %v", err)
		}
		if a := receive(t, "answer", got); a.err == nil {
			t.Fatalf("got %+v", a)
		}
	})

	t.Run("it refuses to listen to the network", func(t *testing.T) {
		l, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := New(Config{}).Serve(l); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Fatalf("serve: %v", err)
		}
	})
}

func TestHold(t *testing.T) {
	ctx := context.Background()

	t.Run("new requests wait until release, and it returns when the old ones ended", func(t *testing.T) {
		g, url := open(t, Config{})
		in, out := make(chan struct{}, 2), make(chan struct{})
		var held atomic.Bool
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if held.Load() {
				t.Error("a request came through the hold")
			}
			in <- struct{}{}
			<-out
		})).addr)
		first := send(ctx, client(t, false), "GET", url, "")
		receive(t, "first request at the backend", in)
		type result struct {
			release func()
			err     error
		}
		holding := make(chan result, 1)
		go func() {
			release, err := g.Hold(ctx)
			held.Store(true)
			holding <- result{release, err}
		}()
		eventually(t, g, "the hold is in force", func(s Stats) bool { return s.Holding })
		second := send(ctx, client(t, false), "GET", url, "")
		eventually(t, g, "the second waits", func(s Stats) bool { return s.Waiting == 1 })
		out <- struct{}{}
		receive(t, "first answer", first).is(t, 200, "")
		h := receive(t, "hold", holding)
		if h.err != nil {
			t.Fatal(h.err)
		}
		if s := g.Stats(); s.InFlight != 0 || s.Waiting != 1 {
			t.Fatalf("counts: %+v", s)
		}
		held.Store(false)
		h.release()
		h.release()
		receive(t, "second request at the backend", in)
		out <- struct{}{}
		receive(t, "second answer", second).is(t, 200, "")
		if g.Stats().Holding {
			t.Fatal("still holding")
		}
	})

	t.Run("a request that does not end is counted in the error, and the hold is in force", func(t *testing.T) {
		g, url := open(t, Config{HoldTimeout: 20 * time.Millisecond})
		in, out := make(chan struct{}), make(chan struct{})
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			in <- struct{}{}
			<-out
		})).addr)
		first := send(ctx, client(t, false), "GET", url, "")
		receive(t, "request at the backend", in)
		release, err := g.Hold(within(t, 10*time.Millisecond))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 in flight") {
			t.Fatalf("hold: %v", err)
		}
		defer release()
		e := do(ctx, client(t, false), "GET", url, "").isRefusal(t, 503, CodeNoBackend)
		if !strings.Contains(e.Error.Message, "held") {
			t.Fatalf("message: %q", e.Error.Message)
		}
		close(out)
		receive(t, "answer", first).is(t, 200, "")
	})

	t.Run("two holds end with the second release", func(t *testing.T) {
		g := New(Config{})
		one, err1 := g.Hold(ctx)
		two, err2 := g.Hold(ctx)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		one()
		if !g.Stats().Holding {
			t.Fatal("the first release ended both")
		}
		two()
		if g.Stats().Holding {
			t.Fatal("still holding")
		}
	})
}
