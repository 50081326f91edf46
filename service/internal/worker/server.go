package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/problem"
)

const (
	// queuePoll is the mean wait for a task when the queue was empty.
	queuePoll = 200 * time.Millisecond
	// queueCheck is how often the queue is asked whether it is there, and
	// whether tasks that wait for their next try are due.
	queueCheck = time.Second
)

// server runs the tasks of the queue.
type server struct {
	asynq   *asynq.Server
	handler asynq.Handler
	log     *zap.Logger
	grace   time.Duration
}

func newServer(d Deps) *server {
	log := d.Log.Named("tasks")
	mux := asynq.NewServeMux()
	mux.Use(traced(d.Tracing.Tracer("example.com/goldenpath/service/internal/worker"), log))
	mux.HandleFunc(CountWordsTask, counting(d.Notes))
	mux.HandleFunc(PruneTask, pruning(d))
	return &server{
		handler: mux,
		log:     log,
		grace:   d.Grace,
		asynq: asynq.NewServer(d.Redis, asynq.Config{
			Concurrency:              d.Concurrency,
			TaskCheckInterval:        queuePoll,
			DelayedTaskCheckInterval: queueCheck,
			HealthCheckInterval:      queueCheck,
			HealthCheckFunc:          tellOnce(log),
			RetryDelayFunc:           retryDelay,
			IsFailure:                isFailure,
			ShutdownTimeout:          d.Grace / 2, // the rest is for handing tasks back
			Logger:                   asynqLog{log.WithOptions(zap.AddCallerSkip(1)).Sugar()},
		}),
	}
}

// run serves tasks until ctx ends, then lets those at hand finish. asynq pushes
// back into the queue what does not finish in time; where Redis is too slow even
// for that, the task's lease runs out and another worker takes it.
func (s *server) run(ctx context.Context) error {
	if err := s.asynq.Start(s.handler); err != nil {
		return fmt.Errorf("starting the task server: %w", err)
	}
	<-ctx.Done()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.asynq.Shutdown()
	}()
	timer := time.NewTimer(s.grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		s.log.Warn("the queue did not take its tasks back in time: they are run again once their leases end", zap.Duration("waited", s.grace))
	}
	return nil
}

// traced runs each task as a span of the trace that its headers name, and logs
// how it ended.
func traced(tracer trace.Tracer, log *zap.Logger) asynq.MiddlewareFunc {
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
			id, _ := asynq.GetTaskID(ctx)
			retried, _ := asynq.GetRetryCount(ctx)
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(t.Headers()))
			ctx, span := tracer.Start(ctx, t.Type()+" process", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
				attribute.String("messaging.system", "asynq"),
				attribute.String("messaging.message.id", id),
				attribute.Int("asynq.retry_count", retried)))
			defer span.End()
			log := log.With(zap.String("task", t.Type()), zap.String("task_id", id), zap.Int("retry", retried),
				zap.String("trace_id", span.SpanContext().TraceID().String()), zap.String("span_id", span.SpanContext().SpanID().String()))
			err := next.ProcessTask(ctx, t)
			if err != nil {
				span.SetStatus(codes.Error, err.Error())
				log.Warn("a task failed and will be tried again, or kept for inspection", zap.Error(err))
				return err
			}
			log.Info("a task is done")
			return nil
		})
	}
}

// retryDelay is one second, doubled with each failure of the task itself, up to
// five minutes.
func retryDelay(failures int, _ error, _ *asynq.Task) time.Duration {
	return min(time.Second<<min(max(failures, 0), 20), 5*time.Minute)
}

// isFailure says whether an error counts against the task's retries. That the
// database is away does not: the task waits for it, however long.
func isFailure(err error) bool {
	switch problem.From(err).Code {
	case problem.DatabaseUnavailable, problem.DatabaseTimeout, problem.RequestCancelled, problem.RequestTimeout:
		return false
	}
	return err != nil
}

// tellOnce logs that the queue went away and that it is back, and not each time
// that it is asked.
func tellOnce(log *zap.Logger) func(error) {
	var away atomic.Bool
	return func(err error) {
		switch {
		case err != nil && !away.Swap(true):
			log.Warn("redis does not answer: tasks wait", zap.Error(err))
		case err == nil && away.Swap(false):
			log.Info("redis answers again: tasks go on")
		}
	}
}

// asynqLog takes what asynq has to say about itself. What matters of it is told
// by the tasks' own lines and by tellOnce.
type asynqLog struct{ log *zap.SugaredLogger }

// Debug is asynq.Logger's, as are the others.
func (l asynqLog) Debug(v ...any) { l.log.Debug(v...) }
func (l asynqLog) Info(v ...any)  { l.log.Debug(v...) }
func (l asynqLog) Warn(v ...any)  { l.log.Debug(v...) }
func (l asynqLog) Error(v ...any) { l.log.Debug(v...) }
func (l asynqLog) Fatal(v ...any) { l.log.Error(v...) } // asynq asks for an exit here, and never calls it
