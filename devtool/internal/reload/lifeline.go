package reload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// errAbandoned says that the supervisor that a hand-over works for is gone.
var errAbandoned = errors.New("the supervisor is gone")

// lifeline ties hand-overs to the watcher that they work for. air starts each in
// a process group of its own and does not end a build when it ends itself; so
// they would outlive it. They hold the reading end of a pipe whose writing end
// the watcher has: when that closes, however the watcher's process ends, they go.
// And each holds a shared lock for as long as it lives, so that the watcher can
// tell when the last is gone.
type lifeline struct {
	pipe *os.File
	lock *os.File
}

func pipePath(dir string) string { return filepath.Join(dir, "lifeline") }
func lockPath(dir string) string { return filepath.Join(dir, "hand-overs") }

// throwLifeline makes the pipe anew: hand-overs of an earlier watcher stay tied
// to the old one.
func throwLifeline(dir string) (*lifeline, error) {
	if err := os.RemoveAll(pipePath(dir)); err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	if err := syscall.Mkfifo(pipePath(dir), 0o600); err != nil {
		return nil, fmt.Errorf("make the lifeline %s: %w", pipePath(dir), err)
	}
	// For reading, too: to open a pipe for writing alone waits for a reader.
	pipe, err := os.OpenFile(pipePath(dir), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	lock, err := os.OpenFile(lockPath(dir), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		pipe.Close()
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	return &lifeline{pipe, lock}, nil
}

// cut ends all hand-overs, those that begin from now on too. It may be called
// more than once.
func (l *lifeline) cut() { l.pipe.Close() }

// wait returns once no hand-over is left, or ctx is done. It is called once.
func (l *lifeline) wait(ctx context.Context) error {
	defer l.lock.Close()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		err := syscall.Flock(int(l.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait for the hand-overs to end: %w", err)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the hand-overs to end: %w", ctx.Err())
		}
	}
}

// hold returns a context that ends, with cause errAbandoned, when the watcher is
// gone. The caller calls release.
func hold(parent context.Context, dir string) (ctx context.Context, release func(), err error) {
	lock, err := os.OpenFile(lockPath(dir), os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("hold the lifeline: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, nil, fmt.Errorf("hold the lifeline: %w", errAbandoned)
	}
	// Without blocking, so that the runtime can wait on it and Close ends a Read.
	pipe, err := os.OpenFile(pipePath(dir), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		lock.Close()
		return nil, nil, fmt.Errorf("hold the lifeline: %w", err)
	}
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Nothing is ever written: a read returns when the writing end closes.
		_, _ = pipe.Read(make([]byte, 1))
		cancel(errAbandoned)
	}()
	return ctx, func() {
		pipe.Close()
		<-done
		lock.Close()
	}, nil
}
