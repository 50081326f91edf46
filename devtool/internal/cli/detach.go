package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/stack"
)

// keepBinary copies this program into the state directory and returns the copy.
// `go run` deletes its binary when it ends, and whatever outlives a command
// needs one: the detached supervisor, and the hand-over that the watcher runs.
func keepBinary(p *project.Project) (string, error) {
	dir, err := p.StateDir()
	if err != nil {
		return "", err
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	dir = filepath.Join(dir, "bin")
	kept := filepath.Join(dir, "devtool")
	if exe == kept {
		return kept, nil
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", fmt.Errorf("keep a copy of this program: %w", err)
	}
	from, err := os.Open(exe)
	if err != nil {
		return "", fmt.Errorf("keep a copy of this program: %w", err)
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, "devtool-*")
	if err != nil {
		return "", fmt.Errorf("keep a copy of this program: %w", err)
	}
	defer os.Remove(to.Name())
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(0o755), to.Close())
	if err == nil {
		err = os.Rename(to.Name(), kept) // a supervisor that runs the old copy keeps it
	}
	if err != nil {
		return "", fmt.Errorf("keep a copy of this program: %w", err)
	}
	return kept, nil
}

// eventsFD is where a supervisor that was started by `up --detach` writes its
// events. Not standard output: once up has ended, writing there would be fatal
// (SIGPIPE), and writing here is an error that can be ignored.
const eventsFD = 3

// failed is the last event of a supervisor that did not come up.
type failed struct {
	control.Event
	Exit int `json:"exit"`
}

func (a *app) upDetached(ctx context.Context, p *project.Project, o upOptions, view *upView) error {
	dir, err := p.StateDir()
	if err != nil {
		return err
	}
	if stack.Holder(dir) != 0 {
		return a.upAlready(ctx, p, o, view)
	}
	binary, err := keepBinary(p)
	if err != nil {
		return err
	}
	logs, err := p.Local("logs")
	if err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(logs, "supervisor.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	defer out.Close()
	events, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	defer events.Close()
	cmd := exec.Command(binary, "supervise", "-C", p.Root, "--engine", o.engine,
		"--fresh="+strconv.FormatBool(o.fresh), "--chaos-seed", strconv.FormatUint(o.seed, 10))
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.Root, out, out
	cmd.ExtraFiles = []*os.File{theirs}
	// A session of its own: the terminal's Ctrl-C and hang-up are not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	// Ctrl-C while it comes up: it is told, and says when all is down.
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()

	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e failed
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read the supervisor's events: %w", err)
		}
		switch e.Kind {
		case "failed":
			_ = cmd.Wait()
			view.close()
			if e.Detail == stack.ErrRunning.Error() {
				return a.upAlready(ctx, p, o, view)
			}
			if view.enc != nil {
				view.show(e.Event)
			}
			return &console.Failure{Exit: e.Exit, Text: e.Detail, Hint: e.Hint}
		case "ready":
			view.show(e.Event)
			return cmd.Process.Release()
		default:
			view.show(e.Event)
		}
	}
	err = cmd.Wait()
	view.close()
	if ctx.Err() != nil {
		a.Saying("stopped; nothing is left running")
		return console.Silent(130)
	}
	words, _ := os.ReadFile(out.Name()) // best effort: the path is in the hint
	return console.Fail(console.ExitFailed, "all of it: "+out.Name(), "the supervisor ended before the stack was up (%v)\n%s",
		err, bytes.TrimSpace(words[max(0, len(words)-2000):]))
}

// superviseCommand is what `up --detach` starts.
func (a *app) superviseCommand() *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use: "supervise", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.supervise(c.Context(), o) },
	}
	o.flags(c)
	return c
}

func (a *app) supervise(ctx context.Context, o upOptions) error {
	events := os.NewFile(eventsFD, "events")
	enc := json.NewEncoder(&lineLock{w: events})
	fail := func(err error) error {
		exit := console.ExitFailed
		var f *console.Failure
		if errors.As(err, &f) {
			exit = f.Exit
		}
		_ = enc.Encode(failed{control.Event{Kind: "failed", Detail: err.Error(), Hint: console.HintOf(err)}, exit})
		return err
	}
	p, err := a.project()
	if err != nil {
		return fail(err)
	}
	binary, err := keepBinary(p)
	if err != nil {
		return fail(err)
	}
	s, err := stack.Open(stack.Options{Project: p, Engine: o.engine, Fresh: o.fresh, Detached: true, Devtool: binary, Seed: o.seed,
		Event: func(e control.Event) { _ = enc.Encode(e) }})
	if err != nil {
		return fail(err)
	}
	if err := s.Up(ctx); err != nil {
		s.Close()
		if errors.Is(err, context.Canceled) {
			return nil // up was interrupted, or down was faster
		}
		return fail(err)
	}
	events.Close()
	select {
	case <-ctx.Done():
	case <-s.Done():
	}
	s.Close()
	return nil
}
