package reload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/goldenpath/devtool/internal/process"
)

// Air's module and the version that this package was written against: it depends
// on the order in which air builds, kills and starts.
const (
	airModule  = "github.com/air-verse/air"
	airVersion = "v1.67.4"
)

const (
	airStopTimeout = 5 * time.Second
	checkTimeout   = 10 * time.Second
)

// WatchConfig says what to watch and what to do about a change. Root, StateDir,
// Targets, Command, Output and Registry are needed.
type WatchConfig struct {
	Root string
	// StateDir is for the watcher's own files; one watcher at a time. It is made
	// when it is missing and should lie outside Root.
	StateDir string
	// Targets are built in this order. The first is built and reported before
	// the others are begun: it is the one that people wait for.
	Targets []Target
	// Command runs HandOver in a process of its own. A stage and --config FILE are
	// added to it.
	Command []string
	// Builder builds. nil: one with StateDir/builds and no flags.
	Builder *Builder
	// Include are extensions of files to watch, besides the usual, without dots.
	Include []string
	// Exclude are directories to leave out, relative to Root, besides testdata,
	// node_modules and hidden ones.
	Exclude []string
	// EnvFiles are what Report.Environment is a digest of. nil: .env.
	EnvFiles []string
	// Poll looks for changes twice a second instead of being told: see
	// NeedsPolling.
	Poll bool
	// AirPath is air's binary. "": `go tool air` of the module at Root.
	AirPath string
	// Output gets what a person should know of air's words.
	Output   io.Writer
	Registry *process.Registry
}

// Watcher is a running air.
type Watcher struct {
	air  *process.Process
	log  *airLog
	life *lifeline
	wait sync.Once
	left error // of wait
}

// Watch begins to watch. A first build, which catches what was saved before,
// follows by itself; once it is reported every change is seen. The caller calls
// Stop, also after Done.
func Watch(c WatchConfig) (*Watcher, error) {
	w, err := watch(c)
	if err != nil {
		return nil, fmt.Errorf("watch for changes: %w", err)
	}
	return w, nil
}

func watch(c WatchConfig) (*Watcher, error) {
	if len(c.Targets) == 0 || len(c.Command) == 0 {
		return nil, errors.New("there is nothing to build, or nothing to build it with")
	}
	root, err := realPath(c.Root)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(filepath.Base(root), ".") {
		return nil, fmt.Errorf("air does not look into hidden directories such as %s", root)
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, err
	}
	dir, err := realPath(c.StateDir)
	if err != nil {
		return nil, err
	}
	path, args := c.AirPath, []string{"-c", filepath.Join(dir, "air.toml")}
	if path == "" {
		if err := findAir(root); err != nil {
			return nil, err
		}
		path, args = "go", append([]string{"tool", "air"}, args...)
	}
	s := scope{Root: root, Extensions: append(slices.Clone(extensions), c.Include...)}
	for _, exclude := range c.Exclude {
		s.Exclude = append(s.Exclude, filepath.Clean(exclude))
	}
	p := plan{Dir: dir, Targets: c.Targets, Scope: s, Environment: c.EnvFiles,
		Builder: Builder{Root: root, OutDir: filepath.Join(dir, "builds")}}
	if c.Builder != nil {
		p.Builder = *c.Builder
	}
	if p.Environment == nil {
		p.Environment = usualEnvironment()
	}
	if err := p.write(); err != nil {
		return nil, err
	}
	if err := replaceFile(filepath.Join(dir, "air.toml"), []byte(airConfig(s, dir, c.Command, c.Poll))); err != nil {
		return nil, fmt.Errorf("write air's configuration: %w", err)
	}
	life, err := throwLifeline(dir)
	if err != nil {
		return nil, err
	}
	log := &airLog{out: c.Output}
	air, err := process.Start(process.Spec{
		Name: "air", Path: path, Args: args, Dir: root, Env: airEnviron(os.Environ(), root),
		Output: log, StopTimeout: airStopTimeout,
	}, c.Registry)
	if err != nil {
		life.cut()
		life.lock.Close()
		return nil, err
	}
	return &Watcher{air: air, log: log, life: life}, nil
}

// Done is closed when air has ended, by itself or through Stop.
func (w *Watcher) Done() <-chan struct{} { return w.air.Done() }

// Err says why air ended by itself. Only meaningful once Done is closed.
func (w *Watcher) Err() error {
	select {
	case <-w.air.Done():
	default:
		return nil
	}
	words := w.log.words()
	hint := ""
	if strings.Contains(words, "no space left on device") || strings.Contains(words, "too many open files") {
		hint = "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512, or reload.poll: true in devtool.yaml"
	}
	ended := "with exit code 0"
	if err := w.air.Err(); err != nil {
		ended = err.Error()
	}
	return &hintedError{fmt.Sprintf("watch for changes: air ended (%s): %s", ended, words), hint}
}

// Stop ends air, the builds that run and all that they started, and returns once
// they are gone or ctx is done. It may be called more than once.
func (w *Watcher) Stop(ctx context.Context) error {
	w.life.cut() // air itself would let a build run on
	err := w.air.Stop(ctx)
	w.wait.Do(func() { w.left = w.life.wait(ctx) })
	return errors.Join(err, w.left)
}

// findAir makes sure that `go tool air` will find something.
func findAir(root string) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("look for air in the go.mod of %s: %w", root, err)
	}
	var mod struct{ Tool []struct{ Path string } }
	if err := json.Unmarshal(out, &mod); err != nil {
		return fmt.Errorf("look for air in the go.mod of %s: %w", root, err)
	}
	for _, tool := range mod.Tool {
		if tool.Path == airModule {
			return nil
		}
	}
	return &hintedError{"air is not a tool of the module in " + root, "go get -tool " + airModule + "@" + airVersion}
}

// airEnviron is the environment without what would lead air elsewhere.
func airEnviron(environ []string, root string) []string {
	environ = slices.DeleteFunc(slices.Clone(environ), func(s string) bool {
		return strings.HasPrefix(s, "air_wd=") || strings.HasPrefix(s, "PWD=")
	})
	return append(environ, "PWD="+root)
}

func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// hintedError is an error that knows what to type next.
type hintedError struct{ text, hint string }

func (e *hintedError) Error() string    { return e.text }
func (e *hintedError) NextStep() string { return e.hint }
