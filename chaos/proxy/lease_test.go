package proxy_test

import (
	"errors"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

// clock is a clock that stands still until it is moved.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[int]timer
	made   int
}

type timer struct {
	at time.Time
	do func()
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), timers: make(map[int]timer)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	n := c.made
	c.timers[n] = timer{c.now.Add(d), f}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.timers[n]
		delete(c.timers, n)
		return waiting
	}
}

// move moves the clock on and waits for what is due.
func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for n, t := range c.timers {
		if !t.at.After(c.now) {
			due = append(due, t.do)
			delete(c.timers, n)
		}
	}
	c.mu.Unlock()
	for _, do := range due {
		do()
	}
}

func (c *clock) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// log keeps the kinds of events with the fault that they are about.
type log struct {
	mu   sync.Mutex
	said []string
}

func (l *log) event(e proxy.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, string(e.Kind)+" "+e.Fault.ID)
}

func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.said)
}

func TestLease(t *testing.T) {
	t.Run("a fault ends by itself, and says so", func(t *testing.T) {
		c, l := newClock(), new(log)
		e, p := start(t, proxy.Config{Now: c.Now, AfterFunc: c.AfterFunc, OnEvent: l.event}, echo(t))
		f, err := e.Apply(chaos.Spec{Target: "db", Type: chaos.Down, For: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if want := c.Now().Add(30 * time.Second); !f.ExpiresAt.Equal(want) {
			t.Errorf("expires at %s, want %s", f.ExpiresAt, want)
		}
		c.move(29 * time.Second)
		if len(e.Faults()) != 1 {
			t.Error("ended too soon")
		}
		c.move(time.Second)
		if faults := e.Faults(); len(faults) != 0 {
			t.Errorf("left: %+v", faults)
		}
		mustAsk(t, dial(t, p))
		if said := l.all(); !slices.Equal(said, []string{"fault on db-down", "fault expired db-down"}) {
			t.Errorf("events: %v", said)
		}
	})

	t.Run("without one it is 15 minutes", func(t *testing.T) {
		c := newClock()
		e, _ := start(t, proxy.Config{Now: c.Now, AfterFunc: c.AfterFunc}, echo(t))
		if f := apply(t, e, chaos.Down, nil); !f.ExpiresAt.Equal(c.Now().Add(15 * time.Minute)) {
			t.Errorf("expires at %s", f.ExpiresAt)
		}
	})

	t.Run("a fault that is applied again takes the place of the first and its lease", func(t *testing.T) {
		c, l := newClock(), new(log)
		e, _ := start(t, proxy.Config{Now: c.Now, AfterFunc: c.AfterFunc, OnEvent: l.event}, echo(t))
		apply(t, e, chaos.Latency, map[string]any{"latency": 5})
		c.move(10 * time.Minute)
		apply(t, e, chaos.Latency, map[string]any{"latency": 7})
		c.move(10 * time.Minute)
		faults := e.Faults()
		if len(faults) != 1 || faults[0].Attributes["latency"] != int64(7) {
			t.Errorf("faults: %+v", faults)
		}
		if n := c.waiting(); n != 1 {
			t.Errorf("%d leases run", n)
		}
	})

	t.Run("no lease runs on after clear or close", func(t *testing.T) {
		c := newClock()
		e, _ := start(t, proxy.Config{Now: c.Now, AfterFunc: c.AfterFunc}, echo(t))
		apply(t, e, chaos.Down, nil)
		clear(t, e)
		if n := c.waiting(); n != 0 {
			t.Errorf("%d leases run after clear", n)
		}
		apply(t, e, chaos.Down, nil)
		e.Close()
		if n := c.waiting(); n != 0 {
			t.Errorf("%d leases run after close", n)
		}
	})

	t.Run("clear ends the faults that are named, and none when one is unknown", func(t *testing.T) {
		e, _ := start(t, proxy.Config{}, echo(t))
		apply(t, e, chaos.Latency, map[string]any{"latency": 5})
		apply(t, e, chaos.SlowClose, map[string]any{"delay": 5})
		if _, err := e.Clear("db-latency", "db-nothing"); !errors.Is(err, proxy.ErrUnknownFault) {
			t.Errorf("unknown: %v", err)
		}
		cleared, err := e.Clear("db-latency")
		if err != nil || len(cleared) != 1 || cleared[0].ID != "db-latency" {
			t.Errorf("cleared %+v, %v", cleared, err)
		}
		if faults := e.Faults(); len(faults) != 1 || faults[0].ID != "db-slow-close" {
			t.Errorf("left: %+v", faults)
		}
	})

	t.Run("a fault on nothing that is known, or that is wrong, is refused", func(t *testing.T) {
		e, _ := start(t, proxy.Config{}, echo(t))
		if _, err := e.Apply(chaos.Spec{Target: "cache", Type: chaos.Down}); !errors.Is(err, proxy.ErrUnknownProxy) {
			t.Errorf("unknown target: %v", err)
		}
		var usage *chaos.UsageError
		for _, s := range []chaos.Spec{
			{Type: "laser"},
			{Type: chaos.Latency, Attributes: map[string]any{"latency": "much"}},
			{Type: chaos.Down, Probability: math.NaN()},
			{Type: chaos.Slicer, Attributes: map[string]any{"average_size": 0}},
		} {
			s.Target = "db"
			if _, err := e.Apply(s); !errors.As(err, &usage) {
				t.Errorf("%+v: %v", s, err)
			}
		}
		if faults := e.Faults(); len(faults) != 0 {
			t.Errorf("in force: %+v", faults)
		}
	})
}

func TestProbability(t *testing.T) {
	const n = 200
	// drawn tells which of n connections a reset of probability 0.3 acts on.
	drawn := func(t *testing.T, seed uint64) []bool {
		e, p := start(t, proxy.Config{Seed: seed}, echo(t))
		if _, err := e.Apply(chaos.Spec{Target: "db", Type: chaos.Reset, Probability: 0.3}); err != nil {
			t.Fatal(err)
		}
		var hit []bool
		for range n {
			hit = append(hit, attempt(p) != nil)
		}
		return hit
	}
	count := func(hit []bool) (total int64) {
		for _, h := range hit {
			if h {
				total++
			}
		}
		return total
	}

	t.Run("a fault acts on its share of the connections, the same for the same seed", func(t *testing.T) {
		first, again, other := drawn(t, 1), drawn(t, 1), drawn(t, 2)
		if got := count(first); got < 40 || got > 80 {
			t.Errorf("0.3 of %d is %d", n, got)
		}
		if !slices.Equal(first, again) {
			t.Error("the same seed gave other connections")
		}
		if slices.Equal(first, other) {
			t.Error("another seed gave the same connections")
		}
	})

	t.Run("who is drawn stays so while other faults come and go, and is counted once", func(t *testing.T) {
		e, p := start(t, proxy.Config{Seed: 3}, echo(t))
		var clients []net.Conn
		for range 20 {
			c := dial(t, p)
			mustAsk(t, c)
			clients = append(clients, c)
		}
		if _, err := e.Apply(chaos.Spec{Target: "db", Type: chaos.Latency, Probability: 0.5, Attributes: map[string]any{"latency": 150}}); err != nil {
			t.Fatal(err)
		}
		slow := func() (who []bool) {
			for _, c := range clients {
				who = append(who, mustAsk(t, c) >= 150*time.Millisecond)
			}
			return who
		}
		before := slow()
		apply(t, e, chaos.SlowClose, map[string]any{"delay": 1})
		if after := slow(); !slices.Equal(before, after) {
			t.Errorf("before %v, after %v", before, after)
		}
		if hits := e.Faults()[0].Hits; hits != count(before) || hits == 0 || hits == 20 {
			t.Errorf("%d hits, %d slow", hits, count(before))
		}
	})

	t.Run("down with a probability leaves the port open and resets its share", func(t *testing.T) {
		e, p := start(t, proxy.Config{Seed: 4}, echo(t))
		if _, err := e.Apply(chaos.Spec{Target: "db", Type: chaos.Down, Probability: 0.5}); err != nil {
			t.Fatal(err)
		}
		var refused int64
		for range 40 {
			if err := attempt(p); isReset(err) {
				refused++
			} else if err != nil {
				t.Errorf("attempt: %v", err)
			}
		}
		if hits := e.Faults()[0].Hits; hits != refused || refused == 0 || refused == 40 {
			t.Errorf("%d hits, %d of 40 refused", hits, refused)
		}
	})
}
