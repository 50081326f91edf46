package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is a writer that tells when a text has been written.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	want string
	seen chan struct{}
}

func waiting(want string) *output { return &output{want: want, seen: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	had := strings.Contains(o.buf.String(), o.want)
	o.buf.Write(p)
	if !had && strings.Contains(o.buf.String(), o.want) {
		close(o.seen)
	}
	return len(p), nil
}

func (o *output) wait(t *testing.T) {
	t.Helper()
	select {
	case <-o.seen:
	case <-time.After(20 * time.Second):
		o.mu.Lock()
		defer o.mu.Unlock()
		t.Fatalf("no %q in %q", o.want, o.buf.String())
	}
}

func registry(t *testing.T) *Registry {
	t.Helper()
	r, err := OpenRegistry(filepath.Join(t.TempDir(), "processes.json"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sh(t *testing.T, r *Registry, out *output, script string, change func(*Spec)) *Process {
	t.Helper()
	s := Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", script}, Output: out}
	if change != nil {
		change(&s)
	}
	p, err := Start(s, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	return p
}

func TestProcess(t *testing.T) {
	t.Run("a program that ends tells its exit code and leaves the registry", func(t *testing.T) {
		r, out := registry(t), waiting("bye")
		p := sh(t, r, out, "echo bye; exit 3", nil)
		<-p.Done()
		out.wait(t)
		if p.Err() == nil || p.Err().Error() != "exit status 3" {
			t.Errorf("Err() = %v", p.Err())
		}
		if got := r.Records(); len(got) != 0 {
			t.Errorf("still on record: %v", got)
		}
	})
	t.Run("stop sends the stop signal and waits", func(t *testing.T) {
		out := waiting("ready")
		p := sh(t, registry(t), out, `trap 'exit 0' INT; echo ready; while :; do sleep 0.05; done`, func(s *Spec) { s.StopSignal = syscall.SIGINT })
		out.wait(t)
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if p.Err() != nil {
			t.Errorf("it was killed: %v", p.Err())
		}
		if err := p.Stop(context.Background()); err != nil {
			t.Errorf("a second stop: %v", err)
		}
	})
	t.Run("a program that does not heed the signal is killed with its children", func(t *testing.T) {
		out := waiting("child")
		p := sh(t, registry(t), out, `trap '' TERM; sleep 300 & echo child $!; wait; wait`, func(s *Spec) { s.StopTimeout = 50 * time.Millisecond })
		out.wait(t)
		if err := p.Stop(context.Background()); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("Stop() = %v", err)
		}
		gone(t, childPID(t, out))
	})
	t.Run("what a program leaves behind goes with it", func(t *testing.T) {
		out := waiting("child")
		p := sh(t, registry(t), out, `sleep 300 & echo child $!`, nil)
		<-p.Done()
		out.wait(t)
		gone(t, childPID(t, out))
	})
	t.Run("a program that is not there gives an error that names it", func(t *testing.T) {
		_, err := Start(Spec{Name: "ghost", Path: "/no/such/program", Output: waiting("x")}, registry(t))
		if err == nil || !strings.HasPrefix(err.Error(), "start ghost: ") {
			t.Errorf("err = %v", err)
		}
	})
}

func childPID(t *testing.T, out *output) int {
	t.Helper()
	out.mu.Lock()
	defer out.mu.Unlock()
	_, text, _ := strings.Cut(out.buf.String(), "child ")
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// gone waits until a process does not run any more.
func gone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(time.Millisecond); time.Now().Before(deadline); <-tick.C {
		if _, ok := identity(pid); !ok {
			tick.Stop()
			return
		}
	}
	t.Errorf("pid %d still runs", pid)
}

func TestRegistry(t *testing.T) {
	t.Run("what a dead supervisor left is ended by the next", func(t *testing.T) {
		r, out := registry(t), waiting("ready")
		p := sh(t, r, out, `trap '' TERM; echo ready; while :; do sleep 0.05; done`, nil)
		out.wait(t)
		// The list as the dead supervisor left it.
		data, err := os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "processes.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		next, err := OpenRegistry(path)
		if err != nil {
			t.Fatal(err)
		}
		ended, err := next.Reap(20 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(ended) != 1 || ended[0].Name != "sh" || ended[0].PID != p.PID() {
			t.Errorf("ended %v", ended)
		}
		<-p.Done()
	})
	t.Run("a recycled pid is left alone", func(t *testing.T) {
		cmd := exec.Command("sleep", "300")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		path := filepath.Join(t.TempDir(), "processes.json")
		record := fmt.Sprintf(`[{"name":"other","pid":%d,"started":"another boot/1","signal":15}]`, cmd.Process.Pid)
		if err := os.WriteFile(path, []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := OpenRegistry(path)
		if err != nil {
			t.Fatal(err)
		}
		ended, err := r.Reap(time.Millisecond)
		if err != nil || len(ended) != 0 {
			t.Errorf("ended %v, %v", ended, err)
		}
		if _, ok := identity(cmd.Process.Pid); !ok {
			t.Error("it was killed")
		}
	})
	t.Run("garbage in the file is an empty registry", func(t *testing.T) {
		for _, garbage := range []string{"", "{", "[1,2]", "\x00\xff", `[{"pid":-1},{"pid":0},{"pid":1}]`} {
			path := filepath.Join(t.TempDir(), "processes.json")
			if err := os.WriteFile(path, []byte(garbage), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := OpenRegistry(path)
			if err != nil || len(r.Records()) != 0 {
				t.Errorf("%q: %v, %v", garbage, r.Records(), err)
			}
		}
	})
}
