// Package compose runs the servers of a project's compose file as containers,
// with the docker CLI, so that contexts, DOCKER_HOST and credentials are those
// that the user has. How a server is asked is package attached's matter.
package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/stack/attached"
)

// patience is how long a container may take until it answers a query: Kafka in
// a Java machine on a busy laptop.
const patience = time.Minute

// Config is what the engine needs from the stack.
type Config struct {
	// Root is the project's folder, File its compose file, relative to Root.
	Root, File string
	// Project is Compose's name for what belongs to this worktree.
	Project string
	// Dir is where ports are remembered. It exists, and one supervisor at a time
	// uses it.
	Dir string
	// Registry records the programs that are started.
	Registry *process.Registry
	// Output gives the writer for the log of the dependency with this name.
	Output func(name string) io.Writer
	// Progress is told, in a short sentence, about what takes long and about
	// what a person must know.
	Progress func(text string)
}

// Compose is one project of Docker Compose. Its containers outlive a supervisor
// that was killed; the next one goes on with them.
type Compose struct {
	cfg      Config
	patience time.Duration // see the constant
	stall    time.Duration // see stallTimeout

	// turn is held by whoever makes or removes containers.
	turn  chan struct{}
	ports map[string]int // of services, guarded by turn
	cut   bool           // the last `up` failed; guarded by turn

	mu      sync.Mutex
	servers []*server
	active  map[*server]bool // that may have a container
	clean   bool             // nothing of the project is left
	first   *batch
}

// batch is the first `docker compose up`, which starts all servers at once.
type batch struct {
	done  chan struct{}
	boxes map[string]container
	err   error
}

// New makes an engine; nothing is started or asked yet.
func New(cfg Config) *Compose {
	if cfg.Output == nil {
		cfg.Output = func(string) io.Writer { return io.Discard }
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	return &Compose{cfg: cfg, patience: patience, stall: stallTimeout, turn: make(chan struct{}, 1),
		ports: map[string]int{}, active: map[*server]bool{}}
}

// Postgres returns the server of a dependency of kind postgres, not yet started.
// Ask for all servers before the first is started: they start together.
func (c *Compose) Postgres(d project.Dependency) *Postgres {
	return &Postgres{c.server(d, func(addr string) answerer {
		return attached.NewPostgres(attached.PostgresOptions{Name: d.Name, Addr: addr,
			Database: d.Database, User: d.User, Password: d.Password, Patience: 2 * c.patience})
	})}
}

// Redis is as Postgres.
func (c *Compose) Redis(d project.Dependency) *Redis {
	return &Redis{c.server(d, func(addr string) answerer {
		return attached.NewRedis(attached.RedisOptions{Name: d.Name, Addr: addr, Patience: 2 * c.patience})
	})}
}

// Kafka is as Postgres.
func (c *Compose) Kafka(d project.Dependency) *Kafka {
	return &Kafka{c.server(d, func(addr string) answerer {
		return attached.NewKafka(attached.KafkaOptions{Name: d.Name, Addr: addr, Topics: d.Topics, Patience: 2 * c.patience})
	})}
}

func (c *Compose) server(d project.Dependency, reach func(addr string) answerer) *server {
	s := &server{engine: c, spec: d, reach: reach}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = append(c.servers, s)
	return s
}

// bring makes the container of s run, and returns it. The first time all
// servers' containers are started together, by whoever comes first.
func (c *Compose) bring(ctx context.Context, s *server) (container, error) {
	if b, leads := c.join(s); b != nil {
		if leads {
			b.boxes, b.err = c.up(ctx, c.services()...)
			close(b.done)
		}
		select {
		case <-b.done:
		case <-ctx.Done():
			return container{}, context.Cause(ctx)
		}
		if !errors.Is(b.err, context.Canceled) && !errors.Is(b.err, context.DeadlineExceeded) || ctx.Err() != nil {
			return b.boxes[s.spec.Service], b.err
		}
		// It was called off by its leader, who does not speak for all.
	}
	boxes, err := c.up(ctx, s.spec.Service)
	return boxes[s.spec.Service], err
}

// join returns the batch that s is to wait for, if it is its first start.
func (c *Compose) join(s *server) (b *batch, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active[s], c.clean, s.begun = true, false, true
	if s.joined {
		return nil, false
	}
	s.joined = true
	if c.first == nil {
		c.first, leads = &batch{done: make(chan struct{})}, true
		for _, other := range c.servers {
			c.active[other], other.begun = true, true
		}
	}
	return c.first, leads
}

// services are those that dependencies name, each once.
func (c *Compose) services() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	seen := map[string]bool{}
	for _, s := range c.servers {
		if !seen[s.spec.Service] {
			seen[s.spec.Service] = true
			names = append(names, s.spec.Service)
		}
	}
	return names
}

