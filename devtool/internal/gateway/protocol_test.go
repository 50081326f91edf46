package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestProtocols(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		name := map[bool]string{false: "over HTTP 1.1", true: "over HTTP 2"}[http2]
		t.Run(name, func(t *testing.T) { protocol(t, http2) })
	}
}

// protocol holds what is true of both protocols.
func protocol(t *testing.T, http2 bool) {
	ctx := context.Background()

	t.Run("the backend gets the request as it was sent, and where it came from", func(t *testing.T) {
		g, url := open(t, Config{})
		seen := make(chan *http.Request, 1)
		g.Swap(start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r })).addr)
		req, err := http.NewRequest("GET", url+"/a%2Fb//c?x=1;y=2&z=%zz&a=b+c", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "notes.localhost:8080"
		req.Header.Set("X-Forwarded-For", "203.0.113.7")
		req.Header.Set("X-Forwarded-Proto", "https")
		req.Header.Set("Origin", "http://elsewhere.example")
		resp, err := client(t, http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		r := receive(t, "request", seen)
		major := 1
		if http2 {
			major = 2
		}
		if r.ProtoMajor != major || r.Host != "notes.localhost:8080" || r.RequestURI != "/a%2Fb//c?x=1;y=2&z=%zz&a=b+c" {
			t.Errorf("got %s %s %s", r.Proto, r.Host, r.RequestURI)
		}
		for name, want := range map[string]string{
			"X-Forwarded-For": "203.0.113.7, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "notes.localhost:8080",
			"Accept-Encoding": "", "User-Agent": "Go-http-client/" + map[bool]string{false: "1.1", true: "2.0"}[http2],
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("the gateway added %s", name)
			}
		}
	})

	t.Run("trailers pass both ways", func(t *testing.T) {
		g, url := open(t, Config{})
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Grpc-Status")
			w.WriteHeader(200)
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Grpc-Status", "0")
			w.Header().Set(http.TrailerPrefix+"Grpc-Message", "sum "+r.Trailer.Get("Checksum"))
		})).addr)
		req, err := http.NewRequest("POST", url, io.MultiReader(strings.NewReader("a"), strings.NewReader("b")))
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"Checksum": {"42"}}
		resp, err := client(t, http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		if resp.Trailer.Get("Grpc-Status") != "0" || resp.Trailer.Get("Grpc-Message") != "sum 42" {
			t.Fatalf("trailers: %v", resp.Trailer)
		}
	})

	t.Run("both sides of a stream talk at once", func(t *testing.T) {
		g, url := open(t, Config{})
		b := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			_ = rc.EnableFullDuplex() // HTTP/2 always is
			w.WriteHeader(200)
			_ = rc.Flush()
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				fmt.Fprintf(w, "%s back\n", lines.Text())
				_ = rc.Flush()
			}
		}))
		g.Swap(b.addr)
		sent, body := io.Pipe()
		req, err := http.NewRequestWithContext(within(t, patient), "POST", url, sent)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client(t, http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answers := bufio.NewScanner(resp.Body)
		var retired *Retired
		for i := range 5 {
			fmt.Fprintf(body, "%d\n", i)
			if !answers.Scan() || answers.Text() != fmt.Sprintf("%d back", i) {
				t.Fatalf("line %d: %q (%v)", i, answers.Text(), answers.Err())
			}
			if i == 2 { // the stream goes on where it began
				retired = g.Swap(start(t, says("new")).addr)
			}
		}
		if err := retired.Wait(within(t, time.Millisecond)); err == nil {
			t.Fatal("wait did not count the stream")
		}
		body.Close()
		if answers.Scan() {
			t.Fatalf("more came: %q", answers.Text())
		}
		if err := retired.Wait(within(t, patient)); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("an event is not kept back", func(t *testing.T) {
		g, url := open(t, Config{})
		next := make(chan struct{})
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				fmt.Fprint(w, "data: x\n\n")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-next:
				case <-r.Context().Done():
					return
				}
			}
		})).addr)
		gone, leave := context.WithCancel(ctx)
		defer leave()
		req, err := http.NewRequestWithContext(gone, "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client(t, http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for range 3 {
			if line, err := lines.ReadString('\n'); err != nil || line != "data: x\n" {
				t.Fatalf("got %q (%v)", line, err)
			}
			if _, err := lines.Discard(1); err != nil {
				t.Fatal(err)
			}
			next <- struct{}{}
		}
		leave() // the backend hears of it
		eventually(t, g, "nothing is in flight", func(s Stats) bool { return s.InFlight == 0 })
		if s := g.Stats(); s.Dropped != 0 {
			t.Fatalf("counts: %+v", s)
		}
	})

	t.Run("a body that the backend does not want is not sent", func(t *testing.T) {
		g, url := open(t, Config{})
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		})).addr)
		var read atomic.Int64
		req, err := http.NewRequest("POST", url, io.NopCloser(readerFunc(func(p []byte) (int, error) {
			n := min(int64(len(p)), 1<<20-read.Load())
			return int(n), errOrNil(read.Add(n) == 1<<20)
		})))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 1 << 20
		req.Header.Set("Expect", "100-continue")
		resp, err := client(t, http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 413 || !http2 && read.Load() > 0 {
			t.Fatalf("status %d, %d bytes were read", resp.StatusCode, read.Load())
		}
	})

	t.Run("a body that it wants is asked for", func(t *testing.T) {
		g, url := open(t, Config{})
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprint(w, len(b), err)
		})).addr)
		req, err := http.NewRequest("POST", url, strings.NewReader(strings.Repeat("x", 1<<20)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		resp, err := client(t, http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		answer{status: resp.StatusCode, body: string(b), err: err}.is(t, 200, "1048576 <nil>")
	})

	t.Run("an answer that comes before the body's end arrives whole", func(t *testing.T) {
		g, url := open(t, Config{})
		large := strings.Repeat("y", 1<<20)
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			_, _ = io.WriteString(w, large)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.Copy(io.Discard, r.Body)
		})).addr)
		c := client(t, http2)
		for range 3 { // the second and third over the same connections
			sent, body := io.Pipe()
			req, err := http.NewRequestWithContext(within(t, patient), "POST", url, sent)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = 100 << 10
			answered, written := make(chan struct{}), make(chan struct{})
			go func() { // fails when the transport has no use for the rest
				defer close(written)
				_, _ = io.WriteString(body, "the beginning")
				<-answered
				_, _ = io.WriteString(body, strings.Repeat("x", 100<<10-len("the beginning")))
				body.Close()
			}()
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, len(large))
			if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != large {
				t.Fatalf("read: %v", err)
			}
			close(answered)
			resp.Body.Close()
			receive(t, "end of the body", written)
		}
		eventually(t, g, "nothing is in flight", func(s Stats) bool { return s.InFlight == 0 })
		if s := g.Stats(); s.Dropped != 0 {
			t.Fatalf("counts: %+v", s)
		}
	})

	t.Run("early hints pass", func(t *testing.T) {
		g, url := open(t, Config{})
		g.Swap(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(200)
		})).addr)
		hints := make(chan string, 1)
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints <- fmt.Sprint(code, " ", h.Get("Link"))
			return nil
		}})
		do(traced, client(t, http2), "GET", url, "").is(t, 200, "")
		if got := receive(t, "hints", hints); got != "103 </style.css>" {
			t.Fatalf("got %q", got)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func errOrNil(end bool) error {
	if end {
		return io.EOF
	}
	return nil
}

func TestUpgrade(t *testing.T) {
	// echo takes a connection over and says back each line.
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" {
			w.WriteHeader(http.StatusUpgradeRequired)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(rw, "echo ", line)
			_ = rw.Flush()
		}
	})
	dial := func(t *testing.T, url string) (net.Conn, *bufio.Reader) {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(patient)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("response %+v: %v", resp, err)
		}
		return conn, r
	}
	ask := func(t *testing.T, conn net.Conn, r *bufio.Reader, text string) {
		t.Helper()
		fmt.Fprintln(conn, text)
		if line, err := r.ReadString('\n'); err != nil || line != "echo "+text+"\n" {
			t.Fatalf("got %q (%v)", line, err)
		}
	}

	t.Run("the connection outlives a swap, and wait counts it", func(t *testing.T) {
		g, url := open(t, Config{})
		g.Swap(start(t, echo).addr)
		conn, r := dial(t, url)
		ask(t, conn, r, "one")
		retired := g.Swap(start(t, says("new")).addr)
		ask(t, conn, r, "two")
		if n := retired.InFlight(); n != 1 {
			t.Fatalf("%d in flight", n)
		}
		conn.Close()
		if err := retired.Wait(within(t, patient)); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("shutdown cuts it when its time is up", func(t *testing.T) {
		g, url := open(t, Config{})
		g.Swap(start(t, echo).addr)
		conn, r := dial(t, url)
		ask(t, conn, r, "one")
		if err := g.Shutdown(within(t, 10*time.Millisecond)); err == nil {
			t.Fatal("shutdown said that all had ended")
		}
		if line, err := r.ReadString('\n'); err == nil {
			t.Fatalf("got %q", line)
		}
	})
}
