package stack

import (
	"context"
	"fmt"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/stack/embedded"
)

// Engine provides the servers behind the proxies.
type Engine interface {
	// Name is what --engine calls it.
	Name() string
	// Server returns the server of a dependency, not yet started.
	Server(d project.Dependency) (Server, error)
}

// Server is one dependency's server.
type Server interface {
	// Start returns once a real query was answered. It may be called again after
	// the server ended by itself.
	Start(ctx context.Context) error
	// Addr is where it listens, once started.
	Addr() string
	// PID is 0 for a server inside this process.
	PID() int
	// Describe names it to a person: product, version, place.
	Describe() string
	// Done is closed when the server ended by itself; nil if it cannot.
	Done() <-chan struct{}
	// Probe asks a real query.
	Probe(ctx context.Context) error
	// Stop ends it, and may be called more than once.
	Stop(ctx context.Context) error
}

// sqlServer is a Server that holds databases.
type sqlServer interface {
	Server
	AdminURL() string
	URL(database string) string
}

// flusher is a Server that can forget its data and go on.
type flusher interface {
	Flush(ctx context.Context) error
}

// resetter is a Server that can make its data as new and go on.
type resetter interface {
	Reset(ctx context.Context) error
}

// Engines are the names that --engine takes.
var Engines = []string{"auto", "embedded"}

// chooseEngine returns the name of the engine to use and why.
func chooseEngine(asked string) (name, why string, err error) {
	switch asked {
	case "", "auto":
		return "embedded", "servers on this machine, no Docker needed", nil
	case "embedded":
		return "embedded", "as asked", nil
	}
	return "", "", console.Fail(console.ExitUsage, "devtool up --engine embedded",
		"there is no engine %q; this version has: %v", asked, Engines)
}

type embeddedEngine struct{ config embedded.Config }

func (e embeddedEngine) Name() string { return "embedded" }

func (e embeddedEngine) Server(d project.Dependency) (Server, error) {
	switch d.Kind {
	case "postgres":
		return embedded.NewPostgres(e.config, embedded.PostgresOptions{
			Name: d.Name, Database: d.Database, User: d.User, Password: d.Password}), nil
	case "redis":
		return embedded.NewRedis(e.config, embedded.RedisOptions{Name: d.Name}), nil
	case "kafka":
		return embedded.NewKafka(e.config, embedded.KafkaOptions{Name: d.Name, Topics: d.Topics}), nil
	}
	return nil, fmt.Errorf("dependency %s: the embedded engine has no %q", d.Name, d.Kind)
}
