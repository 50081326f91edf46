package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// events keeps what a gateway tells.
type events struct {
	mu   sync.Mutex
	list []Event
}

func (e *events) add(v Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, v)
}

func (e *events) kinds() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var kinds []string
	for _, v := range e.list {
		kinds = append(kinds, string(v.Kind))
	}
	return strings.Join(kinds, " ")
}

// stuck serves requests that never end by themselves, and tells of each.
func stuck(in chan<- struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		in <- struct{}{}
		<-r.Context().Done()
	})
}

func TestLostBackend(t *testing.T) {
	ctx := context.Background()

	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("a POST that it was at work on gets 502 (HTTP/2: %v)", http2), func(t *testing.T) {
			told := &events{}
			g, url := open(t, Config{OnEvent: told.add})
			in := make(chan struct{})
			b := start(t, stuck(in))
			g.Swap(b.addr)
			got := send(ctx, client(t, http2), "POST", url+"/notes", "body")
			receive(t, "request at the backend", in)
			b.kill()
			receive(t, "answer", got).isRefusal(t, 502, CodeBackendLost)
			if s := g.Stats(); s.Dropped != 1 || s.Held != 0 || s.InFlight != 0 {
				t.Fatalf("counts: %+v", s)
			}
			if told.kinds() != "swapped lost" {
				t.Fatalf("told: %s", told.kinds())
			}
			if last := told.list[1]; last.Method != "POST" || last.Path != "/notes" || last.Backend != b.addr || last.Err == nil || last.Time.IsZero() {
				t.Fatalf("told: %+v", last)
			}
		})

		t.Run(fmt.Sprintf("a GET goes to the next one (HTTP/2: %v)", http2), func(t *testing.T) {
			told := &events{}
			g, url := open(t, Config{OnEvent: told.add})
			in := make(chan struct{})
			b := start(t, stuck(in))
			g.Swap(b.addr)
			got := send(ctx, client(t, http2), "GET", url, "")
			receive(t, "request at the backend", in)
			b.kill()
			eventually(t, g, "the request waits", func(s Stats) bool { return s.Waiting == 1 && s.InFlight == 0 })
			g.Swap(start(t, says("new")).addr)
			receive(t, "answer", got).is(t, 200, "new")
			if s := g.Stats(); s.Dropped != 0 || s.Held != 1 {
				t.Fatalf("counts: %+v", s)
			}
			if kinds := told.kinds(); strings.Contains(kinds, "lost") || strings.Count(kinds, "waited") != 1 {
				t.Fatalf("told: %s", kinds)
			}
		})
	}

	t.Run("a GET is sent twice at most", func(t *testing.T) {
		g, url := open(t, Config{})
		in := make(chan struct{})
		first, second := start(t, stuck(in)), start(t, stuck(in))
		g.Swap(first.addr)
		got := send(ctx, client(t, false), "GET", url, "")
		receive(t, "request at the first", in)
		g.Swap(second.addr)
		first.kill()
		receive(t, "request at the second", in)
		second.kill()
		receive(t, "answer", got).isRefusal(t, 502, CodeBackendLost)
	})

	t.Run("a POST of which nothing was sent waits for the next one and arrives once, whole", func(t *testing.T) {
		g, url := open(t, Config{})
		dead := start(t, says("never"))
		g.Swap(dead.addr)
		dead.kill()
		body := strings.Repeat("x", 3*keepLimit)
		got := send(ctx, client(t, false), "POST", url, body)
		eventually(t, g, "the request waits", func(s Stats) bool { return s.Waiting == 1 })
		arrived := make(chan string, 2)
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			arrived <- string(b)
		})).addr)
		receive(t, "answer", got).is(t, 200, "")
		if len(arrived) != 1 || receive(t, "body", arrived) != body {
			t.Fatalf("%d arrived, or not whole", len(arrived)+1)
		}
	})

	t.Run("one that comes back at its address is found without a swap", func(t *testing.T) {
		g, url := open(t, Config{})
		dead := start(t, says("before"))
		g.Swap(dead.addr)
		dead.kill()
		got := send(ctx, client(t, false), "POST", url, "body")
		eventually(t, g, "the request waits", func(s Stats) bool { return s.Waiting == 1 })
		l, err := net.Listen("tcp", dead.addr)
		if err != nil {
			t.Fatal(err)
		}
		startOn(t, l, says("after"))
		receive(t, "answer", got).is(t, 200, "after")
	})

	t.Run("one that never comes back is named in the 503", func(t *testing.T) {
		g, url := open(t, Config{HoldTimeout: 20 * time.Millisecond})
		dead := start(t, says("never"))
		g.Swap(dead.addr)
		dead.kill()
		e := do(ctx, client(t, false), "POST", url, "body").isRefusal(t, 503, CodeNoBackend)
		if !strings.Contains(e.Error.Message, dead.addr) || !strings.Contains(e.Error.Message, "refused") {
			t.Fatalf("message: %q", e.Error.Message)
		}
	})

	t.Run("an answer that breaks off is cut off, not ended", func(t *testing.T) {
		told := &events{}
		g, url := open(t, Config{OnEvent: told.add})
		in := make(chan struct{})
		b := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			close(in)
			<-r.Context().Done()
		}))
		g.Swap(b.addr)
		got := send(ctx, client(t, false), "GET", url, "")
		receive(t, "request at the backend", in)
		b.kill()
		if a := receive(t, "answer", got); a.err == nil || a.status != 200 || a.body != "half" {
			t.Fatalf("got %+v", a)
		}
		if s := g.Stats(); s.Dropped != 1 || told.kinds() != "swapped lost" {
			t.Fatalf("counts: %+v, told %s", s, told.kinds())
		}
	})

	t.Run("an answer that is no HTTP is 502", func(t *testing.T) {
		g, url := open(t, Config{})
		l := listen(t)
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = bufio.NewReader(conn).ReadString('\n')
				_, _ = io.WriteString(conn, "garbage\r\n\r\n")
				conn.Close()
			}
		}()
		g.Swap(l.Addr().String())
		do(ctx, client(t, false), "POST", url, "body").isRefusal(t, 502, CodeBackendLost)
	})
}

