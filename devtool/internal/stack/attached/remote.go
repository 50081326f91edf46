// Package attached reaches servers that somebody else runs at a known address:
// the sidecars of a dev container, the containers of a compose project. It
// never starts or ends one.
package attached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"example.com/goldenpath/devtool/internal/console"
)

const (
	defaultPatience = time.Minute
	// askEvery is short beside the seconds that a container takes to start, and
	// long enough for a resolver that is asked for a name each time.
	askEvery = 50 * time.Millisecond
)

// What to type next.
const (
	unreachableHint = "rebuild the dev container (docker compose ps on the host says what runs), or devtool up --engine embedded"
	strangerHint    = "look for another program on that port, or devtool up --engine embedded"
)

// remote is what the servers have in common.
type remote struct {
	name     string // of the dependency, for errors
	addr     string
	patience time.Duration // of Start
	limit    time.Duration // of one question
}

func newRemote(name, addr string, patience, limit time.Duration) remote {
	if patience <= 0 {
		patience = defaultPatience
	}
	return remote{name: name, addr: addr, patience: patience, limit: limit}
}

// Addr is the address that was given.
func (r *remote) Addr() string { return r.addr }

// PID is 0.
func (*remote) PID() int { return 0 }

// Done is nil: nothing tells when a server of somebody else ends. Probe does.
func (*remote) Done() <-chan struct{} { return nil }

// Stop does nothing: no connection is held between two questions.
func (*remote) Stop(context.Context) error { return nil }

// await asks again and again until there is an answer. A *console.Failure is an
// answer too, a no that waiting does not change; all other errors are those of
// a server that is not there yet.
func (r *remote) await(ctx context.Context, ask func(context.Context) error) error {
	waiting, cancel := context.WithTimeoutCause(ctx, r.patience, fmt.Errorf("no answer within %s", r.patience))
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var last error
	for {
		asked := time.Now()
		err := r.once(waiting, ask)
		if err == nil {
			return nil
		}
		var no *console.Failure
		if errors.As(err, &no) {
			return fmt.Errorf("reach %s at %s: %w", r.name, r.addr, err)
		}
		// A question that was cut short says less than the one before it.
		if cut := timedOut(err) && time.Since(asked) < r.limit; !cut || last == nil {
			last = err
		}
		select {
		case <-waiting.Done():
			return r.gaveUp(ctx, context.Cause(waiting), last)
		case <-tick.C:
		}
	}
}

func (r *remote) once(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	return ask(ctx)
}

func (r *remote) gaveUp(ctx context.Context, why, last error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("reach %s at %s: %w", r.name, r.addr, why)
	}
	return &console.Failure{Exit: console.ExitFailed, Text: fmt.Sprintf("reach %s at %s: %v", r.name, r.addr, why),
		Cause: last, Hint: unreachableHint}
}

// fleeting says whether err is what a client sees of a server that is not there,
// starts or goes away.
func fleeting(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.Canceled)
}

func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}
