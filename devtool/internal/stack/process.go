package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/project"
)

const (
	readyTimeout = 30 * time.Second // for a process to answer its readiness probe
	drainTimeout = 35 * time.Second // for requests at an old process to end; above the service's own limit
)

// proc is a program of the project through all its generations.
type proc struct {
	stack *Stack
	spec  project.Process

	// swapping is held while a generation is replaced: one at a time.
	swapping sync.Mutex

	// Guarded by the stack's mutex.
	state    control.State
	restarts int
	build    build // of the current generation, or of the one to come
	current  *generation
	pause    backoff
	retiring sync.WaitGroup
}

// generation is one run of a process.
type generation struct {
	process *process.Process
	listen  map[string]string // listener: host:port
	retired bool              // replaced or stopped on purpose; guarded by the stack's mutex
}

func (p *proc) status() control.Process {
	st := control.Process{Name: p.spec.Name, State: p.state, Restarts: p.restarts}
	if p.current != nil {
		st.PID, st.Listen = p.current.process.PID(), p.current.listen
	}
	return st
}

func (p *proc) front() bool { return p.stack.project.Gateway.Process == p.spec.Name }

// build is what a generation runs: a binary, and a digest of the environment
// files that it was started with.
type build struct{ path, digest, environment string }

// runs says whether that very build runs now.
func (p *proc) runs(b build) bool {
	p.stack.mu.Lock()
	defer p.stack.mu.Unlock()
	return p.build.digest == b.digest && p.build.environment == b.environment && p.current != nil
}

// again starts a new generation of the build that the last one ran.
func (p *proc) again(ctx context.Context) error {
	p.stack.mu.Lock()
	b := p.build
	p.stack.mu.Unlock()
	return p.swap(ctx, b)
}

// swap starts a new generation, waits until it is ready, leads requests to it,
// and lets the old one finish what it has. On an error the old one goes on, and
// its build stays the one that a crash brings back.
func (p *proc) swap(ctx context.Context, b build) error {
	p.swapping.Lock()
	defer p.swapping.Unlock()
	next, err := p.launch(ctx, b)
	if err != nil {
		return err
	}
	s := p.stack
	s.mu.Lock()
	if s.state == control.Stopping {
		s.mu.Unlock()
		stop(s, next)
		return context.Canceled
	}
	old := p.current
	p.current, p.state, p.build = next, control.Running, b
	if old != nil {
		old.retired = true
	}
	// The swap stands under the mutex so that a generation that ends this very
	// moment takes down its own route and no other's.
	var leaving interface{ Wait(context.Context) error }
	if p.front() {
		leaving = s.gateway.Swap(next.listen[s.project.Gateway.Listen])
	}
	p.retiring.Add(1)
	s.mu.Unlock()
	s.spawn(func(ctx context.Context) { p.watch(ctx, next) })
	go func() {
		defer p.retiring.Done()
		if old == nil {
			return
		}
		if leaving != nil {
			bounded, cancel := context.WithTimeout(s.life, drainTimeout)
			if err := leaving.Wait(bounded); err != nil && s.life.Err() == nil {
				s.logs.Say("the old %s still had requests after %s: %v", p.spec.Name, drainTimeout, err)
			}
			cancel()
		}
		stop(s, old)
	}()
	return nil
}

func stop(s *Stack, g *generation) {
	if err := g.process.Stop(context.Background()); err != nil {
		s.logs.Say("%v", err)
	}
}

// launch starts a generation and waits until it is ready.
func (p *proc) launch(ctx context.Context, b build) (*generation, error) {
	s := p.stack
	ports, err := freePorts(len(p.spec.Listen))
	if err != nil {
		return nil, err
	}
	g := &generation{listen: map[string]string{}}
	variables := map[string]string{}
	for name, variable := range p.spec.Listen {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[len(g.listen)]))
		g.listen[name], variables[variable] = addr, addr
	}
	g.process, err = process.Start(process.Spec{
		Name: p.spec.Name, Path: b.path, Args: p.spec.Args, Dir: s.project.Root,
		Env:    processEnv(s.project, p.spec, Environment(s.project, s.Status().Endpoints), variables),
		Output: s.logs.Writer(p.spec.Name), StopTimeout: p.spec.StopTimeout,
	}, s.registry)
	if err != nil {
		return nil, err
	}
	if err := p.ready(ctx, g); err != nil {
		g.process.Kill()
		<-g.process.Done()
		return nil, err
	}
	return g, nil
}

