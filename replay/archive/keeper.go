package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// keeper seals and removes segments in the background.
type keeper struct {
	dir     string
	options Options
	failed  func(error)
	wakeups chan struct{}
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

func startKeeper(dir string, o Options, failed func(error)) *keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{dir: dir, options: o, failed: failed, wakeups: make(chan struct{}, 1), cancel: cancel}
	k.done.Go(func() { k.run(ctx) })
	return k
}

func (k *keeper) run(ctx context.Context) {
	ticker := time.NewTicker(k.options.MaintainEvery)
	defer ticker.Stop()
	for {
		if err := k.maintain(ctx); err != nil && ctx.Err() == nil {
			k.failed(err)
		}
		select {
		case <-ticker.C:
		case <-k.wakeups:
		case <-ctx.Done():
			return
		}
	}
}

// wake asks for maintenance soon.
func (k *keeper) wake() {
	select {
	case k.wakeups <- struct{}{}:
	default: // it was asked for already
	}
}

func (k *keeper) close() {
	k.cancel()
	k.done.Wait()
}

// maintain seals what nobody writes any more, then removes what is too old or
// too much.
func (k *keeper) maintain(ctx context.Context) error {
	list, temps, err := segments(k.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed from outside; the next write creates it
	}
	if err != nil {
		return fmt.Errorf("listing segments: %w", err)
	}
	var failed error
	for _, s := range list {
		if s.sealed || ctx.Err() != nil {
			continue
		}
		if err := seal(ctx, s); err != nil {
			failed = errors.Join(failed, fmt.Errorf("sealing %s: %w", s.name, err))
		}
	}
	for _, temp := range temps {
		live := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(temp, tempSuffix), ".zst"), indexSuffix)
		live = strings.TrimSuffix(live, liveSuffix) + liveSuffix
		if _, err := os.Stat(live); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(temp) // of a process that was killed; another one may remove it too
		}
	}
	return errors.Join(failed, k.retain())
}

// retain removes the oldest segments. Those that are being written stay.
func (k *keeper) retain() error {
	list, _, err := segments(k.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // as above
	}
	if err != nil {
		return fmt.Errorf("listing segments: %w", err)
	}
	var total int64
	for _, s := range list {
		total += s.size
	}
	oldest := k.options.Now().Add(-k.options.MaxAge)
	var failed error
	for _, s := range list {
		if total <= k.options.MaxBytes && !s.modified.Before(oldest) {
			continue
		}
		if !s.sealed && !abandoned(s) {
			continue
		}
		if err := s.remove(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("removing %s: %w", s.name, err))
			continue
		}
		total -= s.size
	}
	return failed
}

// abandoned reports whether nobody writes the segment any more.
func abandoned(s segment) bool {
	f, err := os.Open(s.live())
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return !owned(f)
}
