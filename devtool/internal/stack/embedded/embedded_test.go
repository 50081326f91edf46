package embedded

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/devtool/internal/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should take moments.
const patience = 20 * time.Second

// worktree is a state directory with the words that a person would have read.
type worktree struct {
	Config
	mu   sync.Mutex
	said []string
}

// newWorktree makes one that the server's user may enter, which t.TempDir is
// not when root runs the tests.
func newWorktree(t *testing.T) *worktree {
	t.Helper()
	dir, err := os.MkdirTemp("", "embedded-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	registry, err := process.OpenRegistry(filepath.Join(dir, "processes.json"))
	if err != nil {
		t.Fatal(err)
	}
	w := &worktree{}
	w.Config = Config{Dir: dir, Registry: registry, Progress: w.say, Output: func(string) io.Writer { return io.Discard }}
	return w
}

func (w *worktree) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

func (w *worktree) hasSaid(part string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.said, "\n"), part)
}

// start starts s and stops it at the end of the test.
// server is what all of them have.
type server interface {
	Start(ctx context.Context) error
	Done() <-chan struct{}
	Stop(ctx context.Context) error
}

func start(t *testing.T, s server) {
	t.Helper()
	t.Cleanup(func() { stop(t, s) })
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, s server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func awaitDone(t *testing.T, s server) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(patience):
		t.Fatal("the server's end was not noticed")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTail(t *testing.T) {
	t.Run("lines that came in pieces are whole, and faults come first", func(t *testing.T) {
		log := &tail{next: io.Discard}
		for _, part := range []string{"LOG: sta", "rting\nFATAL: no ", "room\nLOG: bye"} {
			if _, err := io.WriteString(log, part); err != nil {
				t.Fatal(err)
			}
		}
		if got := log.last(3); got != "FATAL: no room" {
			t.Errorf("last lines %q", got)
		}
		if got := log.text(); got != "LOG: starting\nFATAL: no room\nLOG: bye" {
			t.Errorf("text %q", got)
		}
	})

	t.Run("an endless line takes no memory", func(t *testing.T) {
		log := &tail{next: io.Discard}
		for range 1000 {
			if _, err := io.WriteString(log, strings.Repeat("x", 10_000)); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(log.text()); got > tailLineLength {
			t.Errorf("it keeps %d bytes", got)
		}
	})
}
