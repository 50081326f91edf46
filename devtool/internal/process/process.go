// Package process starts the programs that the stack is made of and makes sure
// that they end: each in a process group of its own, each on record, so that a
// supervisor that was killed leaves nothing that the next one cannot find.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// DefaultStopTimeout is how long a program may take to end when asked to.
const DefaultStopTimeout = 10 * time.Second

// Credential is the user that a program runs as.
type Credential struct{ UID, GID uint32 }

// Spec says what to run. Name, Path and Output are needed.
type Spec struct {
	Name        string
	Path        string
	Args        []string
	Dir         string
	Env         []string       // nil: the environment of this process
	Credential  *Credential    // nil: as this process
	Output      io.Writer      // gets standard output and standard error
	StopSignal  syscall.Signal // 0: SIGTERM
	StopTimeout time.Duration  // 0: DefaultStopTimeout
}

// Process is a running program. Its methods may be called from any goroutine.
type Process struct {
	spec     Spec
	cmd      *exec.Cmd
	registry *Registry
	done     chan struct{}
	err      error // set before done is closed
}

// Start runs the program of s and puts it on record in r.
func Start(s Spec, r *Registry) (*Process, error) {
	if s.StopSignal == 0 {
		s.StopSignal = syscall.SIGTERM
	}
	if s.StopTimeout == 0 {
		s.StopTimeout = DefaultStopTimeout
	}
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	cmd.Stdout, cmd.Stderr = s.Output, s.Output
	// A grandchild that outlives the program must not keep Wait from returning.
	cmd.WaitDelay = time.Second
	setGroup(cmd, s.Credential)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &Process{spec: s, cmd: cmd, registry: r, done: make(chan struct{})}
	if err := r.add(s, cmd.Process.Pid); err != nil {
		p.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the program itself ended well
	}
	p.err = err
	// What the program started and left behind goes with it.
	signalGroup(p.PID(), syscall.SIGKILL)
	p.registry.remove(p.PID())
	close(p.done)
}

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the program ended: nil for exit code 0. Only meaningful once
// Done is closed.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Stop asks the program to end and waits; when its stop timeout or ctx runs
// out, the whole group is killed. It returns once the program is gone, and may
// be called more than once.
func (p *Process) Stop(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(p.spec.StopSignal); err != nil {
		p.Kill()
	}
	timer := time.NewTimer(p.spec.StopTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	p.Kill()
	<-p.done
	return fmt.Errorf("stop %s: it did not end when asked to, so it was killed", p.spec.Name)
}

// Signal sends a signal to the program alone.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the program's whole group at once. Done closes soon after.
func (p *Process) Kill() { signalGroup(p.PID(), syscall.SIGKILL) }
