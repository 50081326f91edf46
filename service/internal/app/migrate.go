package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"example.com/goldenpath/service/db/migrations"
	"example.com/goldenpath/service/internal/config"
	"example.com/goldenpath/service/internal/infra/postgres/schema"
)

// migrateTimeout is what all migrations together may take, unless --timeout says
// otherwise.
const migrateTimeout = 10 * time.Minute

// migrate brings the database up to this build. It is a command and no part of
// the start: a service that migrates when it starts must be allowed to change
// its own schema for as long as it runs.
func migrate(args, environ []string, stdio Stdio) int {
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	timeout := flags.Duration("timeout", migrateTimeout, "")
	if err := flags.Parse(args); err != nil {
		return wrongUsage(RoleServer, stdio, err.Error())
	}
	if flags.NArg() > 0 || *timeout <= 0 {
		return wrongUsage(RoleServer, stdio, "migrate takes a --timeout above zero and no argument")
	}
	c, report := config.Load(config.Sources{Environ: environ, Unused: []string{"REDIS_URL"}})
	if !report.OK() {
		_ = report.Text(stdio.Err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("it was not done after %s", *timeout))
	defer cancel()
	err := schema.Up(ctx, schema.Config{
		URL: c.DatabaseURL.Reveal(), ConnectTimeout: c.DatabaseConnectTimeout, Files: migrations.Files,
	}, stdio.Out)
	if err != nil {
		return failed(RoleServer, stdio, err)
	}
	return exitOK
}
