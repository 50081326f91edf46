package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// clockStep is how often the time of miniredis moves. Left alone it stands
// still, as tests want it; in a stack a key must expire when its time is up.
// miniredis could look at the clock itself (ClockTTL), but then it looks at
// every key with each command.
const clockStep = 20 * time.Millisecond

// miniature is miniredis with a moving clock.
type miniature struct {
	server *miniredis.Miniredis
	stop   chan struct{}
	done   chan struct{}
}

func (r *Redis) startMiniature(ctx context.Context) error {
	var last error
	for range startTries {
		port, err := r.reserve()
		if err != nil {
			return fmt.Errorf("start miniredis: %w", err)
		}
		server := miniredis.NewMiniRedis()
		last = server.StartAddr(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if last == nil {
			m := &miniature{server: server, stop: make(chan struct{}), done: make(chan struct{})}
			go m.moveClock(time.Now)
			if err := r.Probe(ctx); err != nil {
				m.close()
				return fmt.Errorf("start miniredis: %w", err)
			}
			r.mini = m
			return nil
		}
		if !errors.Is(last, syscall.EADDRINUSE) {
			break
		}
	}
	return fmt.Errorf("start miniredis: %w", last)
}

// moveClock passes on the time that has really gone by: a machine that slept
// for an hour has keys that are an hour older.
func (m *miniature) moveClock(now func() time.Time) {
	defer close(m.done)
	tick := time.NewTicker(clockStep)
	defer tick.Stop()
	last := now().Round(0) // without the monotonic clock, which sleeps with the machine
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			at := now().Round(0)
			if elapsed := at.Sub(last); elapsed > 0 {
				m.server.FastForward(elapsed)
			}
			last = at
		}
	}
}

func (m *miniature) close() {
	close(m.stop)
	<-m.done
	m.server.Close()
}
