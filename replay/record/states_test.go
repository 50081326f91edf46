package record_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/record"
)

func TestBodyStates(t *testing.T) {
	const limit = 1000
	small, large := strings.Repeat("a", 500), strings.Repeat("a", 5000)
	limits := func(c *record.Config) { c.RequestLimit, c.ResponseLimit = limit, limit }
	for name, c := range map[string]struct {
		body              string
		handler           http.HandlerFunc
		request, response replay.BodyState
		size              int64
	}{
		"read to the end":                {small, echo, replay.Full, replay.Full, 500},
		"read to the end, and too large": {large, echo, replay.Truncated, replay.Truncated, 5000},
		"not read": {small, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
		}, replay.Full, replay.Full, 500},
		"read in part and closed": {small, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 10))
			_ = r.Body.Close()
		}, replay.Full, replay.Full, 500},
		"read to its length and no further": {small, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadFull(r.Body, make([]byte, 500))
		}, replay.Full, replay.Full, 500},
		"no body": {"", echo, replay.Full, replay.Full, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server, s := serve(t, c.handler, limits)
			text(t, post(t, server, strings.NewReader(c.body)))
			ex := s.next(t)
			if b := ex.Request.Body; b.State != c.request || b.Size != c.size {
				t.Errorf("request body %s of %d bytes", b.State, b.Size)
			}
			if ex.Response.Body.State != c.response {
				t.Errorf("response body %s", ex.Response.Body.State)
			}
		})
	}
	t.Run("a large body that is not read is drained to the limit", func(t *testing.T) {
		server, s := serve(t, func(http.ResponseWriter, *http.Request) {}, limits)
		text(t, post(t, server, strings.NewReader(large)))
		if b := s.next(t).Request.Body; b.State != replay.Truncated || b.Size < limit {
			t.Errorf("%s, %d bytes", b.State, b.Size)
		}
	})
	t.Run("a closed body reads as closed", func(t *testing.T) {
		errs := make(chan error, 1)
		server, s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_ = r.Body.Close()
			_, err := r.Body.Read(make([]byte, 1))
			errs <- err
		}, nil)
		text(t, post(t, server, strings.NewReader(small)))
		s.next(t)
		if err := <-errs; !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a client that waits for 100 Continue is not made to send", func(t *testing.T) {
		server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, nil)
		conn := dial(t, server)
		_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != http.StatusForbidden {
			t.Fatalf("%v, %v", response, err)
		}
		if b := s.next(t).Request.Body; b.State != replay.Unread || b.Size != 0 {
			t.Errorf("%s, %d bytes", b.State, b.Size)
		}
	})
	t.Run("a client that is slow does not hold up the response", func(t *testing.T) {
		server, s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
			func(c *record.Config) { c.DrainTimeout = time.Millisecond })
		conn := dial(t, server)
		_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != http.StatusForbidden {
			t.Fatalf("%v, %v", response, err)
		}
		if b := s.next(t).Request.Body; b.State != replay.Unread {
			t.Errorf("%s %q", b.State, b.Bytes)
		}
	})
	t.Run("a client that goes away while it sends", func(t *testing.T) {
		server, s := serve(t, echo, nil)
		conn := dial(t, server)
		_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nab")
		_ = conn.Close()
		ex := s.next(t)
		if ex.Request.Body.State != replay.Aborted {
			t.Errorf("request body %s", ex.Request.Body.State)
		}
	})
	t.Run("a client that goes away while it is answered", func(t *testing.T) {
		server, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("first half"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, nil)
		conn := dial(t, server)
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if b := s.next(t).Response.Body; b.State != replay.Aborted || !strings.HasPrefix(string(b.Bytes), "first ") {
			t.Errorf("%s %q", b.State, b.Bytes)
		}
	})
	t.Run("a body over an outer limit is truncated", func(t *testing.T) {
		s := make(sink, 1)
		h := http.MaxBytesHandler(record.Middleware(record.Config{Sink: s})(http.HandlerFunc(echo)), 100)
		server := httptest.NewServer(h)
		defer server.Close()
		if got := text(t, post(t, server, strings.NewReader(large))); !strings.Contains(got, "too large") {
			t.Errorf("the client got %q", got)
		}
		if b := s.next(t).Request.Body; b.State != replay.Truncated {
			t.Errorf("%s", b.State)
		}
	})
}
