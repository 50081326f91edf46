package app

import (
	"context"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/config"
	httpapi "example.com/goldenpath/service/internal/interface/http"
	"example.com/goldenpath/service/internal/interface/rpc"
	"example.com/goldenpath/service/internal/observability"
)

// Server puts the server together and opens its ports. No dependency need be
// up. Spans also go to the extra processors. The caller runs the Process or
// closes it.
func Server(ctx context.Context, c config.Config, log *zap.Logger, spans ...sdktrace.SpanProcessor) (_ *Process, err error) {
	b, err := begin(RoleServer, c, log, spans)
	if err != nil {
		return nil, err
	}
	defer b.closeIf(&err)
	if err = b.openNotes(ctx, c); err != nil {
		return nil, err
	}

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
	if err = b.openAdmin(ctx, c); err != nil {
		return nil, err
	}
	return &b.Process, nil
}
