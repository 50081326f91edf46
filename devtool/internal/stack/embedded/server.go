// Package embedded runs the dependencies of a service without Docker: a real
// PostgreSQL server, a real redis-server where there is one and miniredis where
// there is none, and kfake for Kafka. Everything listens on 127.0.0.1 alone.
package embedded

import (
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
