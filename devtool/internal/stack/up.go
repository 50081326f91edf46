package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/goldenpath/chaos/proxy"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/gateway"
	"example.com/goldenpath/devtool/internal/reload"
)

// Up brings everything up and returns when the service answers. What does not
// wait for something else runs beside it: the build while the databases start.
func (s *Stack) Up(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopWaiting := context.AfterFunc(s.life, cancel)
	defer stopWaiting()
	go func() { // `devtool down` while we come up
		select {
		case <-s.down:
			cancel()
		case <-ctx.Done():
		}
	}()

	if err := s.listen(); err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.step(gctx, "build", s.build) })
	for _, d := range s.dependencies {
		group.Go(func() error {
			err := s.step(gctx, d.spec.Name, func(ctx context.Context) (string, error) {
				return s.startDependency(ctx, d)
			})
			if err != nil || d.spec.Kind != "postgres" || d != s.database() {
				return err
			}
			return s.prepareData(gctx)
		})
	}
	if err := group.Wait(); err != nil {
		return s.upFailed(ctx, err)
	}
	for _, d := range s.dependencies {
		s.spawn(d.watch)
	}
	group, gctx = errgroup.WithContext(ctx)
	for _, p := range s.processes {
		group.Go(func() error {
			return s.step(gctx, p.spec.Name, func(ctx context.Context) (string, error) {
				err := p.again(ctx)
				return "ready", err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return s.upFailed(ctx, err)
	}
	if err := os.Remove(laterPath(s.stateDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note that the data is new: %w", err)
	}
	s.watch()
	s.mu.Lock()
	s.state = control.Running
	s.mu.Unlock()
	status := s.Status()
	if s.database() != nil {
		s.spawn(s.prepareReset)
	}
	s.event(control.Event{Kind: "ready", MS: time.Since(s.since).Milliseconds(), Status: &status})
	return nil
}

// upFailed tells an error from being stopped.
func (s *Stack) upFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Canceled
	}
	return err
}

// step runs f with its begin and end told.
func (s *Stack) step(ctx context.Context, name string, f func(ctx context.Context) (string, error)) error {
	began := time.Now()
	s.event(control.Event{Kind: "step", Name: name, State: "begin"})
	detail, err := f(ctx)
	took := time.Since(began)
	if err != nil {
		s.event(control.Event{Kind: "step", Name: name, State: "fail", MS: took.Milliseconds()})
		s.logs.Say("%s failed after %s: %v", name, console.Seconds(took), err)
		return err
	}
	s.event(control.Event{Kind: "step", Name: name, State: "end", Detail: detail, MS: took.Milliseconds()})
	s.logs.Say("%s: %s (%s)", name, detail, console.Seconds(took))
	return nil
}

// listen opens every public port first: they are ours from here on, and two
// stacks that come up side by side cannot take each other's.
func (s *Stack) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gateway = gateway.New(gateway.Config{})
	s.chaos = proxy.New(proxy.Config{Seed: s.opts.Seed, OnEvent: proxy.Narrate(func(text string) { s.logs.Say("%s", text) })})
	front, err := s.ports.listen("gateway", s.project.Gateway.Port)
	if err != nil {
		return err
	}
	s.serve(front, s.gateway.Serve, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = s.gateway.Shutdown(ctx) // the rest of the requests is cut
	})
	s.endpoints["service"] = "http://" + hostport(front)
	api, err := s.ports.listen("toxiproxy", s.project.Toxiproxy.Port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.chaos.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	s.serve(api, server.Serve, func() { _ = server.Close() })
	s.endpoints["toxiproxy"] = "http://" + hostport(api)
	for _, spec := range s.project.Dependencies {
		l, err := s.ports.listen(spec.Name, spec.Port)
		if err != nil {
			return err
		}
		server, err := s.engine.Server(spec)
		if err != nil {
			l.Close()
			return err
		}
		// Until the server is up its proxy has no upstream and refuses.
		p, err := s.chaos.Add(spec.Name, spec.Kind, l, "")
		if err != nil {
			l.Close()
			return fmt.Errorf("open the proxy of %s: %w", spec.Name, err)
		}
		d := &dependency{stack: s, spec: spec, server: server, proxy: p, addr: hostport(l),
			state: control.Starting, again: make(chan struct{}, 1)}
		s.dependencies = append(s.dependencies, d)
		s.endpoints[spec.Name] = d.addr
	}
	for _, m := range s.ports.moved {
		s.movedEvent(m)
	}
	return s.ports.save()
}

func (s *Stack) movedEvent(m control.Moved) {
	by := "taken"
	if m.Holder != "" {
		by = "taken by " + m.Holder
	}
	text := fmt.Sprintf("port %d is %s; %s is on %d in this worktree", m.Wanted, by, m.Name, m.Got)
	if m.Holder == "" {
		text = fmt.Sprintf("%s is on port %d in this worktree (%d was taken once)", m.Name, m.Got, m.Wanted)
	}
	s.logs.Say("%s", text)
	s.event(control.Event{Kind: "say", Detail: text})
}

// serve runs a server on l until Close; stop is how it ends.
func (s *Stack) serve(l net.Listener, serve func(net.Listener) error, stop func()) {
	s.closers = append(s.closers, stop)
	s.spawn(func(context.Context) {
		if err := serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && s.life.Err() == nil {
			s.logs.Say("serve on %s: %v", hostport(l), err)
		}
	})
}

func (s *Stack) startDependency(ctx context.Context, d *dependency) (string, error) {
	if err := d.start(ctx); err != nil {
		return "", err
	}
	if s.opts.Fresh && s.engine.Keeps() && d != s.database() { // of which prepareData takes care
		if err := d.reset(ctx, nil); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s behind the proxy on %s", d.server.Describe(), d.addr), nil
}

// build compiles the processes as they stand now.
func (s *Stack) build(ctx context.Context) (string, error) {
	var targets []reload.Target
	var names []string
	for _, p := range s.processes {
		targets = append(targets, reload.Target{Process: p.spec.Name, Package: p.spec.Package})
		names = append(names, p.spec.Name)
	}
	built, err := s.builder.Build(ctx, targets...)
	if err != nil {
		var compiler *reload.BuildError
		if errors.As(err, &compiler) {
			return "", console.Fail(console.ExitFailed, "mend it, then devtool up",
				"the service does not compile:\n%s", strings.TrimRight(compiler.Output, "\n"))
		}
		return "", err
	}
	environment := reload.EnvironmentDigest(s.project.Root, ".env")
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range built {
		s.processes[i].build = build{b.Binary, b.Digest, environment}
	}
	return strings.Join(names, ", "), nil
}

// watch starts the hot reload. A stack without it still serves, so a failure is
// said and kept in the status, not fatal.
func (s *Stack) watch() {
	socket, err := s.project.Socket()
	if err != nil {
		s.say("hot reload is off: %v", err)
		return
	}
	var targets []reload.Target
	for _, p := range s.processes { // the one behind the gateway is built first
		t := reload.Target{Process: p.spec.Name, Package: p.spec.Package}
		if p.front() {
			targets = append([]reload.Target{t}, targets...)
		} else {
			targets = append(targets, t)
		}
	}
	poll, why := s.project.Reload.Poll, "devtool.yaml says so"
	if !poll {
		poll, why = reload.NeedsPolling(s.project.Root)
	}
	s.watcher, err = reload.Watch(reload.WatchConfig{
		Builder: s.builder, Root: s.project.Root, StateDir: filepath.Join(s.stateDir, "reload"), Targets: targets,
		Command: []string{s.opts.Devtool, "hand-over", "--socket", socket},
		Exclude: s.project.Reload.Exclude, Poll: poll, Output: s.logs.Writer("reload"), Registry: s.registry,
	})
	if err == nil {
		s.spawn(s.watchWatcher)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.receipt.Watching = "off: " + err.Error()
		s.logs.Say("hot reload is off: %v", err)
		s.event(control.Event{Kind: "say", Detail: "hot reload is off: " + err.Error(), Hint: console.HintOf(err)})
	case poll:
		s.receipt.Watching = "polling: " + why
	default:
		s.receipt.Watching = "inotify"
	}
}

// watchWatcher says when the watcher ends by itself.
func (s *Stack) watchWatcher(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-s.watcher.Done():
	}
	if ctx.Err() != nil {
		return
	}
	err := s.watcher.Err()
	s.mu.Lock()
	s.receipt.Watching = "off: " + err.Error()
	s.mu.Unlock()
	s.say("hot reload is off: %v; devtool down and up start it again", err)
}

// Built is control.Backend's: the watcher's word that a build ended.
func (s *Stack) Built(r reload.Report) {
	s.spawn(func(ctx context.Context) { s.takeIn(ctx, r) })
}

// takeIn swaps a new build in, or says why not.
func (s *Stack) takeIn(ctx context.Context, r reload.Report) {
	if !r.OK {
		s.failedReload(r.Process, "does not compile; the old build goes on serving", r.Output)
		return
	}
	for _, p := range s.processes {
		next := build{r.Binary, r.Digest, r.Environment}
		if p.spec.Name != r.Process {
			continue
		}
		if p.runs(next) { // what was broken is taken back
			s.mended(r.Process)
			return
		}
		began := time.Now()
		if err := p.swap(ctx, next); err != nil {
			if ctx.Err() == nil {
				s.failedReload(r.Process, "is built but does not start; the old one goes on serving", err.Error())
			}
			return
		}
		took := r.Duration + time.Since(began)
		s.mu.Lock()
		s.receipt.Count++
		s.receipt.LastMS = took.Milliseconds()
		s.mu.Unlock()
		s.mended(p.spec.Name)
		s.say("%s reloaded in %s", p.spec.Name, console.Seconds(took))
		s.pruneBuilds()
	}
}

// pruneBuilds removes binaries that nothing runs any more.
func (s *Stack) pruneBuilds() {
	s.mu.Lock()
	var inUse []string
	for _, p := range s.processes {
		inUse = append(inUse, p.build.path)
	}
	s.mu.Unlock()
	if err := s.builder.Prune(inUse...); err != nil {
		s.logs.Say("remove old builds: %v", err)
	}
}

// mended takes the last error back when it was about that process.
func (s *Stack) mended(process string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing == process {
		s.failing, s.receipt.LastError = "", ""
	}
}

func (s *Stack) failedReload(process, what, words string) {
	words = strings.TrimRight(words, "\n")
	s.mu.Lock()
	s.receipt.Failed++
	s.failing = process
	s.receipt.LastError = process + " " + what + ":\n" + words
	s.mu.Unlock()
	s.say("%s %s:\n%s", process, what, words)
}
