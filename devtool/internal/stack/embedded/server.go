// Package embedded runs the dependencies of a service without Docker: a real
// PostgreSQL server, a real redis-server where there is one and miniredis where
// there is none, and kfake for Kafka. Everything listens on 127.0.0.1 alone.
package embedded

import (
	"context"
	"io"

	"example.com/goldenpath/devtool/internal/process"
)

// Config is what every server needs from the stack.
type Config struct {
	// Dir is the state directory of the worktree. It exists, and one supervisor
	// at a time uses it. Each server keeps a folder and a port in it.
	Dir string
	// Registry records the programs that are started.
	Registry *process.Registry
	// Output gives the writer for the log of the server with this name.
	Output func(name string) io.Writer
	// Progress is told, in a short sentence, about what takes long and about
	// what a person must know: data that was set aside, a port that moved.
	Progress func(text string)
}

// Server is one dependency. Its methods may be called from any goroutine; Start
// and Stop wait for one another.
type Server interface {
	// Start returns when a real query is answered, or with an error that names
	// the cause and, where there is one, the next step (a *Failure). It does
	// nothing when the server runs already, and works again after Done or Stop.
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

// Failure is a dependency that cannot be had, with the next thing to do.
type Failure struct {
	Text  string
	Hint  string
	Cause error // may be nil
}

func (f *Failure) Error() string {
	if f.Cause == nil {
		return f.Text
	}
	return f.Text + ": " + f.Cause.Error()
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// NextStep is the hint.
func (f *Failure) NextStep() string { return f.Hint }

// withDefaults makes the optional functions callable.
func (c Config) withDefaults() Config {
	if c.Output == nil {
		c.Output = func(string) io.Writer { return io.Discard }
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}