// ready waits until the generation answers its probe.
func (p *proc) ready(ctx context.Context, g *generation) error {
	if p.spec.Ready.Path == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	// No proxy of the environment, and a connection for each try: the process may
	// be anything until it is ready.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	url := "http://" + g.listen[p.spec.Ready.Listen] + p.spec.Ready.Path
	answer := "it does not listen"
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 2048))
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			answer = fmt.Sprintf("%s answers %s: %s", p.spec.Ready.Path, resp.Status, strings.TrimSpace(string(body)))
		}
		select {
		case <-g.process.Done():
			return console.Fail(console.ExitFailed, p.lastWordsHint(), "%s ended before it was ready (%v); its last words:\n%s",
				p.spec.Name, exitText(g.process.Err()), p.lastWords())
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return console.Fail(console.ExitFailed, p.lastWordsHint(), "%s was not ready within %s: %s", p.spec.Name, readyTimeout, answer)
		case <-tick.C:
		}
	}
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func (p *proc) lastWords() string {
	return "  " + strings.Join(p.stack.logs.tail(p.spec.Name, 12), "\n  ")
}

func (p *proc) lastWordsHint() string {
	return fmt.Sprintf("all of it: .devtool/logs/%s.log; devtool env check looks at the configuration", p.spec.Name)
}

// watch starts a new generation when g ends by itself.
func (p *proc) watch(ctx context.Context, g *generation) {
	<-g.process.Done()
	s := p.stack
	var pause time.Duration
	s.mu.Lock()
	mine := !g.retired && p.current == g && s.state != control.Stopping
	if mine {
		p.state, p.current = control.Failed, nil
		p.restarts++
		pause = p.pause.step(time.Now())
		if p.front() {
			s.gateway.Swap("") // new requests wait for the next one
		}
	}
	s.mu.Unlock()
	if !mine || ctx.Err() != nil {
		return
	}
	s.say("%s ended by itself (%s); starting it again", p.spec.Name, exitText(g.process.Err()))
	for sleep(ctx, pause) {
		if s.running(p) {
			return // a reload was faster
		}
		err := p.again(ctx)
		if err == nil {
			s.say("%s is back", p.spec.Name)
			return
		}
		if ctx.Err() == nil {
			s.say("%v", err)
		}
		s.mu.Lock()
		pause = p.pause.step(time.Now())
		s.mu.Unlock()
	}
}

func (s *Stack) running(p *proc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.current != nil
}

// close ends every generation.
func (p *proc) close(ctx context.Context) {
	p.stack.mu.Lock()
	g := p.current
	if g != nil {
		g.retired = true
	}
	p.stack.mu.Unlock()
	if g != nil {
		if err := g.process.Stop(ctx); err != nil {
			p.stack.logs.Say("%v", err)
		}
	}
	p.retiring.Wait()
}

// Restart is control.Backend's: a process or a dependency starts anew.
func (s *Stack) Restart(ctx context.Context, name string) error {
	s.mu.Lock()
	processes, dependencies := s.processes, s.dependencies
	s.mu.Unlock()
	var names []string
	for _, p := range processes {
		if p.spec.Name == name {
			return p.again(ctx)
		}
		names = append(names, p.spec.Name)
	}
	for _, d := range dependencies {
		if d.spec.Name == name {
			return d.restart(ctx)
		}
		names = append(names, d.spec.Name)
	}
	slices.Sort(names)
	return console.Fail(console.ExitUsage, "one of: "+strings.Join(names, ", "), "there is nothing named %q to restart", name)
}
