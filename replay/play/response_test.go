package play_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/play"
)

func TestResponses(t *testing.T) {
	t.Run("gzip is undone, as in a capture", func(t *testing.T) {
		u, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("%v", r.Header)
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte("hello"))
			_ = z.Close()
		})
		ex := exchange()
		ex.Request.Header.Set("Accept-Encoding", "gzip")
		if b := run(t, ex, play.Options{Target: u})[0].Response.Body; string(b.Bytes) != "hello" || b.Decoded != "gzip" {
			t.Errorf("%+v", b)
		}
	})
	t.Run("trailers are there", func(t *testing.T) {
		u, _ := target(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
		})
		if r := run(t, exchange(), play.Options{Target: u})[0].Response; r.Trailer.Get("Grpc-Status") != "5" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a huge body is truncated", func(t *testing.T) {
		u, _ := target(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 100_000)) })
		if b := run(t, exchange(), play.Options{Target: u, BodyLimit: 1000})[0].Response.Body; b.State != replay.Truncated || len(b.Bytes) != 1000 {
			t.Errorf("%s, %d bytes", b.State, len(b.Bytes))
		}
	})
	t.Run("an answer that never ends is cut off by the timeout", func(t *testing.T) {
		u, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("first"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		a := run(t, exchange(), play.Options{Target: u, Timeout: 50 * time.Millisecond})[0]
		if !errors.Is(a.Err, context.DeadlineExceeded) || a.Response.Body.State != replay.Aborted || string(a.Response.Body.Bytes) != "first" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("a connection that is cut is the attempt's error, and the next is made", func(t *testing.T) {
		u, got := target(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		a := run(t, exchange(), play.Options{Target: u, Repeat: 2})
		if len(a) != 2 || a[0].Err == nil || a[1].Err == nil || len(got()) != 2 {
			t.Errorf("%+v, %d requests", a, len(got()))
		}
	})
	t.Run("nobody at the target is the attempt's error", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u := &url.URL{Scheme: "http", Host: l.Addr().String()}
		_ = l.Close()
		if a := run(t, exchange(), play.Options{Target: u}); a[0].Err == nil || a[0].TraceID == "" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("a context that is done ends it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		u, _ := target(t, func(http.ResponseWriter, *http.Request) { cancel() })
		a, err := play.Play(ctx, exchange(), play.Options{Target: u, Repeat: 100})
		if !errors.Is(err, context.Canceled) || len(a) != 1 {
			t.Errorf("%d, %v", len(a), err)
		}
	})
	t.Run("gRPC goes over HTTP/2 without TLS", func(t *testing.T) {
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Got", fmt.Sprint(r.ProtoMajor, r.Header.Get("Te")))
		}))
		server.Config.Protocols = &protocols
		server.Start()
		defer server.Close()
		u, _ := url.Parse(server.URL)
		ex := exchange()
		ex.Request.Header.Set("Content-Type", "application/grpc+json")
		if a := run(t, ex, play.Options{Target: u})[0]; a.Response.Header.Get("X-Got") != "2trailers" {
			t.Errorf("%+v", a)
		}
	})
}
