package embedded

import (
	"context"
	"fmt"
	"io"
	"net"
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

func TestPorts(t *testing.T) {
	t.Run("a port is remembered", func(t *testing.T) {
		dir := t.TempDir()
		first, _, err := newPortBook(dir, "db").reserve()
		if err != nil {
			t.Fatal(err)
		}
		again, moved, err := newPortBook(dir, "db").reserve()
		if err != nil || again != first || moved != 0 {
			t.Errorf("%d, then %d, moved from %d, %v", first, again, moved, err)
		}
	})

	t.Run("another worktree gets another port while the first is in use", func(t *testing.T) {
		l, _, err := newPortBook(t.TempDir(), "db").listen()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		other, _, err := newPortBook(t.TempDir(), "db").listen()
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if l.Addr().String() == other.Addr().String() {
			t.Errorf("both have %s", l.Addr())
		}
	})

	t.Run("a port that is taken is left, and the new one is remembered", func(t *testing.T) {
		dir := t.TempDir()
		thief, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		taken := thief.Addr().(*net.TCPAddr).Port
		write(t, filepath.Join(dir, "db.port"), fmt.Sprint(taken))
		port, moved, err := newPortBook(dir, "db").reserve()
		if err != nil || port == taken || moved != taken {
			t.Errorf("port %d, moved from %d, %v; %d was taken", port, moved, err, taken)
		}
		if again, _, err := newPortBook(dir, "db").reserve(); err != nil || again != port {
			t.Errorf("then %d, %v; want %d", again, err, port)
		}
	})

	for _, garbage := range []string{"", "ninety", "-5", "0", "99999999999999999999", "70000", "22\n23", strings.Repeat("1", 1<<16)} {
		t.Run(fmt.Sprintf("a port file with %.12q is as good as none", garbage), func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "db.port"), garbage)
			port, moved, err := newPortBook(dir, "db").reserve()
			if err != nil || port < firstPort || moved != 0 {
				t.Errorf("port %d, moved from %d, %v", port, moved, err)
			}
		})
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
