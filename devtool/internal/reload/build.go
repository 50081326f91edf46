package reload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	digestLength = 16       // hexadecimal digits of the SHA-256 that name a build
	outputLimit  = 64 << 10 // bytes of the compiler's words that are kept
	killDelay    = 2 * time.Second
)

// Builder builds programs with `go build` and keeps each under a name that its
// content decides. Several builders, in several processes, may share OutDir.
type Builder struct {
	Root   string   `json:"root"`    // where go runs; the module's directory
	OutDir string   `json:"out_dir"` // made when it is missing
	Flags  []string `json:"flags"`   // of go build, such as -tags=dev
}

// BuildError says that the compiler, or the go command, refused.
type BuildError struct {
	Packages []string
	Summary  string // the first complaint, with file and line where there is one
	Output   string // all that was said
}

func (e *BuildError) Error() string {
	return fmt.Sprintf("build %s: %s", strings.Join(e.Packages, " "), e.Summary)
}

// NextStep is what a person does about it.
func (e *BuildError) NextStep() string { return "mend it and save" }

// Build builds the targets, all or none, and returns them in order. A *BuildError
// has the compiler's words. When ctx ends, everything that go started is killed,
// nothing half made is left, and the error is ctx's cause.
func (b *Builder) Build(ctx context.Context, targets ...Target) ([]Built, error) {
	for _, t := range targets {
		if !validProcess.MatchString(t.Process) {
			return nil, fmt.Errorf("build %s: %q is no name for a process: lower case letters, digits, - and _", t.Package, t.Process)
		}
	}
	if err := os.MkdirAll(b.OutDir, 0o700); err != nil {
		return nil, fmt.Errorf("build: make the directory for binaries: %w", err)
	}
	if oneByOne(targets) {
		var all []Built
		for _, t := range targets {
			built, err := b.build(ctx, []Target{t})
			if err != nil {
				return nil, err
			}
			all = append(all, built...)
		}
		return all, nil
	}
	return b.build(ctx, targets)
}

var validProcess = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// majorVersion is the end of an import path that does not name the binary.
var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// oneByOne says that one go build cannot make all targets: it names each after
// the end of its import path, and these ends are unknown or the same.
func oneByOne(targets []Target) bool {
	seen := map[string]bool{}
	for _, t := range targets {
		name := path.Base(t.Package)
		if name == "." || name == ".." || majorVersion.MatchString(name) || seen[name] {
			return true
		}
		seen[name] = true
	}
	return false
}

// build makes the targets with one go build.
func (b *Builder) build(ctx context.Context, targets []Target) ([]Built, error) {
	began := time.Now()
	stage, err := os.MkdirTemp(b.OutDir, stagePrefix)
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	defer os.RemoveAll(stage)
	work := filepath.Join(stage, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}

	out := filepath.Join(stage, "binary")
	staged := []string{out}
	if len(targets) > 1 {
		out = filepath.Join(stage, "binaries") + string(filepath.Separator)
		if err := os.Mkdir(out, 0o700); err != nil {
			return nil, fmt.Errorf("build: %w", err)
		}
		staged = staged[:0]
		for _, t := range targets {
			staged = append(staged, filepath.Join(out, path.Base(t.Package)))
		}
	}
	last := make([]string, len(targets))
	for i, t := range targets {
		// With the last build in its place go sees when there is nothing to link,
		// which is most of the work. It never writes into that file: it puts a new
		// one there. Without hard links it links each time.
		if last[i] = b.newest(t.Process); last[i] != "" {
			_ = os.Link(last[i], staged[i])
		}
	}
	if err := b.compile(ctx, work, out, targets); err != nil {
		return nil, err
	}
	built := make([]Built, len(targets))
	for i, t := range targets {
		if built[i], err = b.publish(t.Process, staged[i], last[i]); err != nil {
			return nil, fmt.Errorf("build %s: %w", t.Package, err)
		}
	}
	for i := range built {
		built[i].Duration = time.Since(began)
	}
	return built, nil
}

func (b *Builder) compile(ctx context.Context, work, out string, targets []Target) error {
	// The version control stamp would make a new binary of the same code after
	// each commit, and costs a git status.
	args := append([]string{"build", "-buildvcs=false"}, b.Flags...)
	args = append(args, "-o", out)
	var packages []string
	for _, t := range targets {
		packages = append(packages, t.Package)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Dir = b.Root
	// The linker's result is renamed into place, not copied, and what a killed
	// build leaves goes with the stage.
	cmd.Env = append(cmd.Environ(), "GOTMPDIR="+work)
	// go's compilers and linkers end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killDelay
	said := &capped{limit: outputLimit}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("build %s: run go: %w", strings.Join(packages, " "), err)
	}
	words := said.String()
	if strings.TrimSpace(words) == "" {
		words = "go build: " + exit.Error()
	}
	return &BuildError{Packages: packages, Summary: summary(words), Output: words}
}

// publish gives a staged binary its lasting name.
func (b *Builder) publish(process, staged, last string) (Built, error) {
	info, err := os.Stat(staged)
	if err != nil {
		return Built{}, fmt.Errorf("go build made no program: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o100 == 0 { // the archive of a library
		return Built{}, errors.New("go build made no program: is it package main?")
	}
	if before, err := os.Stat(last); last != "" && err == nil && os.SameFile(before, info) {
		return Built{Process: process, Binary: last, Digest: last[len(last)-digestLength:], Unchanged: true}, nil
	}
	digest, err := digestOf(staged)
	if err != nil {
		return Built{}, err
	}
	binary := filepath.Join(b.OutDir, process+"-"+digest)
	if err := os.Rename(staged, binary); err != nil {
		return Built{}, err
	}
	// The same code as some builds ago is the newest again.
	now := time.Now()
	if err := os.Chtimes(binary, now, now); err != nil {
		return Built{}, err
	}
	return Built{Process: process, Binary: binary, Digest: digest, Unchanged: binary == last}, nil
}

func digestOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil))[:digestLength], nil
}

var complaint = regexp.MustCompile(`^\S.*\.go:[0-9]+(:[0-9]+)?: `)

// summary picks the line that says most: the first with a file and a line, else
// the first that is not a heading.
func summary(words string) string {
	lines := strings.Split(words, "\n")
	if i := slices.IndexFunc(lines, complaint.MatchString); i >= 0 {
		return strings.TrimPrefix(strings.TrimSpace(lines[i]), "./")
	}
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return strings.TrimSpace(words)
}

// capped keeps the beginning of what is written to it.
type capped struct {
	limit int
	text  strings.Builder
	cut   bool
}

// Write never fails.
func (c *capped) Write(p []byte) (int, error) {
	room := min(len(p), c.limit-c.text.Len())
	c.text.Write(p[:room])
	c.cut = c.cut || room < len(p)
	return len(p), nil
}

func (c *capped) String() string {
	if c.cut {
		return strings.ToValidUTF8(c.text.String(), "") + "\n(the rest is left out)\n"
	}
	return strings.ToValidUTF8(c.text.String(), "?")
}
