package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

func TestFaults(t *testing.T) {
	t.Run("latency acts on an open connection and goes when it is cleared", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		mustAsk(t, c)
		apply(t, e, chaos.Latency, map[string]any{"latency": 300})
		if took := mustAsk(t, c); took < 300*time.Millisecond {
			t.Errorf("with latency took %s", took)
		}
		clear(t, e)
		if took := mustAsk(t, c); took >= 300*time.Millisecond {
			t.Errorf("cleared took %s", took)
		}
	})

	t.Run("clear sends at once what latency held back", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		apply(t, e, chaos.Latency, map[string]any{"latency": 60_000})
		for range 50 {
			if _, err := c.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the fault hit", func() bool { return e.Faults()[0].Hits == 1 })
		clear(t, e)
		if _, err := io.ReadFull(c, make([]byte, 200)); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("faults in both directions add up", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		for _, stream := range []string{chaos.Upstream, chaos.Downstream} {
			if _, err := e.Apply(chaos.Spec{Target: "db", Type: chaos.Latency, Stream: stream, Attributes: map[string]any{"latency": 40}}); err != nil {
				t.Fatal(err)
			}
		}
		if took := mustAsk(t, c); took < 80*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})

	t.Run("down resets open connections, refuses new ones and is gone after clear", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		mustAsk(t, c)
		f := apply(t, e, chaos.Down, nil)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("open connection: %v", err)
		}
		if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("new connection: %v", err)
		}
		if f.ID != "db-down" || f.Hits != 1 {
			t.Errorf("fault is %+v", f)
		}
		clear(t, e)
		mustAsk(t, dial(t, p))
	})

	t.Run("the system gives the port to nobody else while it is down", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("only Linux lets a port be reserved for a listener")
		}
		e, p := start(t, proxy.Config{}, echo(t))
		apply(t, e, chaos.Down, nil)
		other := net.Dialer{LocalAddr: tcpAddr(t, p.Addr())}
		if _, err := other.Dial("tcp", echo(t)); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("use of the port: %v", err)
		}
		clear(t, e)
		mustAsk(t, dial(t, p))
	})

	t.Run("reset is an RST on open idle connections and on new ones", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		mustAsk(t, c)
		apply(t, e, chaos.Reset, nil)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("open connection: %v", err)
		}
		if err := attempt(p); !isReset(err) {
			t.Errorf("new connection: %v", err)
		}
		clear(t, e)
		mustAsk(t, dial(t, p))
	})

	t.Run("reset with a delay lets a connection live that long", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		apply(t, e, chaos.Reset, map[string]any{"timeout": 50})
		c := dial(t, p)
		begin := time.Now()
		mustAsk(t, c)
		_, err := c.Read(make([]byte, 1))
		if took := time.Since(begin); !errors.Is(err, syscall.ECONNRESET) || took < 40*time.Millisecond {
			t.Errorf("%v after %s", err, took)
		}
	})

	t.Run("timeout is silence, on open connections and new ones, and a reset once cleared", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		old := dial(t, p)
		mustAsk(t, old)
		apply(t, e, chaos.Timeout, nil)
		fresh := dial(t, p)
		for name, c := range map[string]*net.TCPConn{"open": old, "new": fresh} {
			c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := ask(c); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s connection: %v", name, err)
			}
			c.SetReadDeadline(time.Now().Add(soon))
		}
		if hits := e.Faults()[0].Hits; hits != 2 {
			t.Errorf("%d hits", hits)
		}
		clear(t, e)
		for name, c := range map[string]*net.TCPConn{"open": old, "new": fresh} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s connection once cleared: %v", name, err)
			}
		}
		mustAsk(t, dial(t, p))
	})

	t.Run("timeout with a value closes after that long", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		mustAsk(t, c)
		apply(t, e, chaos.Timeout, map[string]any{"timeout": 40})
		if _, err := ask(c); !errors.Is(err, io.EOF) {
			t.Errorf("open connection: %v", err)
		}
	})

	t.Run("timeout hides that the dependency has closed", func(t *testing.T) {
		closeIt := make(chan struct{})
		e, p := start(t, proxy.Config{}, server(t, func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 4))
			c.Write([]byte("ping"))
			<-closeIt
		}))
		c := dial(t, p)
		mustAsk(t, c)
		apply(t, e, chaos.Timeout, nil)
		close(closeIt)
		c.SetReadDeadline(time.Now().Add(80 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
	})

	t.Run("bandwidth is a rate", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		apply(t, e, chaos.Bandwidth, map[string]any{"rate": 100})
		begin := time.Now()
		go c.Write(make([]byte, 20_000))
		if _, err := io.ReadFull(c, make([]byte, 20_000)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 180*time.Millisecond || took > 2*time.Second {
			t.Errorf("20 kB at 100 kB/s took %s", took)
		}
	})

	t.Run("limit-data lets exactly that much through and closes", func(t *testing.T) {
		gone := make(chan struct{})
		e, p := start(t, proxy.Config{}, server(t, func(c *net.TCPConn) {
			defer close(gone)
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}))
		apply(t, e, chaos.LimitData, map[string]any{"bytes": 16_001})
		got, err := io.ReadAll(dial(t, p))
		if len(got) != 16_001 || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		<-gone
	})

	t.Run("slow-close holds back the end", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, server(t, func(c *net.TCPConn) { c.Write([]byte("bye")) }))
		apply(t, e, chaos.SlowClose, map[string]any{"delay": 80})
		begin := time.Now()
		got, err := io.ReadAll(dial(t, p))
		if took := time.Since(begin); string(got) != "bye" || err != nil || took < 80*time.Millisecond {
			t.Errorf("%q, %v after %s", got, err, took)
		}
	})

	t.Run("clear ends a slow close of an hour", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, server(t, func(c *net.TCPConn) { c.Write([]byte("bye")) }))
		apply(t, e, chaos.SlowClose, map[string]any{"delay": 3_600_000})
		c := dial(t, p)
		if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		clear(t, e)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read: %v", err)
		}
	})

	t.Run("slicer cuts answers into small pieces and changes none", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		apply(t, e, chaos.Slicer, map[string]any{"average_size": 8, "size_variation": 4, "delay": 1000})
		sent := pattern(256)
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		var got []byte
		reads := 0
		for len(got) < len(sent) {
			b := make([]byte, 256)
			n, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
			reads++
		}
		if string(got) != string(sent) || reads < 16 {
			t.Errorf("%d reads, same bytes: %t", reads, string(got) == string(sent))
		}
	})
}

// attempt connects and asks.
func attempt(p *proxy.Proxy) error {
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(soon))
	_, err = ask(c)
	return err
}

// isReset reports whether a connection was reset: while it was dialed, read, or
// written to once more.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// tcpAddr parses an address.
func tcpAddr(t *testing.T, address string) *net.TCPAddr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// pattern gives bytes in which a lost or moved one shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13 + i>>16*29)
	}
	return b
}
