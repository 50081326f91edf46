// Package app puts the service together: it is the only place that knows every
// adapter. The entry points in cmd and the tests call it.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime/debug"
	"syscall"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"example.com/goldenpath/service/internal/config"
	"example.com/goldenpath/service/internal/observability"
)

// Role is which of the service's processes this one is.
type Role string

// The processes of the service.
const (
	RoleServer Role = "server"
	RoleWorker Role = "worker"
)

// Exit codes of ServerMain and WorkerMain.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Stdio is where a process writes: Out gets the logs, or what a config command
// prints; Err gets what a person must read when it does not start.
type Stdio struct{ Out, Err io.Writer }

// ServerMain runs the server until SIGINT or SIGTERM and returns its exit code:
// 0 after a clean end, 1 when it could not start or not end cleanly, 2 for wrong
// usage. The first signal begins the graceful end, a second one ends the process
// at once. With the arguments "config example" or "config check" it prints and
// returns.
//
// ServerMain and WorkerMain are two functions and not one with a parameter, so
// that each binary links what it runs: a server without Kafka's client and the
// task server links in three quarters of the time, on every reload.
func ServerMain(args, environ []string, stdio Stdio) int {
	return run(RoleServer, Server, args, environ, stdio)
}

// WorkerMain does for the worker what ServerMain does for the server.
func WorkerMain(args, environ []string, stdio Stdio) int {
	return run(RoleWorker, Worker, args, environ, stdio)
}

type starter func(context.Context, config.Config, *zap.Logger, ...sdktrace.SpanProcessor) (*Process, error)

func run(role Role, start starter, args, environ []string, stdio Stdio) int {
	if len(args) > 0 {
		return command(role, args, environ, stdio)
	}
	c, report := config.Load(config.Sources{Environ: environ})
	if !report.OK() {
		_ = report.Text(stdio.Err)
		return exitFailed
	}
	// Read from a table by config.Load, so it parses.
	level, _ := zapcore.ParseLevel(c.LogLevel)
	log := observability.NewLogger(stdio.Out, level, serviceName(role), c.Environment)
	for _, w := range report.Warnings {
		log.Warn("configuration", zap.String("variable", w.Variable), zap.String("source", w.Source),
			zap.String("reason", w.Reason), zap.String("hint", w.Hint))
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// Once the first signal is taken, the second has its default effect again.
	context.AfterFunc(ctx, stop)

	p, err := start(ctx, c, log)
	if err == nil {
		err = p.Run(ctx)
	}
	if err != nil {
		log.Error("the process failed", zap.Error(err))
		var hinted *startError
		fmt.Fprintf(stdio.Err, "%s: %v\n", serviceName(role), err)
		if errors.As(err, &hinted) {
			fmt.Fprintf(stdio.Err, "  hint: %s\n", hinted.hint)
		}
		return exitFailed
	}
	return exitOK
}

// startError is why a process could not start, with what helps.
type startError struct {
	err  error
	hint string
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// serviceName is the process in logs, traces and captures.
func serviceName(role Role) string { return "notes-" + string(role) }

// version is the module version or commit that the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}
