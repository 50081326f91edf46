package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/stack/attached"
)

// answerer is a server at its address, as package attached knows it.
type answerer interface {
	Start(ctx context.Context) error
	Probe(ctx context.Context) error
	Describe() string
}

// server is one service's container and the server in it.
type server struct {
	engine *Compose
	spec   project.Dependency
	reach  func(addr string) answerer

	joined bool // the first batch; guarded by the engine's mutex
	begun  bool // it may be starting at this moment; guarded by the engine's mutex

	life sync.Mutex // Start and Stop
	id   string     // of the container that may run, guarded by life
	run  atomic.Pointer[run]
}

// run is one life of a container. Two calls of docker stand for it: one that
// waits for its end, one that reads its log.
type run struct {
	box      container
	addr     string
	client   answerer
	wait     *process.Process
	logs     *process.Process
	stopping atomic.Bool
	ended    chan struct{} // closed when it ended and was not asked to
	finished chan struct{} // closed when both calls have ended
}

func (r *run) alive() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.wait.Done():
		return false
	default:
		return true
	}
}

// abandon ends both calls while the container may go on.
func (r *run) abandon() {
	r.stopping.Store(true)
	r.logs.Kill()
	r.wait.Kill()
	<-r.finished
}

// close ends the calls about a container that was stopped.
func (r *run) close(ctx context.Context) error {
	r.stopping.Store(true)
	err := r.wait.Stop(ctx)
	<-r.finished
	return err
}

// Start returns when the server in the container answers a real query.
func (s *server) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.run.Load().alive() {
		return s.Probe(ctx)
	}
	err := s.start(ctx)
	if err == nil || ctx.Err() == nil {
		s.setBegun(false)
	}
	return err
}

func (s *server) setBegun(begun bool) (was bool) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	was, s.begun = s.begun, begun
	return was
}

func (s *server) start(ctx context.Context) error {
	box, err := s.engine.bring(ctx, s)
	if err != nil {
		return err
	}
	s.id = box.ID
	if !box.State.Running {
		return s.explainEnd(ctx, box)
	}
	addr := box.addr()
	if addr == "" {
		return console.Fail(console.ExitFailed, "docker port "+box.name(), "start %s: container %s runs and publishes no port", s.spec.Name, box.name())
	}
	r, err := s.follow(box, addr)
	if err != nil {
		return err
	}
	if err := s.await(ctx, r); err != nil {
		r.abandon()
		return err
	}
	s.run.Store(r)
	return nil
}

// logLines bounds what is read of the log from before the call: all of what a
// container says as it starts, not all of what one has said in a week.
const logLines = "1000"

// follow begins to watch a container.
func (s *server) follow(box container, addr string) (*run, error) {
	path, err := exec.LookPath("docker")
	if err != nil {
		return nil, err
	}
	r := &run{box: box, addr: addr, client: s.reach(addr), ended: make(chan struct{}), finished: make(chan struct{})}
	call := func(what string, output io.Writer, args ...string) (*process.Process, error) {
		return process.Start(process.Spec{Name: s.spec.Name + " (" + what + ")", Path: path, Args: args, Env: environment(),
			Output: output, StopTimeout: 5 * time.Second}, s.engine.cfg.Registry)
	}
	// By its own clock, so that two clocks need not agree.
	if r.logs, err = call("log", s.engine.cfg.Output(s.spec.Name),
		"logs", "--follow", "--since", box.State.FinishedAt, "--tail", logLines, box.ID); err != nil {
		return nil, err
	}
	// It returns at once when the container has ended already, so that no end is
	// missed, as one could be by a call that watches events from now on.
	if r.wait, err = call("container", io.Discard, "wait", box.ID); err != nil {
		r.logs.Kill()
		<-r.logs.Done()
		return nil, err
	}
	go r.watch()
	return r, nil
}

func (r *run) watch() {
	<-r.wait.Done()
	if !r.stopping.Load() {
		close(r.ended)
	}
	select {
	case <-r.logs.Done(): // with the container's last words
	case <-time.After(lastWords):
		r.logs.Kill()
		<-r.logs.Done()
	}
	close(r.finished)
}

// lastWords is how long the log of a container may go on after its end.
const lastWords = 2 * time.Second

// await asks the server until it answers, its container ends or patience does.
func (s *server) await(ctx context.Context, r *run) error {
	waiting, cancel := context.WithTimeoutCause(ctx, s.engine.patience, fmt.Errorf("no answer within %s", console.Seconds(s.engine.patience)))
	defer cancel()
	go func() {
		select {
		case <-r.wait.Done():
			cancel()
		case <-waiting.Done():
		}
	}()
	err := r.client.Start(waiting)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("start %s: %w", s.spec.Name, context.Cause(ctx))
	case waiting.Err() != nil:
		return s.explainSilence(ctx, r, err)
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == "28P01" || answer.Code == "28000") { // invalid password, role
		return console.Wrap(err, console.ExitFailed, "let devtool.yaml give the user and password of "+s.engine.cfg.File+
			"; data that was made with others is thrown away by devtool up --fresh")
	}
	return err
}

