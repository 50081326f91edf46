package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

// flood is a dependency that sends n bytes of pattern for each byte it gets.
func flood(t testing.TB, n int) string {
	sent := pattern(n)
	return server(t, func(c *net.TCPConn) {
		for {
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				return
			}
			if _, err := c.Write(sent); err != nil {
				return
			}
		}
	})
}

func TestStalledClient(t *testing.T) {
	const size = 32 << 20
	// What a call may take: as a rule, and on a machine that is busy.
	const most, worst = 250 * time.Millisecond, 5 * time.Second
	var all []time.Duration

	// stall starts a download and stops reading in the middle of it.
	stall := func(t *testing.T, p *proxy.Proxy) *net.TCPConn {
		c := dial(t, p)
		c.SetDeadline(time.Now().Add(60 * time.Second))
		c.Write([]byte{1})
		if _, err := io.ReadFull(c, make([]byte, size/4)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	timed := func(t *testing.T, what string, do func()) {
		t.Helper()
		begin := time.Now()
		do()
		took := time.Since(begin)
		all = append(all, took)
		if took > worst {
			t.Errorf("%s took %s", what, took)
		}
	}

	t.Run("faults come and go while a client does not read, and it loses no byte", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, flood(t, size))
		c := stall(t, p)
		other := dial(t, p)
		for range 4 {
			for _, f := range []chaos.Spec{
				{Type: chaos.Latency, Attributes: map[string]any{"latency": 20, "jitter": 10}},
				{Type: chaos.Bandwidth, Attributes: map[string]any{"rate": 50_000}},
				{Type: chaos.Slicer, Attributes: map[string]any{"average_size": 4096, "size_variation": 1000, "delay": 10}},
				{Type: chaos.SlowClose, Attributes: map[string]any{"delay": 10}},
			} {
				f.Target = "db"
				timed(t, "apply "+f.Type, func() {
					if _, err := e.Apply(f); err != nil {
						t.Fatal(err)
					}
				})
			}
			fresh := dial(t, p)
			fresh.Write([]byte{1})
			if _, err := io.ReadFull(fresh, make([]byte, 100)); err != nil {
				t.Errorf("new client: %v", err)
			}
			timed(t, "clear of the first", func() {
				if _, err := e.Clear("db-latency"); err != nil {
					t.Error(err)
				}
			})
			timed(t, "clear", func() { clear(t, e) })
		}
		other.Write([]byte{1})
		if _, err := io.ReadFull(other, make([]byte, 1<<20)); err != nil {
			t.Errorf("another client: %v", err)
		}
		rest := make([]byte, size-size/4)
		if _, err := io.ReadFull(c, rest); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(rest, pattern(size)[size/4:]) {
			t.Error("the stalled client got other bytes than were sent")
		}
	})

	t.Run("down, reset and timeout reach a client that does not read", func(t *testing.T) {
		for _, typ := range []string{chaos.Down, chaos.Reset, chaos.Timeout} {
			e, p := start(t, proxy.Config{}, flood(t, size))
			c := stall(t, p)
			timed(t, typ, func() { apply(t, e, typ, nil) })
			timed(t, "clear", func() { clear(t, e) })
			if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: %v", typ, err)
			}
			mustNotWait := dial(t, p)
			mustNotWait.Write([]byte{1})
			if _, err := io.ReadFull(mustNotWait, make([]byte, 100)); err != nil {
				t.Errorf("after %s: %v", typ, err)
			}
		}
	})

	t.Run("close does not wait for a client that does not read", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, flood(t, size))
		stall(t, p)
		apply(t, e, chaos.Bandwidth, map[string]any{"rate": 1})
		timed(t, "close", func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	})

	t.Run("a call takes at most a quarter of a second as a rule", func(t *testing.T) {
		slices.Sort(all)
		if took := all[len(all)*9/10]; took > most {
			t.Errorf("one in ten takes over %s", took)
		}
	})
}

