package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/chaos/proxy"
	"example.com/goldenpath/devtool/internal/console"
)

// output is what a command says, while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// wait polls until what was said matches, and returns the first group.
func (o *output) wait(t *testing.T, pattern string) string {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var text string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		o.mu.Lock()
		text = o.text.String()
		o.mu.Unlock()
		if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("no match for %s in:\n%s", pattern, text)
	return ""
}

// echo is a dependency that sends back what it gets.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); tasks.Wait() })
	return l.Addr().String()
}

func TestProxy(t *testing.T) {
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := goleak.Find(); err != nil {
			t.Error(err)
		}
	})

	t.Run("its end closes open connections at once, also of clients that stay silent", func(t *testing.T) {
		config := filepath.Join(t.TempDir(), "proxies.json")
		file := fmt.Sprintf(`[{"name":"db","listen":"127.0.0.1:0","upstream":%q}]`, echo(t))
		if err := os.WriteFile(config, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		said := new(output)
		a := &app{Streams: &console.Streams{Out: io.Discard, Err: said}, dir: "/nowhere"}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- a.proxy(ctx, proxyOptions{host: "127.0.0.1", config: config}) }()
		api := said.wait(t, `toxiproxy API on http://(\S+)`)
		db := said.wait(t, `db: (\S+) leads to`)
		var open []net.Conn
		for _, address := range []string{api, db} {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			open = append(open, c)
		}
		if _, err := open[1].Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(open[1], make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post("http://"+api+"/proxies/db/toxics", "application/json", strings.NewReader(`{"type":"latency","attributes":{"latency":60000}}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		said.wait(t, `chaos: db-latency_downstream is on, until \d`)
		if _, err := open[1].Write([]byte("an answer that is held back")); err != nil {
			t.Fatal(err)
		}

		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
		for i, c := range open {
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("connection %d: %v", i, err)
			}
		}
	})

	t.Run("the address that it listens at and the names that are allowed reach the API", func(t *testing.T) {
		hosts, err := proxyOptions{host: "10.0.0.7", allow: []string{"toxiproxy", "::1"}}.hosts()
		if err != nil || fmt.Sprint(hosts) != "[toxiproxy ::1 10.0.0.7]" {
			t.Errorf("%v, %v", hosts, err)
		}
		if hosts, err := (proxyOptions{host: "0.0.0.0"}).hosts(); err != nil || len(hosts) > 0 {
			t.Errorf("every interface: %v, %v", hosts, err)
		}
		for _, bad := range []string{"", "toxiproxy:8474", "http://toxiproxy", "*", "a b"} {
			var f *console.Failure
			if _, err := (proxyOptions{allow: []string{bad}}).hosts(); !errors.As(err, &f) || f.Exit != console.ExitUsage || f.Hint == "" {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
}

func TestProxyDocument(t *testing.T) {
	t.Run("the files that docs/proxy.md shows are valid", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "proxy.md"))
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1)
		if len(blocks) == 0 {
			t.Error("there are none")
		}
		for _, block := range blocks {
			if d, err := proxy.ReadDefinitions(block[1]); err != nil || len(d) == 0 {
				t.Errorf("%s: %v", block[1], err)
			}
		}
	})
}

func TestProxyCheck(t *testing.T) {
	for _, test := range []struct {
		fact  string
		serve http.HandlerFunc
		says  string
	}{
		{"a server of another kind", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }, "no version"},
		{"a refusal", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"host not allowed"}`, http.StatusForbidden)
		}, "it refuses: host not allowed"},
		{"a server that never answers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
	} {
		t.Run(test.fact+" is a no within two seconds", func(t *testing.T) {
			s := httptest.NewServer(test.serve)
			defer s.Close()
			streams, out, _ := console.Buffers()
			began := time.Now()
			err := (&app{Streams: streams}).proxyCheck(context.Background(), strings.TrimPrefix(s.URL, "http://"))
			var f *console.Failure
			if !errors.As(err, &f) || f.Exit != console.ExitNo || f.Hint == "" || !strings.Contains(err.Error(), test.says) || out.Len() > 0 {
				t.Errorf("%v, %s", err, out)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
