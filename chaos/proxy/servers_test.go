package proxy_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is how long a test waits for what should take no time.
const soon = 5 * time.Second

// listen opens a port of this machine.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// server is a dependency: it serves each connection until the test ends.
func server(t testing.TB, serve func(*net.TCPConn)) string {
	t.Helper()
	l := listen(t)
	var tasks sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			tasks.Go(func() {
				defer func() {
					mu.Lock()
					delete(open, c)
					mu.Unlock()
					c.Close()
				}()
				serve(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		tasks.Wait()
	})
	return l.Addr().String()
}

// echo is a dependency that sends back what it gets.
func echo(t testing.TB) string {
	return server(t, func(c *net.TCPConn) { io.Copy(c, c) })
}

// start makes an engine with one proxy named db.
func start(t testing.TB, config proxy.Config, upstream string) (*proxy.Engine, *proxy.Proxy) {
	t.Helper()
	e := proxy.New(config)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	p, err := e.Add("db", "tcp", listen(t), upstream)
	if err != nil {
		t.Fatal(err)
	}
	return e, p
}

// apply puts a fault on db in force.
func apply(t testing.TB, e *proxy.Engine, typ string, attributes map[string]any) chaos.Fault {
	t.Helper()
	f, err := e.Apply(chaos.Spec{Target: "db", Type: typ, Attributes: attributes})
	if err != nil {
		t.Fatalf("apply %s: %v", typ, err)
	}
	return f
}

// clear ends all faults.
func clear(t testing.TB, e *proxy.Engine) {
	t.Helper()
	if _, err := e.Clear(); err != nil {
		t.Fatalf("clear: %v", err)
	}
}

// dial connects to the proxy, with a time limit on all that is done there.
func dial(t testing.TB, p *proxy.Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(soon))
	return c.(*net.TCPConn)
}

// ask sends a few bytes to an echo, waits until they are back and returns how
// long it took.
func ask(c net.Conn) (time.Duration, error) {
	begin := time.Now()
	if _, err := c.Write([]byte("ping")); err != nil {
		return 0, err
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil {
		return 0, err
	}
	if string(got) != "ping" {
		return 0, errors.New("echo of ping is " + string(got))
	}
	return time.Since(begin), nil
}

// mustAsk is ask for what must succeed.
func mustAsk(t testing.TB, c net.Conn) time.Duration {
	t.Helper()
	took, err := ask(c)
	if err != nil {
		t.Fatalf("ask: %v", err)
	}
	return took
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(soon)
	defer limit.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("never came true: %s", what)
		}
	}
}
