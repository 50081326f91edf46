package stack

import (
	"context"

	"example.com/goldenpath/devtool/internal/project"
)

// Engine provides the servers behind the proxies.
type Engine interface {
	// Name is what --engine calls it.
	Name() string
	// Server returns the server of a dependency, not yet started.
	Server(d project.Dependency) (Server, error)
	// Discard throws the data away, and ends what a supervisor that crashed left
	// of the engine. No server runs, and the next Start begins with nothing.
	Discard(ctx context.Context) error
	// Keeps says that the data is not the engine's to discard: it is made as new
	// in place, once the servers answer.
	Keeps() bool
}

// Server is one dependency's server. Its methods may be called from any
// goroutine; Start and Stop wait for one another.
type Server interface {
	// Start returns when a real query is answered, or with an error that names
	// the cause and, where there is one, the next step (a *console.Failure). It
	// does nothing when the server runs already, and works again after Done or
	// Stop.
	Start(ctx context.Context) error
	// Addr is the host and port that it listens on: the same at every start in
	// this worktree as long as the port is free. Empty before the first Start.
	Addr() string
	// PID is the process that serves, 0 when it lives in this process or does
	// not run.
	PID() int
	// Describe says what serves, as in "PostgreSQL 15.18 (/usr/lib/postgresql/15/bin)".
	Describe() string
	// Done is closed when the server that the last Start started has ended
	// without Stop. It is nil before Start and for what lives in this process.
	Done() <-chan struct{}
	// Probe asks a real query.
	Probe(ctx context.Context) error
	// Stop ends the server and returns when it is gone. It may be called at any
	// time and more than once.
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
