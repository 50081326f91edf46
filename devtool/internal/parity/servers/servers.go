// Package servers starts the servers of an engine for a comparison: beside a
// stack that may run, with data, ports and containers of their own, which are
// gone afterwards.
package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/parity"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/stack/attached"
	"example.com/goldenpath/devtool/internal/stack/compose"
	"example.com/goldenpath/devtool/internal/stack/embedded"
)

// Engines are those that Open knows.
var Engines = []string{"embedded", "compose", "attached"}

// stopTime is how long it may take until nothing is left.
const stopTime = time.Minute

// server is what is needed of an engine's servers.
type server interface {
	Start(ctx context.Context) error
	Addr() string
	Describe() string
	Stop(ctx context.Context) error
}

// sqlServer is a server whose address is not enough to connect.
type sqlServer interface{ AdminURL() string }

// Open starts the servers of an engine for dependencies of p, one of each kind,
// side by side. The caller calls stop, which is never nil, also after an error;
// it takes all away again. The engine attached is an exception: its servers run
// already and go on.
func Open(ctx context.Context, p *project.Project, engine string, wanted []project.Dependency, progress func(text string)) (open parity.Servers, stop func() error, err error) {
	stop = func() error { return nil }
	dir, err := os.MkdirTemp("", "parity-")
	if err != nil {
		return open, stop, err
	}
	o := &opening{dir: dir, servers: map[string]server{}}
	stop = o.close
	// When root runs this, PostgreSQL's user must be able to pass.
	if err := os.Chmod(dir, 0o711); err != nil {
		return open, stop, err
	}
	if err := o.make(p, engine, wanted, progress); err != nil {
		return open, stop, err
	}
	if err := o.start(ctx); err != nil {
		return open, stop, err
	}
	open = parity.Servers{Engine: engine, Endpoints: map[string]parity.Endpoint{}}
	for kind, s := range o.servers {
		end := parity.Endpoint{URL: s.Addr(), Name: s.Describe()}
		if db, ok := s.(sqlServer); ok {
			end.URL = db.AdminURL()
		}
		open.Endpoints[kind] = end
	}
	return open, stop, nil
}

// opening is what there is to be closed.
type opening struct {
	dir     string
	servers map[string]server // by kind
	compose *compose.Compose
}

func (o *opening) make(p *project.Project, engine string, wanted []project.Dependency, progress func(string)) error {
	registry, err := process.OpenRegistry(filepath.Join(o.dir, "processes.json"))
	if err != nil {
		return err
	}
	var from func(project.Dependency) server
	switch engine {
	case "embedded":
		config := embedded.Config{Dir: o.dir, Registry: registry, Progress: progress}
		from = func(d project.Dependency) server { return fromEmbedded(config, d) }
	case "compose":
		o.compose = compose.New(compose.Config{
			Root: p.Root, File: p.Compose, Project: fmt.Sprintf("parity-%s-%d", strings.ToLower(p.Key()), os.Getpid()),
			Dir: o.dir, Registry: registry, Progress: progress,
		})
		from = func(d project.Dependency) server { return fromCompose(o.compose, d) }
	case "attached":
		from = fromAttached
	default:
		return console.Fail(console.ExitUsage, "devtool parity --of embedded,compose",
			"there is no engine %q to compare, only %s", engine, strings.Join(Engines, ", "))
	}
	for _, d := range wanted {
		o.servers[d.Kind] = from(d)
	}
	return nil
}

func fromEmbedded(config embedded.Config, d project.Dependency) server {
	switch d.Kind {
	case "postgres":
		return embedded.NewPostgres(config, embedded.PostgresOptions{Name: d.Name, Database: d.Database, User: d.User, Password: d.Password})
	case "redis":
		return embedded.NewRedis(config, embedded.RedisOptions{Name: d.Name})
	default:
		return embedded.NewKafka(config, embedded.KafkaOptions{Name: d.Name})
	}
}

func fromCompose(c *compose.Compose, d project.Dependency) server {
	d.Topics = nil
	switch d.Kind {
	case "postgres":
		return c.Postgres(d)
	case "redis":
		return c.Redis(d)
	default:
		return c.Kafka(d)
	}
}

// fromAttached gives the servers at the ports of their kind, as the dev
// container has them.
func fromAttached(d project.Dependency) server {
	at := func(port int) string { return net.JoinHostPort(d.Service, strconv.Itoa(port)) }
	switch d.Kind {
	case "postgres":
		return attached.NewPostgres(attached.PostgresOptions{Name: d.Name, Addr: at(5432), Database: d.Database, User: d.User, Password: d.Password})
	case "redis":
		return attached.NewRedis(attached.RedisOptions{Name: d.Name, Addr: at(6379)})
	default:
		return attached.NewKafka(attached.KafkaOptions{Name: d.Name, Addr: at(9092)})
	}
}

func (o *opening) start(ctx context.Context) error {
	starting, ctx := errgroup.WithContext(ctx)
	for _, s := range o.servers {
		starting.Go(func() error { return s.Start(ctx) })
	}
	return starting.Wait()
}

// close is not for the caller's context, which may have ended.
func (o *opening) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	var stopping errgroup.Group
	for kind, s := range o.servers {
		stopping.Go(func() error {
			if err := s.Stop(ctx); err != nil {
				return fmt.Errorf("stop %s: %w", kind, err)
			}
			return nil
		})
	}
	errs := []error{stopping.Wait()}
	if o.compose != nil {
		errs = append(errs, o.compose.Down(ctx, true))
	}
	return errors.Join(append(errs, os.RemoveAll(o.dir))...)
}
