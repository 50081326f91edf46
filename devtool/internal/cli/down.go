package cli

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack"
)

// downPatience is how long a supervisor may take to let requests finish and
// processes end before it is killed.
const downPatience = 50 * time.Second

func (a *app) downCommand() *cobra.Command {
	var volumes bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Take everything down; nothing of it is left running",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.down(c.Context(), volumes) },
	}
	c.Flags().BoolVar(&volumes, "volumes", false, "throw the data away too")
	return c
}

func (a *app) down(ctx context.Context, volumes bool) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	dir, err := p.StateDir()
	if err != nil {
		return err
	}
	began := time.Now()
	ran := false
	if pid := stack.Holder(dir); pid != 0 {
		ran = true
		if err := a.stopSupervisor(ctx, dir, pid); err != nil {
			return err
		}
	}
	// What a supervisor that crashed, or had to be killed, left behind.
	registry, err := process.OpenRegistry(filepath.Join(dir, "processes.json"))
	if err != nil {
		return err
	}
	left, err := registry.Reap(5 * time.Second)
	if err != nil {
		return err
	}
	for _, r := range left {
		a.Saying("ended %s (pid %d), left by a supervisor that crashed", r.Name, r.PID)
	}
	if err := stack.CleanUp(ctx, p, dir, volumes); err != nil {
		return err
	}
	if volumes {
		a.Saying("data thrown away")
	}
	if ran || len(left) > 0 {
		a.Saying("down in %s", console.Seconds(time.Since(began)))
	} else {
		a.Saying("nothing was running")
	}
	return nil
}

// stopSupervisor asks the supervisor to take all down and waits until it is
// gone; one that does not answer or end is killed.
func (a *app) stopSupervisor(ctx context.Context, dir string, pid int) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	c, err := a.client(p)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Down(ctx); err != nil && !errors.Is(err, control.ErrNoStack) {
		a.Saying("the supervisor (pid %d) does not answer: %v", pid, err)
	}
	patience := time.NewTimer(downPatience)
	defer patience.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	// The kernel gives the lock back before the process is gone altogether.
	for stack.Holder(dir) == pid || process.Running(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			if stack.Holder(dir) != pid {
				return nil // what has that pid now is none of ours
			}
			a.Saying("the supervisor (pid %d) did not end in %s; killing it", pid, downPatience)
			if err := process.KillPID(pid); err != nil {
				return console.Fail(console.ExitFailed, "end it by hand: kill -9 and its pid", "kill the supervisor (pid %d): %v", pid, err)
			}
		}
	}
	return nil
}
