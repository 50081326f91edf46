// Package servers starts the servers of an engine for a comparison: beside a
// stack that may run, with data, ports and folders of their own that are gone
// afterwards.
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/parity"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack/embedded"
)

// Engines are those that Open knows.
var Engines = []string{"embedded"}

const (
	name     = "parity" // user, password and database
	stopTime = 20 * time.Second
)

// server is what every engine's servers have (stack.Server has more).
type server interface {
	Start(ctx context.Context) error
	Addr() string
	Describe() string
	Stop(ctx context.Context) error
}

// Open starts the servers of the kinds, side by side. The caller calls stop,
// which is never nil, also after an error.
func Open(ctx context.Context, engine string, kinds []string, progress func(text string)) (open parity.Servers, stop func() error, err error) {
	switch engine {
	case "embedded":
		return openEmbedded(ctx, kinds, progress)
	}
	return parity.Servers{}, func() error { return nil }, console.Fail(console.ExitUsage, "devtool parity --of embedded,embedded",
		"there is no engine %q to compare; this version has: %v", engine, Engines)
}

func openEmbedded(ctx context.Context, kinds []string, progress func(string)) (parity.Servers, func() error, error) {
	none := func() error { return nil }
	dir, err := os.MkdirTemp("", "parity-")
	if err != nil {
		return parity.Servers{}, none, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	// When root runs this, PostgreSQL's user must be able to pass.
	if err := os.Chmod(dir, 0o711); err != nil {
		return parity.Servers{}, remove, err
	}
	registry, err := process.OpenRegistry(filepath.Join(dir, "processes.json"))
	if err != nil {
		return parity.Servers{}, remove, err
	}
	config := embedded.Config{Dir: dir, Registry: registry, Progress: progress}
	all := map[string]server{}
	var database *embedded.Postgres
	for _, kind := range kinds {
		switch kind {
		case "postgres":
			database = embedded.NewPostgres(config, embedded.PostgresOptions{Name: kind, Database: name, User: name, Password: name})
			all[kind] = database
		case "redis":
			all[kind] = embedded.NewRedis(config, embedded.RedisOptions{Name: kind})
		case "kafka":
			all[kind] = embedded.NewKafka(config, embedded.KafkaOptions{Name: kind})
		}
	}
	stop := func() error { return errors.Join(stopAll(all), remove()) }
	if err := startAll(ctx, all); err != nil {
		return parity.Servers{}, stop, err
	}
	open := parity.Servers{Engine: "embedded", Endpoints: map[string]parity.Endpoint{}}
	for kind, s := range all {
		open.Endpoints[kind] = parity.Endpoint{URL: s.Addr(), Name: s.Describe()}
	}
	if database != nil {
		open.Endpoints["postgres"] = parity.Endpoint{URL: database.AdminURL(), Name: database.Describe()}
	}
	return open, stop, nil
}

func startAll(ctx context.Context, all map[string]server) error {
	var starting errgroup.Group
	for kind, s := range all {
		starting.Go(func() error {
			if err := s.Start(ctx); err != nil {
				return fmt.Errorf("start %s: %w", kind, err)
			}
			return nil
		})
	}
	return starting.Wait()
}

// stopAll is not for the caller's context, which may have ended.
func stopAll(all map[string]server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	var stopping errgroup.Group
	for kind, s := range all {
		stopping.Go(func() error {
			if err := s.Stop(ctx); err != nil {
				return fmt.Errorf("stop %s: %w", kind, err)
			}
			return nil
		})
	}
	return stopping.Wait()
}
