package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// worker serves what the load below asks for: an echo, and a stream of numbered
// lines that it flushes one by one.
func worker() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // net/http drops what is unread when the answer begins
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body)
	})
	mux.HandleFunc("GET /get", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "got") })
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		for i := range 20 {
			fmt.Fprintln(w, i)
			_ = http.NewResponseController(w).Flush()
		}
	})
	return mux
}

// load sends requests of a kind until stop is closed and checks each answer.
func load(c *http.Client, url, kind string, stop <-chan struct{}, served *atomic.Int64) error {
	large := strings.Repeat("0123456789abcdef", 12<<10) // 192 KiB
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		var a answer
		want := ""
		switch kind {
		case "get":
			a, want = do(context.Background(), c, "GET", url+"/get", ""), "got"
		case "post":
			want = "body " + strconv.Itoa(n)
			a = do(context.Background(), c, "POST", url+"/echo", want)
		case "upload":
			want = large
			a = do(context.Background(), c, "POST", url+"/echo", want)
		case "stream":
			a = do(context.Background(), c, "GET", url+"/stream", "")
			lines := bufio.NewScanner(strings.NewReader(a.body))
			for i := 0; lines.Scan(); i++ {
				if lines.Text() != strconv.Itoa(i) {
					return fmt.Errorf("stream: line %d is %q", i, lines.Text())
				}
			}
			if want = a.body; strings.Count(a.body, "\n") != 20 {
				return fmt.Errorf("stream broke off: %q (%w)", a.body, a.err)
			}
		}
		if a.err != nil || a.status != 200 || a.body != want {
			return fmt.Errorf("%s %d: %d %.80q (%w)", kind, n, a.status, a.body, a.err)
		}
		served.Add(1)
	}
}

func TestSwap(t *testing.T) {
	ctx := context.Background()

	t.Run("fifty swaps under load drop nothing", func(t *testing.T) {
		g, url := open(t, Config{})
		old := start(t, worker())
		g.Swap(old.addr)
		stop := make(chan struct{})
		var served atomic.Int64
		var loads sync.WaitGroup
		failed := make(chan error, 16)
		for _, http2 := range []bool{false, true} {
			for _, kind := range []string{"get", "post", "upload", "stream"} {
				c := client(t, http2)
				loads.Go(func() {
					if err := load(c, url, kind, stop, &served); err != nil {
						failed <- fmt.Errorf("http2 %v: %w", http2, err)
					}
				})
			}
		}
		for n := range 50 {
			before := served.Load()
			eventually(t, g, fmt.Sprintf("swap %d: requests are served", n), func(Stats) bool {
				return served.Load() > before+20 || len(failed) > 0
			})
			next := start(t, worker())
			retired := g.Swap(next.addr)
			if err := retired.Wait(within(t, patient)); err != nil {
				t.Error(err)
			}
			old.kill() // as hard as can be: Wait said that nobody notices
			old = next
		}
		close(stop)
		loads.Wait()
		close(failed)
		for err := range failed {
			t.Error(err)
		}
		eventually(t, g, "nothing is in flight", func(s Stats) bool { return s.InFlight == 0 })
		if s := g.Stats(); s.Dropped != 0 {
			t.Errorf("counts: %+v", s)
		}
		t.Logf("%d requests over 50 swaps", served.Load())
	})

	t.Run("holding between two backends drops nothing either", func(t *testing.T) {
		g, url := open(t, Config{})
		stop := make(chan struct{})
		var served atomic.Int64
		var loads sync.WaitGroup
		failed := make(chan error, 4)
		for range 4 {
			c := client(t, false)
			loads.Go(func() {
				if err := load(c, url, "post", stop, &served); err != nil {
					failed <- err
				}
			})
		}
		for range 10 {
			b := start(t, worker())
			g.Swap(b.addr)
			before := served.Load()
			eventually(t, g, "requests are served", func(Stats) bool { return served.Load() > before || len(failed) > 0 })
			if err := g.Swap("").Wait(within(t, patient)); err != nil {
				t.Error(err)
			}
			b.kill()
			eventually(t, g, "requests wait", func(s Stats) bool { return s.Waiting > 0 || len(failed) > 0 })
		}
		close(stop)
		g.Swap(start(t, worker()).addr)
		loads.Wait()
		close(failed)
		for err := range failed {
			t.Error(err)
		}
		if s := g.Stats(); s.Held < 10 || s.Dropped != 0 {
			t.Errorf("counts: %+v", s)
		}
	})

	t.Run("what is in flight ends where it began, and wait knows", func(t *testing.T) {
		g, url := open(t, Config{})
		in, out := make(chan struct{}), make(chan struct{})
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(in)
			<-out
			_, _ = io.WriteString(w, "old")
		})).addr)
		first := send(ctx, client(t, false), "GET", url, "")
		receive(t, "request at the backend", in)
		retired := g.Swap(start(t, says("new")).addr)
		do(ctx, client(t, false), "GET", url, "").is(t, 200, "new")
		err := retired.Wait(within(t, time.Millisecond))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 requests") {
			t.Fatalf("wait: %v", err)
		}
		close(out)
		receive(t, "first answer", first).is(t, 200, "old")
		if err := retired.Wait(within(t, patient)); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("the first backend retires nothing", func(t *testing.T) {
		g, _ := open(t, Config{})
		retired := g.Swap("127.0.0.1:1")
		if err := retired.Wait(ctx); err != nil || retired.InFlight() != 0 {
			t.Fatalf("wait: %v", err)
		}
	})
}