func TestSwitch(t *testing.T) {
	t.Run("no byte is lost or moved while faults come and go under load", func(t *testing.T) {
		e, p := start(t, proxy.Config{Seed: 7}, echo(t))
		done := make(chan struct{})
		var clients sync.WaitGroup
		var moved atomic.Int64
		for n := range 6 {
			c := dial(t, p)
			c.SetDeadline(time.Now().Add(30 * time.Second))
			random := rand.New(rand.NewPCG(1, uint64(n)))
			sent, got := sha256.New(), sha256.New()
			// So many pieces may be under way: enough for every buffer to have
			// some when the faults change.
			under := make(chan int64, 40)
			clients.Go(func() {
				defer close(under)
				for {
					select {
					case <-done:
						c.CloseWrite()
						return
					default:
					}
					b := make([]byte, 8+random.IntN(20_000))
					binary.BigEndian.PutUint64(b, random.Uint64())
					sent.Write(b)
					under <- int64(len(b))
					if _, err := c.Write(b); err != nil {
						t.Errorf("write: %v", err)
						return
					}
				}
			})
			clients.Go(func() {
				for n := range under {
					got, err := io.CopyN(got, c, n)
					if err != nil {
						t.Errorf("read: %v", err)
					}
					moved.Add(got)
				}
				if rest, err := io.Copy(got, c); rest != 0 || err != nil {
					t.Errorf("%d bytes more than were sent, %v", rest, err)
				}
				if !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
					t.Error("got other bytes than were sent")
				}
			})
		}
		random := rand.New(rand.NewPCG(2, 2))
		for range 150 {
			stream := []string{chaos.Upstream, chaos.Downstream}[random.IntN(2)]
			f := []chaos.Spec{
				{Type: chaos.Latency, Attributes: map[string]any{"latency": 2, "jitter": 2}},
				{Type: chaos.Latency, Attributes: map[string]any{"latency": 300}},
				{Type: chaos.Bandwidth, Attributes: map[string]any{"rate": 20_000}},
				{Type: chaos.Slicer, Attributes: map[string]any{"average_size": 900, "size_variation": 899}},
				{Type: chaos.SlowClose, Attributes: map[string]any{"delay": 5}},
			}[random.IntN(5)]
			f.Target, f.Stream, f.Probability = "db", stream, 0.7
			if _, err := e.Apply(f); err != nil {
				t.Fatal(err)
			}
			if faults := e.Faults(); random.IntN(3) == 0 {
				if _, err := e.Clear(faults[random.IntN(len(faults))].ID); err != nil {
					t.Fatal(err)
				}
			}
			if random.IntN(8) == 0 {
				clear(t, e)
			}
		}
		clear(t, e)
		close(done)
		clients.Wait()
		if moved.Load() == 0 {
			t.Error("nothing moved")
		}
	})

	t.Run("faults that come and go under 2000 connections leave nothing behind", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes seconds")
		}
		e, p := start(t, proxy.Config{}, echo(t))
		var clients sync.WaitGroup
		stop := make(chan struct{})
		toggled := make(chan struct{})
		go func() {
			defer close(toggled)
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				typ := []string{chaos.Latency, chaos.Down, chaos.LimitData, chaos.Reset, chaos.Timeout}[n%5]
				attributes := map[string]map[string]any{chaos.Latency: {"latency": 1}, chaos.LimitData: {"bytes": 6}}[typ]
				e.Apply(chaos.Spec{Target: "db", Type: typ, Attributes: attributes, Probability: []float64{1, 0.5}[n%2]})
				<-tick.C
				e.Clear()
			}
		}()
		var answered atomic.Int64
		for range 20 {
			clients.Go(func() {
				for range 100 {
					c, err := net.Dial("tcp", p.Addr())
					if err != nil {
						continue
					}
					c.SetDeadline(time.Now().Add(soon))
					for range 3 {
						if _, err := ask(c); err == nil {
							answered.Add(1)
						} else if errors.Is(err, os.ErrDeadlineExceeded) {
							t.Errorf("ask: %v", err)
						}
					}
					c.Close()
				}
			})
		}
		clients.Wait()
		close(stop)
		<-toggled
		mustAsk(t, dial(t, p))
		if answered.Load() == 0 {
			t.Error("no request was answered")
		}
	})
}

func TestEnds(t *testing.T) {
	t.Run("a client that half-closes still gets its answer", func(t *testing.T) {
		for _, latency := range []int{0, 30} {
			e, p := start(t, proxy.Config{}, server(t, func(c *net.TCPConn) {
				b, _ := io.ReadAll(c)
				c.Write(append([]byte("got "), b...))
			}))
			apply(t, e, chaos.Latency, map[string]any{"latency": latency})
			if latency == 0 {
				clear(t, e)
			}
			c := dial(t, p)
			c.Write([]byte("all"))
			c.CloseWrite()
			if got, err := io.ReadAll(c); string(got) != "got all" || err != nil {
				t.Errorf("latency %d: %q, %v", latency, got, err)
			}
		}
	})

	t.Run("a reset by the dependency arrives as a reset, with a fault and without", func(t *testing.T) {
		for _, faulty := range []bool{false, true} {
			e, p := start(t, proxy.Config{}, server(t, func(c *net.TCPConn) {
				c.SetLinger(0)
				io.ReadFull(c, make([]byte, 1))
			}))
			if faulty {
				apply(t, e, chaos.Latency, map[string]any{"latency": 5})
			}
			c := dial(t, p)
			c.Write([]byte("x"))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("fault %t: %v", faulty, err)
			}
		}
	})

	t.Run("a dependency that is not there is a reset at once, and an event", func(t *testing.T) {
		l := listen(t)
		l.Close()
		events := make(chan proxy.Event, 10)
		_, p := start(t, proxy.Config{OnEvent: func(e proxy.Event) { events <- e }}, l.Addr().String())
		if err := attempt(p); !isReset(err) {
			t.Errorf("ask: %v", err)
		}
		if e := <-events; e.Kind != proxy.Unreachable || e.Proxy != "db" || !errors.Is(e.Err, syscall.ECONNREFUSED) {
			t.Errorf("event is %+v", e)
		}
	})

	t.Run("a new upstream serves new connections and leaves open ones alone", func(t *testing.T) {
		_, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		mustAsk(t, c)
		p.SetUpstream(server(t, func(c *net.TCPConn) { c.Write([]byte("new")) }))
		mustAsk(t, c)
		if got, err := io.ReadAll(dial(t, p)); string(got) != "new" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		p.CloseConnections()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("closed connection: %v", err)
		}
	})

	t.Run("close resets what is open, and what is asked afterwards is refused", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		c := dial(t, p)
		mustAsk(t, c)
		for range 2 {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("open connection: %v", err)
		}
		if _, err := e.Apply(chaos.Spec{Target: "db", Type: chaos.Down}); !errors.Is(err, proxy.ErrClosed) {
			t.Errorf("apply: %v", err)
		}
		if _, err := e.Clear(); !errors.Is(err, proxy.ErrClosed) {
			t.Errorf("clear: %v", err)
		}
		if _, err := e.Add("other", "tcp", listen(t), "127.0.0.1:1"); !errors.Is(err, proxy.ErrClosed) {
			t.Errorf("add: %v", err)
		}
	})
}
