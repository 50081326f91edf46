package record_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/record"
)

func TestStreaming(t *testing.T) {
	t.Run("events arrive as they are flushed", func(t *testing.T) {
		proceed := make(chan struct{})
		server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				<-proceed
			}
		}, nil)
		response, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		lines := bufio.NewScanner(response.Body)
		for i := range 3 {
			if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) {
				t.Fatalf("event %d: %q", i, lines.Text())
			}
			lines.Scan()
			proceed <- struct{}{}
		}
		if b := s.next(t).Response.Body; b.State != replay.Full || string(b.Bytes) != "data: 0\n\ndata: 1\n\ndata: 2\n\n" {
			t.Errorf("%s %q", b.State, b.Bytes)
		}
	})
	t.Run("files are captured on their way", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file.txt")
		content := strings.Repeat("0123456789\n", 10_000)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		server, s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) },
			func(c *record.Config) { c.ResponseLimit = 1000 })
		response, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, response); got != content {
			t.Errorf("the client got %d bytes of %d", len(got), len(content))
		}
		b := s.next(t).Response.Body
		if b.State != replay.Truncated || b.Size != int64(len(content)) || !strings.HasPrefix(content, string(b.Bytes[:900])) {
			t.Errorf("%s, %d bytes, kept %d", b.State, b.Size, len(b.Bytes))
		}
	})
	t.Run("a source that fails is not a client that went away", func(t *testing.T) {
		for _, limit := range []int{3, 1000} { // the source fails behind the limit, and before it
			server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				_, err := io.Copy(w, io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(errors.New("disk on fire"))))
				_, _ = io.WriteString(w, "! "+err.Error())
			}, func(c *record.Config) { c.ResponseLimit = limit })
			response, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, response); got != "hello! disk on fire" {
				t.Errorf("the client got %q", got)
			}
			if b := s.next(t).Response.Body; b.State == replay.Aborted || b.Size != 19 {
				t.Errorf("%s, %d bytes", b.State, b.Size)
			}
		}
	})
	t.Run("strings are captured", func(t *testing.T) {
		server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, nil)
		response, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		text(t, response)
		ex := s.next(t)
		if string(ex.Response.Body.Bytes) != "hello" || ex.Response.Header.Get("Content-Type") != response.Header.Get("Content-Type") {
			t.Errorf("%+v", ex.Response)
		}
	})
	t.Run("an upgraded connection is the handler's", func(t *testing.T) {
		server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw")
			_ = rw.Flush()
		}, nil)
		conn := dial(t, server)
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		if got, err := io.ReadAll(conn); err != nil || !bytes.HasSuffix(got, []byte("raw")) {
			t.Errorf("%q, %v", got, err)
		}
		if ex := s.next(t); ex.Request.Body.State != replay.Upgraded || ex.Response.Body.State != replay.Upgraded {
			t.Errorf("%s, %s", ex.Request.Body.State, ex.Response.Body.State)
		}
	})
	t.Run("trailers are kept, announced or not", func(t *testing.T) {
		server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write([]byte("x"))
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		}, nil)
		response, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		text(t, response)
		if response.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("the client got %v", response.Trailer)
		}
		ex := s.next(t)
		if ex.Response.Trailer.Get("X-Sum") != "1" || ex.Response.Trailer.Get("Grpc-Status") != "0" || ex.Response.Header.Get("X-Sum") != "" {
			t.Errorf("%+v", ex.Response)
		}
	})
	t.Run("a stream of HTTP/2 without a length is not waited for", func(t *testing.T) {
		s := make(sink, 1)
		server := httptest.NewUnstartedServer(record.Middleware(record.Config{Sink: s, DrainTimeout: time.Hour})(
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })))
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		body, feed := io.Pipe()
		defer func() { _ = feed.Close() }()
		response, err := server.Client().Post(server.URL, "application/grpc", body)
		if err != nil {
			t.Fatal(err)
		}
		text(t, response)
		if ex := s.next(t); ex.Request.Body.State != replay.Unread || ex.Request.Proto != "HTTP/2.0" {
			t.Errorf("%+v", ex.Request)
		}
	})
}
