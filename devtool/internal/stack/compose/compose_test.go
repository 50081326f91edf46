package compose

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/project"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// enough is how long a test waits for what should take moments.
const enough = 30 * time.Second

func needsDocker(t *testing.T) {
	t.Helper()
	if os.Getenv("GOLDENPATH_DOCKER") != "1" {
		t.Skip("needs Docker: GOLDENPATH_DOCKER=1")
	}
}

// worktree is a project with a compose file, and the words that a person would
// have read.
type worktree struct {
	Config
	mu   sync.Mutex
	said []string
	logs []byte
}

// newWorktree makes one whose project goes away with the test, data included.
func newWorktree(t *testing.T, file string) *worktree {
	t.Helper()
	dir := t.TempDir()
	w := &worktree{}
	w.Config = Config{Root: dir, File: "compose.yaml", Dir: dir, Project: "goldenpath-test-" + strings.ToLower(rand.Text()[:8]),
		Output: func(string) io.Writer { return w }, Progress: w.say}
	w.Registry = openRegistry(t, filepath.Join(dir, "processes.json"))
	write(t, filepath.Join(dir, "compose.yaml"), file)
	if os.Getenv("GOLDENPATH_DOCKER") == "1" {
		t.Cleanup(func() {
			if err := New(w.Config).Down(context.Background(), true); err != nil {
				t.Error(err)
			}
			if left := w.left(t); left != "" {
				t.Errorf("left of %s:\n%s", w.Project, left)
			}
		})
	}
	return w
}

func openRegistry(t *testing.T, path string) *process.Registry {
	t.Helper()
	registry, err := process.OpenRegistry(path)
	if err != nil {
		t.Fatal(err)
	}
	return registry
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

// Write takes the logs.
func (w *worktree) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = append(w.logs, p...)
	return len(p), nil
}

func (w *worktree) hasLogged(part string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(string(w.logs), part)
}

// left lists the containers, networks and volumes of the project.
func (w *worktree) left(t *testing.T) string {
	t.Helper()
	label := "label=" + projectLabel + "=" + w.Project
	return cli(t, "ps", "--all", "--quiet", "--filter", label) + cli(t, "network", "ls", "--quiet", "--filter", label) +
		cli(t, "volume", "ls", "--quiet", "--filter", label)
}

func (w *worktree) container(service string) string { return w.Project + "-" + service + "-1" }

func cli(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// the three servers of the project's own compose file
type three struct {
	db    *Postgres
	redis *Redis
	kafka *Kafka
}

func (c *Compose) three() three {
	return three{
		c.Postgres(dbDependency),
		c.Redis(redisDependency),
		c.Kafka(project.Dependency{Name: "kafka", Kind: "kafka", Service: "kafka", Topics: []string{"notes.v1"}}),
	}
}

func (x three) all() []lifecycle { return []lifecycle{x.db, x.redis, x.kafka} }

type lifecycle interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Done() <-chan struct{}
	Probe(ctx context.Context) error
	Addr() string
	Describe() string
}

// sideBySide does to all what the stack does.
func sideBySide(t *testing.T, servers []lifecycle, do func(lifecycle) error) {
	t.Helper()
	var all sync.WaitGroup
	for _, s := range servers {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := do(s); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func startAll(t *testing.T, servers ...lifecycle) {
	t.Helper()
	t.Cleanup(func() { stopAll(t, servers...) })
	sideBySide(t, servers, func(s lifecycle) error { return s.Start(t.Context()) })
}

func stopAll(t *testing.T, servers ...lifecycle) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), enough)
	defer cancel()
	sideBySide(t, servers, func(s lifecycle) error { return s.Stop(ctx) })
}

func awaitDone(t *testing.T, s lifecycle) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(enough):
		t.Fatal("the container's end was not noticed")
	}
}

func isDone(s lifecycle) bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(enough)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", enough, what)
		}
	}
}

// projectFile is the compose file of this repository.
func projectFile(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