func TestBadClients(t *testing.T) {
	// talk sends bytes, closes its side if asked, and returns all that comes back.
	talk := func(t *testing.T, url, text string, closes bool) string {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patient)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		if closes {
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(conn)
		if err != nil {
			t.Logf("read: %v", err)
		}
		return string(got)
	}
	g, url := open(t, Config{})
	g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "fine")
	})).addr)

	for _, c := range []struct {
		name, text string
		closes     bool
		want       string
	}{
		{"a broken chunk", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n", false, CodeBadRequest},
		{"garbage", "\x16\x03\x01\x02garbage\r\n\r\n", false, "400 Bad Request"},
		{"an HTTP/2 preface and garbage", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("z", 100), true, ""},
		{"an upgrade to something unprintable", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: \xff\r\n\r\n", false, CodeBadAnswer},
		{"a URL of another host", "GET http://192.0.2.1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, "fine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := talk(t, url, c.text, c.closes); !strings.Contains(got, c.want) {
				t.Fatalf("got %q, want %q in it", got, c.want)
			}
			do(context.Background(), client(t, false), "POST", url, "next").is(t, 200, "fine")
		})
	}
	t.Run("a body that is shorter than announced is no success", func(t *testing.T) {
		got := talk(t, url, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", true)
		if strings.Contains(got, "200 OK") { // cut off, or 400
			t.Fatalf("got %q", got)
		}
	})
	eventually(t, g, "nothing is in flight", func(s Stats) bool { return s.InFlight == 0 })
	if s := g.Stats(); s.Dropped != 0 {
		t.Fatalf("counts: %+v", s)
	}
}

func TestIDs(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for parent, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01":                       id,
		"00-" + id + "-00f067aa0ba902b7":                          "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01":      "",
		"00-short-00f067aa0ba902b7-01":                            "",
		"":                                                        "",
	} {
		if got := traceID(parent); got != want {
			t.Errorf("%q: %q, want %q", parent, got, want)
		}
	}
	for given, want := range map[string]string{"r-1": "r-1", "": "", "two words": "", "line\nbreak": "", strings.Repeat("x", 129): ""} {
		if got := requestID(given); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
