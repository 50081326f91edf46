package stack

import (
	"context"
	"time"

	"example.com/goldenpath/chaos/proxy"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
)

// startTimeout is how long a dependency may take to answer. It is long, as the
// first time something may be fetched over a slow network; what hangs is noticed
// sooner, by whoever waits for it.
const startTimeout = 30 * time.Minute

// dependency is a server, its proxy, and what happened to it. The fields below
// the blank line are guarded by the stack's mutex.
type dependency struct {
	stack  *Stack
	spec   project.Dependency
	server Server
	proxy  *proxy.Proxy
	addr   string        // of the proxy
	again  chan struct{} // told when it was started anew on purpose

	state    control.State
	restarts int
}

func (d *dependency) status() control.Dependency {
	st := control.Dependency{Name: d.spec.Name, Kind: d.spec.Kind, State: d.state, Proxy: d.addr, Restarts: d.restarts}
	if d.state != control.Starting {
		st.Upstream, st.Server, st.PID = d.server.Addr(), d.server.Describe(), d.server.PID()
	}
	return st
}

// start brings the server up for the first time.
func (d *dependency) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := d.server.Start(ctx); err != nil {
		if console.HintOf(err) != "" {
			return err // it knows better
		}
		return console.Wrap(err, console.ExitFailed, "devtool doctor; .devtool/logs/"+d.spec.Name+".log has its last words")
	}
	d.proxy.SetUpstream(d.server.Addr())
	d.set(control.Running)
	return nil
}

func (d *dependency) set(state control.State) {
	d.stack.mu.Lock()
	d.state = state
	d.stack.mu.Unlock()
}

// watch starts the server again whenever it ends by itself, until ctx ends.
// Clients keep the proxy's address all the while.
func (d *dependency) watch(ctx context.Context) {
	pause := backoff{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.again:
			continue // with the Done of the new run
		case <-d.server.Done():
		}
		if ctx.Err() != nil {
			return
		}
		d.stack.mu.Lock()
		d.state = control.Failed
		d.restarts++
		d.stack.mu.Unlock()
		d.stack.say("%s ended by itself; starting it again", d.spec.Name)
		for ctx.Err() == nil {
			if !sleep(ctx, pause.step(time.Now())) {
				return
			}
			err := d.start(ctx)
			if err == nil {
				d.stack.say("%s is back", d.spec.Name)
				break
			}
			if ctx.Err() == nil {
				d.stack.say("%v", err)
			}
		}
	}
}

// restart is `devtool restart NAME` for a dependency.
func (d *dependency) restart(ctx context.Context) error {
	if err := d.server.Stop(ctx); err != nil {
		return err
	}
	d.set(control.Starting)
	if err := d.start(ctx); err != nil {
		return err
	}
	select {
	case d.again <- struct{}{}:
	default: // told already
	}
	return nil
}

// backoff is the pause before something that failed is tried again: none the
// first time, then longer and longer; none again after a quiet while.
type backoff struct {
	last time.Time
	next time.Duration
}

// step returns the pause before the next try.
func (b *backoff) step(now time.Time) time.Duration {
	if now.Sub(b.last) > 30*time.Second {
		b.next = 0
	}
	pause := b.next
	b.next = min(max(2*b.next, 200*time.Millisecond), 5*time.Second)
	b.last = now
	return pause
}

// sleep pauses, and returns false when ctx ended first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
