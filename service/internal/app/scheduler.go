package app

import (
	"context"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/config"
	"example.com/goldenpath/service/internal/observability"
	"example.com/goldenpath/service/internal/worker"
)

// Scheduler puts the scheduler together and opens its admin port. Redis need not
// be up. Spans also go to the extra processors. The caller runs the Process or
// closes it.
func Scheduler(ctx context.Context, c config.Config, log *zap.Logger, spans ...sdktrace.SpanProcessor) (_ *Process, err error) {
	b, err := begin(RoleScheduler, c, log, spans)
	if err != nil {
		return nil, err
	}
	defer b.closeIf(&err)
	s := worker.NewScheduler(worker.SchedulerDeps{
		Redis:     b.redis.Asynq(),
		Every:     c.PruneInterval,
		Tracing:   b.tracing.Provider,
		Log:       log,
		Now:       time.Now,
		Scheduled: b.metrics.Scheduling(),
	})
	b.work = s.Run
	// Redis is all that the scheduler works with: without it, it is not ready.
	b.health = observability.NewHealth(
		observability.Check{Name: "scheduler", Required: true, Ping: s.Ready},
		observability.Check{Name: "redis", Required: true, Ping: b.redis.Ping},
	)
	if err = b.openAdmin(ctx, c); err != nil {
		return nil, err
	}
	return &b.Process, nil
}
