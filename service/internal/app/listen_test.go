package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dial opens a bare connection that must not outlive the test's patience.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// closed waits until the server closes c, and returns how long that took and
// what it said before.
func closed(t *testing.T, c net.Conn) (time.Duration, string) {
	t.Helper()
	began := time.Now()
	text, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the server never closed the connection")
	}
	return time.Since(began), string(text)
}

func TestSlowAndBrokenClients(t *testing.T) {
	p, err := Server(t.Context(), settings(t, "HTTP_TIMEOUT=300ms"), quiet)
	running(t, p, err)
	t.Run("a connection that says nothing is closed", func(t *testing.T) {
		if took, said := closed(t, dial(t, p.HTTPAddr)); took > 5*time.Second || said != "" {
			t.Errorf("closed after %s with %q", took, said)
		}
	})
	t.Run("a header that never ends is cut off", func(t *testing.T) {
		c := dial(t, p.HTTPAddr)
		fmt.Fprint(c, "GET /api/v1/notes HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		if took, _ := closed(t, c); took > 5*time.Second {
			t.Errorf("closed after %s", took)
		}
	})
	t.Run("a body that never ends is answered with request_timeout and its connection closed", func(t *testing.T) {
		c := dial(t, p.HTTPAddr)
		fmt.Fprint(c, "POST /api/v1/notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		took, said := closed(t, c)
		if took > 5*time.Second || !strings.HasPrefix(said, "HTTP/1.1 504 ") || !strings.Contains(said, `"request_timeout"`) || !strings.Contains(said, "X-Trace-Id: ") {
			t.Errorf("closed after %s with %q", took, said)
		}
	})
	t.Run("a header of a megabyte is refused", func(t *testing.T) {
		c := dial(t, p.HTTPAddr)
		// The server may close before it has read all.
		_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<20))
		if _, said := closed(t, c); said != "" && !strings.HasPrefix(said, "HTTP/1.1 431 ") {
			t.Errorf("it said %q", said)
		}
	})
	for fact, garbage := range map[string]string{
		"TLS":                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"bytes":              "\x00\xff\xfe\x00\r\n\r\n",
		"a broken preface":   "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
		"a preface alone":    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"a wrong version":    "GET / HTTP/9.9\r\n\r\n",
		"a double length":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"a length that lies": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
	} {
		t.Run("garbage is closed and the next client is served: "+fact, func(t *testing.T) {
			c := dial(t, p.HTTPAddr)
			fmt.Fprint(c, garbage)
			if took, _ := closed(t, c); took > 10*time.Second {
				t.Errorf("closed after %s", took)
			}
			if status, e, _ := call(t, http.MethodGet, "http://"+p.HTTPAddr+"/nothing", ""); status != http.StatusNotFound || e.Error.Code != "route_not_found" {
				t.Errorf("answer = %d %+v", status, e)
			}
		})
	}
	t.Run("a client that waits for 100-continue with too large a body is refused before it sends", func(t *testing.T) {
		c := dial(t, p.HTTPAddr)
		fmt.Fprint(c, "POST /api/v1/notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 413 ") {
			t.Errorf("it said %q, %v", line, err)
		}
	})
}

func TestClientThatDoesNotRead(t *testing.T) {
	t.Run("it is cut off soon after the request's time is up", func(t *testing.T) {
		const limit = 100 * time.Millisecond
		wrote := make(chan error, 1)
		endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					wrote <- err
					return
				}
			}
		})
		d, err := open(t.Context(), publicServer(endless, limit), "HTTP_ADDR", "127.0.0.1:0", quiet)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = d.server.Serve(d.listener) }()
		defer func() { d.cut(); _ = d.server.Close() }()
		began := time.Now()
		fmt.Fprint(dial(t, d.listener.Addr().String()), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		select {
		case <-wrote:
			if took := time.Since(began); took < limit {
				t.Errorf("it was cut off after %s, before its time was up", took)
			}
		case <-time.After(patience):
			t.Error("the handler still writes")
		}
	})
}