// leave is told when a server was stopped. The last one takes the project down:
// it removes what a stopped container still holds, and what a start that failed
// half way has left.
func (c *Compose) leave(ctx context.Context, s *server) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.release()
	c.mu.Lock()
	delete(c.active, s)
	last := len(c.active) == 0 && !c.clean
	c.mu.Unlock()
	if !last {
		return nil
	}
	return c.remove(ctx, false)
}

// Down stops and removes the project's containers and networks, and with
// volumes all its data. It needs no compose file, and nothing need be there.
func (c *Compose) Down(ctx context.Context, volumes bool) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.release()
	return c.remove(ctx, volumes)
}

// remove goes by the labels that Compose puts on what it makes. `docker compose
// down` would go by the compose file, which may have changed or be broken.
func (c *Compose) remove(ctx context.Context, volumes bool) error {
	for first := true; ; first = false {
		found, err := c.sweep(ctx, volumes)
		if err != nil {
			return c.explain(ctx, "take "+c.cfg.Project+" down", err)
		}
		if !c.cut || !first && !found {
			break
		}
		// When `up` fails for one container it calls the others off, which the
		// engine may be making all the same and show late.
		select {
		case <-time.After(lateContainer):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	c.cut = false
	c.mu.Lock()
	c.clean = true
	c.mu.Unlock()
	return nil
}

// lateContainer is how long the engine may take to show a container that it was
// making.
const lateContainer = time.Second

// sweep removes what is there, and says whether that was anything.
func (c *Compose) sweep(ctx context.Context, volumes bool) (found bool, err error) {
	label := "label=" + projectLabel + "=" + c.cfg.Project
	steps := []struct{ list, do []string }{
		{[]string{"ps", "--quiet"}, []string{"stop"}},
		{[]string{"ps", "--quiet", "--all"}, []string{"rm", "--force", "--volumes"}}, // the volumes without a name
		{[]string{"network", "ls", "--quiet"}, []string{"network", "rm"}},
	}
	if volumes {
		steps = append(steps, struct{ list, do []string }{[]string{"volume", "ls", "--quiet"}, []string{"volume", "rm"}})
	}
	for _, step := range steps {
		out, err := docker(ctx, append(step.list, "--filter", label)...)
		if ids := strings.Fields(string(out)); err == nil && len(ids) > 0 {
			found = true
			_, err = docker(ctx, append(step.do, ids...)...)
		}
		if err != nil && !gone(err) {
			return found, err
		}
	}
	return found, nil
}

// take waits for the turn to make or remove containers.
func (c *Compose) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Compose) release() { <-c.turn }

// explain says what a call of docker was for and why it failed.
func (c *Compose) explain(ctx context.Context, doing string, err error) error {
	if why := trouble(ctx, doing, err); why != nil {
		return why
	}
	return &console.Failure{Exit: console.ExitFailed, Text: doing, Cause: err,
		Hint: "docker ps --all --filter label=" + projectLabel + "=" + c.cfg.Project + " shows what is there; or " + insteadHint}
}

const (
	noSpace   = "no space left on device"
	spaceHint = "docker system df says what takes the space; free some, then devtool up"
)

// trouble is a cause of err that has nothing to do with what was asked for: the
// caller gave up, the disk is full, Docker is away. It is nil for all others.
func trouble(ctx context.Context, doing string, err error) error {
	var known *console.Failure
	switch {
	case errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, err)
	case strings.Contains(strings.ToLower(err.Error()), noSpace):
		return &console.Failure{Exit: console.ExitFailed, Text: doing + ": the disk of Docker is full", Cause: err, Hint: spaceHint}
	}
	if _, why := Answers(ctx); why != nil {
		return &console.Failure{Exit: console.ExitFailed, Text: doing, Cause: why, Hint: console.HintOf(why)}
	}
	return nil
}
