// Package stack is the supervisor: it owns everything that `devtool up` starts,
// keeps it running, and takes it down again.
package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/gateway"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/reload"
)

// Options says what to bring up and whom to tell.
type Options struct {
	Project  *project.Project
	Engine   string // as --engine takes it
	Fresh    bool   // throw the data away first
	Detached bool
	Devtool  string // this program's binary, where it stays
	Seed     uint64 // of the chaos engine's random draws
	// Event is told what happens. It is called from several goroutines.
	Event func(control.Event)
}

// Stack is a running stack. It implements control.Backend.
type Stack struct {
	opts     Options
	project  *project.Project
	stateDir string
	lock     *Lock
	registry *process.Registry
	logs     *Logs
	engine   Engine
	ports    *ports
	gateway  *gateway.Gateway
	chaos    *proxy.Engine
	builder  *reload.Builder
	watcher  *reload.Watcher
	control  *control.Server
	since    time.Time
	captures string

	// life ends when the stack goes down; everything long-lived hangs on it.
	life     context.Context
	end      context.CancelFunc
	tasks    sync.WaitGroup
	spawning sync.Mutex // guards closed, and tasks against Add after Wait
	closed   bool
	down     chan struct{} // closed by Down
	downing  sync.Once
	closers  []func() // servers on the public ports, last opened first closed

	resetting sync.Mutex // one reset or seed at a time
	template  string     // key of the template that is there; guarded by resetting

	mu           sync.Mutex
	state        control.State
	endpoints    map[string]string
	dependencies []*dependency
	processes    []*proc
	receipt      control.Reload
	failing      string // the process that receipt.LastError is about
}

// ErrRunning says that a stack of this worktree is up or coming up.
var ErrRunning = errors.New("a stack runs already for this worktree")

// Open takes the worktree's lock, ends what a crashed supervisor left, and
// answers on the control socket. Nothing else runs yet: see Up. The caller
// calls Close in the end, whatever happened.
func Open(opts Options) (*Stack, error) {
	choice, err := Choose(context.Background(), opts.Project, opts.Engine)
	if err != nil {
		return nil, err
	}
	stateDir, err := opts.Project.StateDir()
	if err != nil {
		return nil, console.Wrap(err, console.ExitFailed, "DEVTOOL_STATE_HOME=DIR names another place")
	}
	lock, err := acquire(stateDir)
	if errors.Is(err, errLocked) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, err
	}
	s := &Stack{opts: opts, project: opts.Project, stateDir: stateDir, lock: lock, since: time.Now(),
		down: make(chan struct{}), state: control.Starting, endpoints: map[string]string{}}
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.open(choice); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stack) open(choice Choice) error {
	logDir, err := s.project.Local("logs")
	if err != nil {
		return err
	}
	s.logs = newLogs(logDir)
	if err := os.WriteFile(filepath.Join(filepath.Dir(logDir), ".gitignore"), []byte("*\n"), 0o644); err != nil {
		return fmt.Errorf("make .devtool: %w", err)
	}
	s.captures = s.project.Path(s.project.Replay.Captures)
	if s.registry, err = process.OpenRegistry(filepath.Join(s.stateDir, "processes.json")); err != nil {
		return err
	}
	s.say("engine %s: %s", choice.Engine, choice.Why)
	left, err := s.registry.Reap(3 * time.Second)
	if err != nil {
		return err
	}
	for _, r := range left {
		s.say("ended %s (pid %d), left by a supervisor that crashed", r.Name, r.PID)
	}
	if err := s.openEngine(choice.Engine); err != nil {
		return err
	}
	s.builder = &reload.Builder{Root: s.project.Root, OutDir: filepath.Join(s.stateDir, "builds"), Flags: s.project.Reload.Flags}
	s.ports = openPorts(s.stateDir)
	for _, p := range s.project.Processes {
		s.processes = append(s.processes, &proc{stack: s, spec: p, state: control.Starting})
	}
	socket, err := s.project.Socket()
	if err != nil {
		return err
	}
	l, err := control.Listen(socket)
	if err != nil {
		return err
	}
	s.control = control.NewServer(s)
	s.spawn(func(context.Context) {
		if err := s.control.Serve(l); err != nil {
			s.say("the control socket closed: %v", err)
		}
	})
	return nil
}

// openEngine makes the engine ready: what another one left is ended, and the data
// is thrown away where that is asked for.
func (s *Stack) openEngine(name string) error {
	ctx, cancel := context.WithTimeout(s.life, time.Minute)
	defer cancel()
	if last := readTrace(s.stateDir); last.engine != name && !last.down {
		if err := CleanUp(ctx, s.project, s.stateDir, false); err != nil {
			return err
		}
	}
	var err error
	if s.engine, err = s.newEngine(name); err != nil {
		return err
	}
	if err := (trace{engine: name}).write(s.stateDir); err != nil {
		return err
	}
	if _, err := os.Stat(laterPath(s.stateDir)); err == nil {
		s.opts.Fresh = true
	}
	if !s.opts.Fresh {
		return nil
	}
	if err := s.engine.Discard(ctx); err != nil {
		return err
	}
	s.say("data thrown away, as asked")
	return nil
}

