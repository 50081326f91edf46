package app

import (
	"context"
	"time"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/config"
	"example.com/goldenpath/service/internal/infra/postgres"
	"example.com/goldenpath/service/internal/infra/redis"
	"example.com/goldenpath/service/internal/observability"
	"example.com/goldenpath/service/internal/usecase/note"
)

// base is what the processes have in common, on the way to a Process.
type base struct {
	Process
	role    Role
	metrics *observability.Metrics
	tracing *observability.Tracing
	redis   *redis.Client
	// Of server and worker alone: openNotes.
	db    *postgres.DB
	notes *note.Notes
}

func begin(role Role, c config.Config, log *zap.Logger, spans []sdktrace.SpanProcessor) (_ *base, err error) {
	b := &base{
		Process: Process{log: log, shutdownTimeout: c.ShutdownTimeout},
		role:    role,
		metrics: observability.NewMetrics(),
		tracing: observability.NewTracing(observability.TraceConfig{
			Endpoint: c.OTLPEndpoint, Service: serviceName(role), Version: version(), Environment: c.Environment,
		}, log, append(spans, origin{})...),
	}
	defer b.closeIf(&err)
	// First in, last out: everything else may still end spans.
	b.atEnd("tracing", b.tracing.Close)
	b.redis, err = redis.Open(redis.Config{
		URL: c.RedisURL.Reveal(), Timeout: c.RedisTimeout, CacheTTL: c.CacheTTL,
	}, b.tracing.Provider, log.Named("redis"))
	if err != nil {
		return nil, &startError{err, "mend REDIS_URL"}
	}
	b.atEnd("redis", func(context.Context) error { return b.redis.Close() })
	return b, nil
}

// openNotes adds the database and the use cases.
func (b *base) openNotes(ctx context.Context, c config.Config) (err error) {
	b.db, err = postgres.Open(ctx, postgres.Config{
		URL: c.DatabaseURL.Reveal(), Timeout: c.DatabaseTimeout,
		MaxConns: c.DatabaseMaxConns, ConnectTimeout: c.DatabaseConnectTimeout,
	}, b.tracing.Provider)
	if err != nil {
		return &startError{err, "mend DATABASE_URL"}
	}
	b.atEnd("database", func(context.Context) error { b.db.Close(); return nil })
	b.notes = note.New(note.Deps{
		Notes:  b.db.Notes(),
		Outbox: b.db.Outbox(),
		Ledger: b.db.Ledger(),
		Tx:     b.db.Tx(),
		Cache:  b.redis.Cache(),
		Tracer: b.tracing.Provider.Tracer("example.com/goldenpath/service/internal/usecase/note"),
		Now:    time.Now,
		NewID:  newID,
	})
	return nil
}

// closeIf gives back what a process that failed to start has opened.
func (b *base) closeIf(err *error) {
	if *err != nil {
		// The error that stopped the start is the one to show.
		_ = b.Close()
	}
}

func (b *base) openAdmin(ctx context.Context, c config.Config) (err error) {
	variable, addr := b.role.admin(c)
	handler := observability.AdminHandler(b.health, b.metrics)
	if b.admin, err = open(ctx, adminServer(handler), variable, addr, b.log); err != nil {
		return err
	}
	b.AdminAddr = b.admin.listener.Addr().String()
	return nil
}

// newID is a UUID of version 7 (RFC 9562): ids made later sort later, so the
// primary key's index grows at its end.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
