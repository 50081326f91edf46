package reload

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// errSuperseded says that a newer build has begun.
var errSuperseded = errors.New("a newer build has begun")

// lookAgain is how often a build looks whether it is still the newest.
const lookAgain = 25 * time.Millisecond

// turn is the right to build. air starts a build while the one before still
// runs and lets that run on, so the builds settle it among themselves, by files:
// "turn" has the mark of the newest, "built" that of the last that succeeded.
type turn struct {
	dir  string
	mark string
}

// take makes this the newest build.
func take(dir string) (turn, error) {
	t := turn{dir, rand.Text()}
	if err := replaceFile(filepath.Join(dir, "turn"), []byte(t.mark)); err != nil {
		return turn{}, fmt.Errorf("take the turn to build: %w", err)
	}
	return t, nil
}

// join makes this a part of the newest build.
func join(dir string) turn { return turn{dir, readMark(dir, "turn")} }

func readMark(dir, name string) string {
	mark, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "" // nobody's
	}
	return string(mark)
}

// over says whether a newer build has begun.
func (t turn) over() bool { return readMark(t.dir, "turn") != t.mark }

// complete puts on record that the first part of this build succeeded.
func (t turn) complete() error {
	if err := replaceFile(filepath.Join(t.dir, "built"), []byte(t.mark)); err != nil {
		return fmt.Errorf("record the build: %w", err)
	}
	return nil
}

// completed says whether the first part of this build succeeded.
func (t turn) completed() bool { return t.mark != "" && readMark(t.dir, "built") == t.mark }

// context returns one that ends, with cause errSuperseded, when the turn is over.
// The caller calls stop.
func (t turn) context(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		look := time.NewTicker(lookAgain)
		defer look.Stop()
		for {
			if t.over() {
				cancel(errSuperseded)
			}
			select {
			case <-look.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-done
	}
}

// replaceFile writes a file anew: a reader sees the old or the new content.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