// spawn runs f until it returns; Close waits for it after ending its context.
// Once Close waits, nothing new is spawned.
func (s *Stack) spawn(f func(ctx context.Context)) {
	s.spawning.Lock()
	defer s.spawning.Unlock()
	if s.closed {
		return
	}
	s.tasks.Add(1)
	go func() {
		defer s.tasks.Done()
		f(s.life)
	}()
}

func (s *Stack) event(e control.Event) {
	if s.opts.Event == nil {
		return
	}
	e.Time = time.Now()
	s.opts.Event(e)
}

// say tells the person at the terminal and the log.
func (s *Stack) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.logs.Say("%s", text)
	s.event(control.Event{Kind: "say", Detail: text})
}

// Down begins to take everything down: Done is closed, and whoever runs the
// stack calls Close.
func (s *Stack) Down() { s.downing.Do(func() { close(s.down) }) }

// Done is closed once somebody asked the stack to go down.
func (s *Stack) Done() <-chan struct{} { return s.down }

// Logs is control.Backend's.
func (s *Stack) Logs(ctx context.Context, q control.LogQuery, yield func(control.Line) error) error {
	return s.logs.Read(ctx, q, yield)
}

// Status is control.Backend's.
func (s *Stack) Status() control.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := control.Status{
		State: s.state, Engine: s.engine.Name(), Project: s.project.Root, Captures: s.captures,
		Endpoints: make(map[string]string, len(s.endpoints)), Moved: s.ports.moved,
		Processes: []control.Process{}, Dependencies: []control.Dependency{}, Faults: []chaos.Fault{},
		Reload:     s.receipt,
		Supervisor: control.Supervisor{PID: os.Getpid(), Since: s.since, Detached: s.opts.Detached},
	}
	for k, v := range s.endpoints {
		st.Endpoints[k] = v
	}
	for _, p := range s.processes {
		st.Processes = append(st.Processes, p.status())
	}
	for _, d := range s.dependencies {
		st.Dependencies = append(st.Dependencies, d.status())
	}
	if s.chaos != nil {
		if faults := s.chaos.Faults(); faults != nil {
			st.Faults = faults
		}
	}
	if s.gateway != nil {
		g := s.gateway.Stats()
		st.Reload.Held, st.Reload.Dropped = g.Held, g.Dropped
	}
	return st
}

// Close takes everything down, in order: what brings work first, then what does
// it, then what it is done with. It returns when nothing is left running, and is
// the last thing that a supervisor does: the worktree's lock stays held until
// its process ends. A program that had to be killed is told to the log alone;
// there is nothing more to be done about it.
func (s *Stack) Close() {
	s.Down()
	s.mu.Lock()
	s.state = control.Stopping
	closers, processes, dependencies := s.closers, s.processes, s.dependencies
	s.closers = nil
	s.mu.Unlock()
	s.end()
	bounded, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if s.watcher != nil {
		if err := s.watcher.Stop(bounded); err != nil {
			s.logs.Say("%v", err)
		}
	}
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	each(processes, func(p *proc) { p.close(bounded) })
	if s.chaos != nil {
		if err := s.chaos.Close(); err != nil {
			s.logs.Say("close the proxies: %v", err)
		}
	}
	each(dependencies, func(d *dependency) {
		if err := d.server.Stop(bounded); err != nil {
			s.logs.Say("%v", err)
		}
	})
	if s.engine != nil {
		if err := (trace{s.engine.Name(), true}).write(s.stateDir); err != nil {
			s.logs.Say("%v", err)
		}
	}
	if s.control != nil {
		if err := s.control.Close(); err != nil {
			s.logs.Say("close the control socket: %v", err)
		}
	}
	s.spawning.Lock()
	s.closed = true
	s.spawning.Unlock()
	s.tasks.Wait()
	if s.logs != nil {
		s.logs.Close()
	}
	// The lock is not given back: the kernel does that when this process is gone,
	// and until then it is not down.
}

// each calls f for all items side by side and waits.
func each[T any](items []T, f func(T)) {
	var wg sync.WaitGroup
	for _, item := range items {
		wg.Add(1)
		go func() { defer wg.Done(); f(item) }()
	}
	wg.Wait()
}

// hostport is the address of a listener as clients write it.
func hostport(l net.Listener) string { return l.Addr().String() }

// Kill ends every program at once, for a person who does not want to wait. Close
// still has to be called, or to be under way.
func (s *Stack) Kill() { s.registry.Kill() }
