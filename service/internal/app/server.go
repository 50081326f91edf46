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
	httpapi "example.com/goldenpath/service/internal/interface/http"
	"example.com/goldenpath/service/internal/interface/rpc"
	"example.com/goldenpath/service/internal/observability"
	"example.com/goldenpath/service/internal/usecase/note"
)

// Server puts the server together and opens its ports. No dependency need be
// up. Spans also go to the extra processors. The caller runs the Process or
// closes it.
func Server(ctx context.Context, c config.Config, log *zap.Logger, spans ...sdktrace.SpanProcessor) (_ *Process, err error) {
	b, err := begin(ctx, RoleServer, c, log, spans)
	if err != nil {
		return nil, err
	}
	defer b.closeIf(&err)

	var limit httpapi.Limit
	if c.RateLimitRPS > 0 {
		limiter := b.redis.Limiter(c.RateLimitRPS, c.RateLimitBurst)
		limit = func(ctx context.Context, key string) httpapi.Verdict {
			d := limiter.Allow(ctx, key)
			return httpapi.Verdict{Allowed: d.Allowed, RetryAfter: d.RetryAfter}
		}
	}
	calls := rpc.New(b.notes, log.Named("rpc"))
	handler := httpapi.New(httpapi.Options{
		Notes:        b.notes,
		Log:          log.Named("http"),
		Metrics:      b.metrics,
		Tracer:       b.tracing.Provider,
		Propagator:   b.tracing.Propagator,
		Timeout:      c.HTTPTimeout,
		NewRequestID: newID,
		Limit:        limit,
		Capture:      b.capture(c),
		RPC:          httpapi.RPC{Routes: calls.Routes, Handler: calls.Handler, Refuse: calls.Refuse},
	})
	b.health = observability.NewHealth(
		observability.Check{Name: "database", Required: true, Ping: b.db.Ping},
		observability.Check{Name: "redis", Ping: b.redis.Ping},
	)
	if b.public, err = open(ctx, publicServer(handler, c.HTTPTimeout), "HTTP_ADDR", c.HTTPAddr, log); err != nil {
		return nil, err
	}
	b.HTTPAddr = b.public.listener.Addr().String()
	if err = b.openAdmin(ctx, "ADMIN_ADDR", c.AdminAddr); err != nil {
		return nil, err
	}
	return &b.Process, nil
}

// base is what server and worker have in common, on the way to a Process.
type base struct {
	Process
	role    Role
	metrics *observability.Metrics
	tracing *observability.Tracing
	db      *postgres.DB
	redis   *redis.Client
	notes   *note.Notes
}

func begin(ctx context.Context, role Role, c config.Config, log *zap.Logger, spans []sdktrace.SpanProcessor) (_ *base, err error) {
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
	b.db, err = postgres.Open(ctx, postgres.Config{
		URL: c.DatabaseURL.Reveal(), Timeout: c.DatabaseTimeout,
		MaxConns: c.DatabaseMaxConns, ConnectTimeout: c.DatabaseConnectTimeout,
	}, b.tracing.Provider)
	if err != nil {
		return nil, &startError{err, "mend DATABASE_URL"}
	}
	b.atEnd("database", func(context.Context) error { b.db.Close(); return nil })
	b.redis, err = redis.Open(redis.Config{
		URL: c.RedisURL.Reveal(), Timeout: c.RedisTimeout, CacheTTL: c.CacheTTL,
	}, b.tracing.Provider, log.Named("redis"))
	if err != nil {
		return nil, &startError{err, "mend REDIS_URL"}
	}
	b.atEnd("redis", func(context.Context) error { return b.redis.Close() })
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
	return b, nil
}

// closeIf gives back what a process that failed to start has opened.
func (b *base) closeIf(err *error) {
	if *err != nil {
		// The error that stopped the start is the one to show.
		_ = b.Close()
	}
}

func (b *base) openAdmin(ctx context.Context, variable, addr string) (err error) {
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