// explainSilence is about a container whose server gave no answer.
func (s *server) explainSilence(ctx context.Context, r *run, cause error) error {
	boxes, err := inspect(ctx, r.box.ID)
	switch {
	case gone(err):
		return console.Fail(console.ExitFailed, "devtool up", "start %s: somebody removed container %s", s.spec.Name, r.box.name())
	case err != nil:
		return s.engine.explain(ctx, "start "+s.spec.Name, err)
	}
	box := boxes[0]
	if !box.State.Running {
		return s.explainEnd(ctx, box)
	}
	hint := "docker inspect " + box.name() + " and devtool logs " + s.spec.Name + " say more; or " + insteadHint
	if box.health() == "healthy" {
		hint = "is " + r.addr + " the address of another machine (docker context ls, DOCKER_HOST), or does devtool run in a container? then " + insteadHint
	}
	state := "runs"
	if box.health() != "" {
		state = "runs and is " + box.health()
	}
	return &console.Failure{Exit: console.ExitFailed, Hint: hint,
		Text: fmt.Sprintf("container %s (%s) %s, but its server gives no answer: %v; its log ends with\n%s",
			box.name(), box.Config.Image, state, cause, lastLines(ctx, box))}
}

// explainEnd is about a container that ended before its server answered.
func (s *server) explainEnd(ctx context.Context, box container) error {
	log := lastLines(ctx, box)
	why := fmt.Sprintf("ended with exit code %d", box.State.ExitCode)
	hint := "mend " + s.engine.cfg.File + "; or, if its data is at fault, devtool up --fresh, which begins with new data"
	switch {
	case box.State.OOMKilled:
		why, hint = "was killed because it used more memory than it may", "give it a higher mem_limit in "+s.engine.cfg.File
	case strings.Contains(strings.ToLower(log), noSpace):
		why, hint = why+" because the disk of Docker is full", spaceHint
	case strings.Contains(log, "database files are incompatible with server"):
		why = "cannot read its volume, which another major version of PostgreSQL has written"
		hint = "devtool up --fresh begins with new data (or devtool down --volumes, which throws the old away); " +
			"to keep it, let " + s.engine.cfg.File + " name the image of that version"
	}
	return console.Fail(console.ExitFailed, hint, "container %s (%s) %s; its log ends with\n%s", box.name(), box.Config.Image, why, log)
}

// Stop ends the container, and with the last one the project.
func (s *server) Stop(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.setBegun(false) && s.spec.Kind == "postgres" {
		s.settle(ctx)
	}
	var errs []error
	r := s.run.Load()
	if r != nil {
		r.stopping.Store(true)
	}
	if s.id != "" {
		// With the signal and the time that the image and the file give.
		_, err := docker(ctx, "stop", s.id)
		if err == nil || gone(err) {
			s.id = ""
		} else {
			errs = append(errs, s.engine.explain(ctx, "stop "+s.spec.Name, err))
		}
	}
	if r != nil {
		errs = append(errs, r.close(ctx))
	}
	return errors.Join(append(errs, s.engine.leave(ctx, s))...)
}

// settleTimeout is well above what initdb takes, and below what a person waits.
const settleTimeout = 10 * time.Second

// settle lets a PostgreSQL that was called off while it began come to the point
// where it can be stopped. Before that its script hears no signal, and to kill it
// would leave a volume that no later start can use.
func (s *server) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	boxes, err := s.engine.containers(ctx)
	box := boxes[s.spec.Service]
	if err != nil || !box.State.Running || box.addr() == "" {
		return
	}
	s.id = box.ID
	s.engine.cfg.Progress(s.spec.Name + " is stopped once PostgreSQL has begun, so that its data stays whole")
	if r, err := s.follow(box, box.addr()); err == nil {
		_ = s.await(ctx, r) // it is stopped either way
		r.abandon()
	}
}

// Addr is the published address.
func (s *server) Addr() string {
	if r := s.run.Load(); r != nil {
		return r.addr
	}
	return ""
}

// PID is 0: what runs in a container has no pid that means something here.
func (s *server) PID() int { return 0 }

// Done is closed when the container ended by itself or Docker went away.
func (s *server) Done() <-chan struct{} {
	if r := s.run.Load(); r != nil {
		return r.ended
	}
	return nil
}

// Probe asks the server a real query.
func (s *server) Probe(ctx context.Context) error {
	r := s.run.Load()
	if r == nil {
		return fmt.Errorf("ask %s: it has not been started", s.spec.Name)
	}
	return r.client.Probe(ctx)
}

// Describe names the server, its container and the image.
func (s *server) Describe() string {
	r := s.run.Load()
	if r == nil {
		return "service " + s.spec.Service + " of " + s.engine.cfg.File
	}
	what, _, _ := strings.Cut(r.client.Describe(), " at ") // what, where
	return fmt.Sprintf("%s in %s (%s)", what, r.box.name(), r.box.Config.Image)
}

// Postgres is a PostgreSQL server in a container.
type Postgres struct{ *server }

// AdminURL connects to a database that a reset leaves alone.
func (p *Postgres) AdminURL() string {
	if r := p.run.Load(); r != nil {
		return r.client.(*attached.Postgres).AdminURL()
	}
	return ""
}

// URL connects to a database of the server.
func (p *Postgres) URL(database string) string {
	if r := p.run.Load(); r != nil {
		return r.client.(*attached.Postgres).URL(database)
	}
	return ""
}

// Redis is a Redis server in a container.
type Redis struct{ *server }

// Flush removes all keys of all databases. Connections stay open.
func (r *Redis) Flush(ctx context.Context) error {
	if now := r.run.Load(); now != nil {
		return now.client.(*attached.Redis).Flush(ctx)
	}
	return errors.New("empty Redis: it has not been started")
}

// Kafka is a broker in a container.
type Kafka struct{ *server }

// Reset empties all topics; clients that are connected notice nothing.
func (k *Kafka) Reset(ctx context.Context) error {
	if now := k.run.Load(); now != nil {
		return now.client.(*attached.Kafka).Reset(ctx)
	}
	return errors.New("empty Kafka's topics: it has not been started")
}
