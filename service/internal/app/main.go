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
	RoleServer    Role = "server"
	RoleWorker    Role = "worker"
	RoleScheduler Role = "scheduler"
)

// admin is where the process answers /readyz, and the variable that says so.
func (r Role) admin(c config.Config) (variable, addr string) {
	switch r {
	case RoleWorker:
		return "WORKER_ADMIN_ADDR", c.WorkerAdminAddr
	case RoleScheduler:
		return "SCHEDULER_ADMIN_ADDR", c.SchedulerAdminAddr
	default:
		return "ADMIN_ADDR", c.AdminAddr
	}
}

// Exit codes of ServerMain, WorkerMain and SchedulerMain.
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
// at once. With arguments it runs a command of usage and returns.
//
// ServerMain, WorkerMain and SchedulerMain are three functions and not one with
// a parameter, so that each binary links what it runs: a server without Kafka's
// client and the task server links in three quarters of the time, on every
// reload.
func ServerMain(args, environ []string, stdio Stdio) int {
	return program{role: RoleServer, start: Server, migrate: migrate}.run(args, environ, stdio)
}

// WorkerMain does for the worker what ServerMain does for the server.
func WorkerMain(args, environ []string, stdio Stdio) int {
	return program{role: RoleWorker, start: Worker}.run(args, environ, stdio)
}

// SchedulerMain does for the scheduler what ServerMain does for the server.
func SchedulerMain(args, environ []string, stdio Stdio) int {
	return program{role: RoleScheduler, start: Scheduler, unused: []string{"DATABASE_URL"}}.run(args, environ, stdio)
}

// program is a process of the service as its entry point runs it.
type program struct {
	role    Role
	start   func(context.Context, config.Config, *zap.Logger, ...sdktrace.SpanProcessor) (*Process, error)
	unused  []string                                             // secrets that it has no use for
	migrate func(args, environ []string, stdio Stdio) (code int) // the command; nil where there is none
}

func (p program) run(args, environ []string, stdio Stdio) int {
	if len(args) > 0 {
		return p.command(args, environ, stdio)
	}
	c, report := config.Load(config.Sources{Environ: environ, Unused: p.unused})
	if !report.OK() {
		_ = report.Text(stdio.Err)
		return exitFailed
	}
	// Read from a table by config.Load, so it parses.
	level, _ := zapcore.ParseLevel(c.LogLevel)
	log := observability.NewLogger(stdio.Out, level, serviceName(p.role), c.Environment)
	for _, w := range report.Warnings {
		log.Warn("configuration", zap.String("variable", w.Variable), zap.String("source", w.Source),
			zap.String("reason", w.Reason), zap.String("hint", w.Hint))
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// Once the first signal is taken, the second has its default effect again.
	context.AfterFunc(ctx, stop)

	process, err := p.start(ctx, c, log)
	if err == nil {
		err = process.Run(ctx)
	}
	if err != nil {
		log.Error("the process failed", zap.Error(err))
		return failed(p.role, stdio, err)
	}
	return exitOK
}

// failed says to a person why the process could not do what it was asked for.
func failed(role Role, stdio Stdio, err error) int {
	fmt.Fprintf(stdio.Err, "%s: %v\n", serviceName(role), err)
	var hinted interface{ NextStep() string }
	if errors.As(err, &hinted) {
		fmt.Fprintf(stdio.Err, "  hint: %s\n", hinted.NextStep())
	}
	return exitFailed
}

// startError is why a process could not start, with what helps.
type startError struct {
	err  error
	hint string
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// NextStep is the hint.
func (e *startError) NextStep() string { return e.hint }

// serviceName is the process in logs, traces and captures.
func serviceName(role Role) string { return "notes-" + string(role) }

// release is the version that the build of an image gives with -ldflags -X; the
// commit cannot be asked for there, because the history is no part of its input.
var release string

// version is the release, commit or module version that the binary was built
// from.
func version() string {
	if release != "" {
		return release
	}
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
