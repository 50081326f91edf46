package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/goldenpath/service/internal/observability"
)

// held is a process whose handler holds requests until they are released or
// their context ends.
type held struct {
	*Process
	entered chan struct{}
	release chan struct{}
	ended   chan error // the handler's context, when it was not released
}

func newHeld(t *testing.T, shutdown time.Duration) *held {
	t.Helper()
	h := &held{entered: make(chan struct{}, 1), release: make(chan struct{}), ended: make(chan error, 1)}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.entered <- struct{}{}
		select {
		case <-h.release:
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
			h.ended <- r.Context().Err()
		}
	})
	p := &Process{log: quiet, health: observability.NewHealth(), shutdownTimeout: shutdown}
	var err error
	if p.public, err = open(t.Context(), publicServer(handler, time.Minute), "HTTP_ADDR", "127.0.0.1:0", quiet); err != nil {
		t.Fatal(err)
	}
	if p.admin, err = open(t.Context(), adminServer(observability.AdminHandler(p.health, observability.NewMetrics())), "ADMIN_ADDR", "127.0.0.1:0", quiet); err != nil {
		t.Fatal(err)
	}
	p.HTTPAddr, p.AdminAddr = p.public.listener.Addr().String(), p.admin.listener.Addr().String()
	h.Process = p
	return h
}

func TestEnd(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
		client := func(t *testing.T) *http.Client {
			p := new(http.Protocols)
			p.SetHTTP1(proto == "HTTP/1.1")
			p.SetUnencryptedHTTP2(proto == "HTTP/2")
			transport := &http.Transport{Protocols: p}
			t.Cleanup(transport.CloseIdleConnections)
			return &http.Client{Transport: transport}
		}
		get := func(t *testing.T, c *http.Client, url string) <-chan string {
			answer := make(chan string, 1)
			go func() {
				r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
				if err != nil {
					answer <- err.Error()
					return
				}
				response, err := c.Do(r)
				if err != nil {
					answer <- "cut: " + err.Error()
					return
				}
				defer response.Body.Close()
				text, err := io.ReadAll(response.Body)
				if err != nil {
					answer <- "cut: " + err.Error()
					return
				}
				answer <- response.Proto + " " + string(text)
			}()
			return answer
		}
		t.Run("requests in flight finish, new ones are refused, readiness says draining: "+proto, func(t *testing.T) {
			h := newHeld(t, patience)
			ctx, end := context.WithCancel(t.Context())
			defer end()
			ran := make(chan error, 1)
			go func() { ran <- h.Run(ctx) }()
			answer := get(t, client(t), "http://"+h.HTTPAddr)
			<-h.entered
			end()
			eventually(t, "the port closes", func() bool {
				c, err := net.Dial("tcp", h.HTTPAddr)
				if err == nil {
					_ = c.Close()
				}
				return err != nil
			})
			if status, e, _ := call(t, http.MethodGet, "http://"+h.AdminAddr+"/readyz", ""); status != http.StatusServiceUnavailable || e.Status != "draining" {
				t.Errorf("readiness = %d %+v", status, e)
			}
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			close(h.release)
			if got := <-answer; !strings.HasPrefix(got, proto) || !strings.HasSuffix(got, " done") {
				t.Errorf("answer = %q", got)
			}
			if err := <-ran; err != nil {
				t.Errorf("Run = %v", err)
			}
		})
		t.Run("a request that does not end is cut off, and Run says so: "+proto, func(t *testing.T) {
			h := newHeld(t, 50*time.Millisecond)
			ctx, end := context.WithCancel(t.Context())
			defer end()
			ran := make(chan error, 1)
			go func() { ran <- h.Run(ctx) }()
			answer := get(t, client(t), "http://"+h.HTTPAddr)
			<-h.entered
			end()
			if err := <-ran; err == nil || !strings.Contains(err.Error(), "requests were cut off after 50ms") {
				t.Errorf("Run = %v", err)
			}
			if err := <-h.ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the handler's context ended with %v", err)
			}
			<-answer
		})
	}
	t.Run("a worker's work ends with the process, or is cut off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			p := &Process{log: quiet, shutdownTimeout: time.Second}
			worked := make(chan struct{})
			go func() { <-release; close(worked) }()
			if err := p.drain(worked); err == nil || !strings.Contains(err.Error(), "work was cut off after 1s") {
				t.Errorf("drain = %v", err)
			}
			close(release)
			<-worked
			if err := p.drain(worked); err != nil {
				t.Errorf("drain = %v", err)
			}
		})
	})
	t.Run("parts close in the reverse order, each told apart, and one that hangs is left behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			var order []string
			p := &Process{log: quiet}
			p.atEnd("first", func(context.Context) error { order = append(order, "first"); return errors.New("broken") })
			p.atEnd("second", func(context.Context) error { order = append(order, "second"); return nil })
			p.atEnd("hung", func(context.Context) error { <-release; return nil })
			began := time.Now()
			err := p.Close()
			if err == nil || !strings.Contains(err.Error(), "close hung: context deadline exceeded") || !strings.Contains(err.Error(), "close first: broken") {
				t.Errorf("Close = %v", err)
			}
			if strings.Join(order, " ") != "second first" || time.Since(began) > flushTimeout+time.Second {
				t.Errorf("order %v after %s", order, time.Since(began))
			}
			close(release)
		})
	})
	t.Run("a part that fails ends the process with its error", func(t *testing.T) {
		h := newHeld(t, time.Second)
		h.work = func(context.Context) error { return errors.New("no license to work") }
		if err := h.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no license to work") {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestPort(t *testing.T) {
	t.Run("a taken port is named with what helps", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, err = Server(t.Context(), settings(t, "HTTP_ADDR="+l.Addr().String()), quiet)
		var start *startError
		if !errors.As(err, &start) || !strings.Contains(err.Error(), "HTTP_ADDR") || !strings.Contains(start.hint, "another port") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("an admin port that is taken leaves nothing open", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, start := range []func() (*Process, error){
			func() (*Process, error) {
				return Server(t.Context(), settings(t, "ADMIN_ADDR="+l.Addr().String()), quiet)
			},
			func() (*Process, error) {
				return Worker(t.Context(), settings(t, "WORKER_ADMIN_ADDR="+l.Addr().String()), quiet)
			},
			func() (*Process, error) {
				return Scheduler(t.Context(), settings(t, "SCHEDULER_ADMIN_ADDR="+l.Addr().String()), quiet)
			},
		} {
			if _, err := start(); err == nil || !strings.Contains(err.Error(), "ADMIN_ADDR") {
				t.Errorf("err = %v", err)
			}
		}
	})
}
