package reload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// The stages of a hand-over.
const (
	StageBuild = "build" // builds the first target; air waits for it
	StageRest  = "rest"  // builds the others, then waits until air kills it
)

// notifyTimeout bounds how long the supervisor may take to hear a report.
const notifyTimeout = 30 * time.Second

// plan is what a hand-over has to do, written by the watcher.
type plan struct {
	Dir         string   `json:"dir"` // of the watcher's files
	Targets     []Target `json:"targets"`
	Builder     Builder  `json:"builder"`
	Scope       scope    `json:"scope"`
	Environment []string `json:"environment"` // files, relative to the root
}

func planPath(dir string) string { return filepath.Join(dir, "hand-over.json") }

func (p plan) write() error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = replaceFile(planPath(p.Dir), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the plan of the hand-over: %w", err)
	}
	return nil
}

func readPlan(path string) (plan, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return plan{}, fmt.Errorf("read the plan of the hand-over: %w", err)
	}
	var p plan
	if err := json.Unmarshal(data, &p); err != nil {
		return plan{}, fmt.Errorf("read the plan of the hand-over %s: %w", path, err)
	}
	if len(p.Targets) == 0 {
		return plan{}, fmt.Errorf("read the plan of the hand-over %s: it names no target", path)
	}
	return p, nil
}

// HandOver is what air runs, in a process of its own: one stage of the plan that
// the watcher wrote at config. It calls notify once for each target that was
// built or could not be, but not for a build that a newer one has overtaken. It
// ends at once, and what it started with it, on SIGINT, on SIGTERM, when ctx does
// or when the watcher's process is gone. It says on errs what keeps it from its
// work. The result is the exit code: 0 when the build succeeded, and for the rest
// always; else 1.
func HandOver(ctx context.Context, stage, config string, notify func(context.Context, Report) error, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := handOver(ctx, stage, config, notify); err != nil {
		if !errors.Is(err, errSuperseded) && !errors.Is(err, errAbandoned) && !errors.Is(err, context.Canceled) && !errors.Is(err, errRefused) {
			fmt.Fprintf(errs, "hand-over %s: %v\n", stage, err)
		}
		return 1
	}
	return 0
}

// errRefused says that the compiler refused, which was reported.
var errRefused = errors.New("the build failed")

func handOver(ctx context.Context, stage, config string, notify func(context.Context, Report) error) error {
	p, err := readPlan(config)
	if err != nil {
		return err
	}
	life, release, err := hold(ctx, p.Dir)
	if err != nil {
		return err
	}
	defer release()
	switch stage {
	case StageBuild:
		t, err := take(p.Dir)
		if err != nil {
			return err
		}
		if err := p.buildAndTell(life, t, p.Targets[0], notify); err != nil {
			return err
		}
		return t.complete()
	case StageRest:
		err := p.rest(life, notify)
		<-life.Done() // air runs this until the next build
		return err
	}
	return fmt.Errorf("there is no such stage; there are %s and %s", StageBuild, StageRest)
}

// rest builds all targets but the first. One that fails does not keep the others
// from being built.
func (p plan) rest(life context.Context, notify func(context.Context, Report) error) error {
	t := join(p.Dir)
	if !t.completed() {
		return nil // a newer build has begun; it has a rest of its own
	}
	for _, target := range p.Targets[1:] {
		err := p.buildAndTell(life, t, target, notify)
		if life.Err() != nil || errors.Is(err, errSuperseded) {
			return nil
		}
		if err != nil && !errors.Is(err, errRefused) {
			return err
		}
	}
	return nil
}

// buildAndTell builds one target, unless a newer build begins, and reports it.
func (p plan) buildAndTell(life context.Context, t turn, target Target, notify func(context.Context, Report) error) error {
	r := Report{Process: target.Process, Began: time.Now(), Environment: p.environment()}
	type change struct {
		file string
		at   time.Time
	}
	latest := make(chan change, 1) // found while go builds
	go func() {
		file, at := p.Scope.latest()
		latest <- change{file, at}
	}()
	ctx, stop := t.context(life)
	built, err := p.Builder.Build(ctx, target)
	stop()
	c := <-latest
	r.Trigger, r.Saved, r.Duration = c.file, c.at, time.Since(r.Began)

	var refused *BuildError
	switch {
	case err == nil && t.over():
		return errSuperseded
	case err == nil:
		b := built[0]
		r.OK, r.Binary, r.Digest, r.Unchanged = true, b.Binary, b.Digest, b.Unchanged
	case errors.As(err, &refused):
		r.Summary, r.Output = refused.Summary, refused.Output
	case life.Err() != nil || errors.Is(err, errSuperseded):
		return err
	default: // no disk, no go: for a person it is a build that failed
		refused = &BuildError{Summary: err.Error(), Output: err.Error()}
		r.Summary, r.Output = refused.Summary, refused.Output
	}
	told, cancel := context.WithTimeout(life, notifyTimeout)
	defer cancel()
	if err := notify(told, r); err != nil {
		return fmt.Errorf("report the build of %s: %w", target.Process, err)
	}
	if refused != nil {
		return errRefused
	}
	return nil
}

// environment is a digest of the environment files; one that is missing counts
// as such.
func (p plan) environment() string { return EnvironmentDigest(p.Scope.Root, p.Environment...) }

// EnvironmentDigest tells one state of the files, relative to root, from another;
// without any, of the usual: .env. It is what Report.Environment holds.
func EnvironmentDigest(root string, files ...string) string {
	if len(files) == 0 {
		files = usualEnvironment()
	}
	h := sha256.New()
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(root, name))
		fmt.Fprintf(h, "%s %t %d\n", name, err == nil, len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:digestLength]
}

func usualEnvironment() []string { return []string{".env"} }
