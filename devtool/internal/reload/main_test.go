package reload

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/devtool/internal/process"
)

// patient is longer than anything in these tests takes that goes well: a cold
// build on a busy machine.
const patient = 3 * time.Minute

// TestMain is also the hand-over that air runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "hand-over" {
		os.Exit(handOverMain(os.Args[2:]))
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func handOverMain(args []string) int {
	flags := flag.NewFlagSet("hand-over", flag.ContinueOnError)
	to := flags.String("to", "", "URL that reports are posted to")
	config := flags.String("config", "", "the plan")
	if len(args) < 2 || flags.Parse(append([]string{args[0], args[1]}, args[3:]...)) != nil {
		return 2
	}
	return HandOver(context.Background(), args[2], *config, func(ctx context.Context, r Report) error {
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, "POST", *to, bytes.NewReader(body))
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}, os.Stdout)
}

// airBinary is where go keeps the air that is a tool of our own module: the
// modules under test do not have it.
func airBinary() (string, error) {
	cmd := exec.Command("go", "tool", "-n", "air")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// module writes a module of two programs that share a package, in a directory
// with a space and a quote in its name.
func module(t testing.TB) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "it's a module")
	write(t, root, "go.mod", "module example.com/tiny\n\ngo 1.24\n")
	write(t, root, "server/main.go", "package main\n\nimport \"example.com/tiny/word\"\n\nfunc main() { println(\"server\", word.Word) }\n")
	write(t, root, "worker/main.go", "package main\n\nimport \"example.com/tiny/word\"\n\nfunc main() { println(\"worker\", word.Word) }\n")
	write(t, root, "word/word.go", wordFile("one"))
	return root
}

func wordFile(word string) string { return fmt.Sprintf("package word\n\nconst Word = %q\n", word) }

func write(t testing.TB, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// says runs a binary and returns what it prints.
func says(t testing.TB, binary string) string {
	t.Helper()
	out, err := exec.Command(binary).CombinedOutput()
	if err != nil {
		t.Fatalf("run %s: %v", binary, err)
	}
	return strings.TrimSpace(string(out))
}

var bothTargets = []Target{{"server", "./server"}, {"worker", "./worker"}}

// supervisor is the other end of a hand-over.
type supervisor struct {
	t        testing.TB
	watcher  *Watcher
	reports  chan Report
	output   *lockedBuffer
	root     string
	stateDir string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// supervise watches root and takes the first reports, after which every change
// is seen.
func supervise(t testing.TB, root string, targets ...Target) *supervisor {
	t.Helper()
	air, err := airBinary()
	if err != nil {
		t.Fatalf("find air: %v", err)
	}
	return superviseWith(t, WatchConfig{Root: root, Targets: targets, AirPath: air})
}

// superviseWith is supervise with all that c says.
func superviseWith(t testing.TB, c WatchConfig) *supervisor {
	t.Helper()
	if t, ok := t.(*testing.T); ok {
		t.Setenv("GORACE", "atexit_sleep_ms=0") // a hand-over is this test's binary
	}
	s := &supervisor{t: t, reports: make(chan Report, 256), output: &lockedBuffer{}, root: c.Root,
		stateDir: filepath.Join(t.TempDir(), "state of it")}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var report Report
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			t.Errorf("report: %v", err)
		}
		s.reports <- report
	}))
	t.Cleanup(server.Close)
	registry, err := process.OpenRegistry(filepath.Join(t.TempDir(), "processes.json"))
	if err != nil {
		t.Fatal(err)
	}
	c.StateDir, c.Output, c.Registry = s.stateDir, s.output, registry
	c.Command = []string{os.Args[0], "hand-over", "--to", server.URL}
	s.watcher, err = Watch(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop() })
	for range c.Targets {
		s.next()
	}
	return s
}

func (s *supervisor) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	if err := s.watcher.Stop(ctx); err != nil {
		s.t.Errorf("stop: %v", err)
	}
}

// next returns the report that comes next.
func (s *supervisor) next() Report {
	s.t.Helper()
	select {
	case r := <-s.reports:
		return r
	case <-s.watcher.Done():
		s.t.Fatalf("the watcher ended: %v", s.watcher.Err())
	case <-time.After(patient):
		s.t.Fatalf("no report came; said: %s", s.output)
	}
	panic("unreachable")
}

// built returns the next report, which must be of a new build of process.
func (s *supervisor) built(process string) Report {
	s.t.Helper()
	r := s.next()
	if r.Process != process || !r.OK || r.Unchanged {
		s.t.Fatalf("got %+v, want a new build of %s", r, process)
	}
	return r
}

// until returns the next good report of process that is as wanted and skips all
// others.
func (s *supervisor) until(process string, wanted func(Report) bool) Report {
	s.t.Helper()
	for {
		if r := s.next(); r.Process == process && r.OK && wanted(r) {
			return r
		}
	}
}

// says is a condition for until: the binary prints text.
func (s *supervisor) says(text string) func(Report) bool {
	return func(r Report) bool { return says(s.t, r.Binary) == text }
}

// save writes a file as careful editors do: it appears whole, in one event.
func (s *supervisor) save(name, text string) {
	s.t.Helper()
	write(s.t, s.root, name+".new", text)
	if err := os.Rename(filepath.Join(s.root, name+".new"), filepath.Join(s.root, name)); err != nil {
		s.t.Fatal(err)
	}
}
