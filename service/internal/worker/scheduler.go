package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

const (
	// schedulePause is the wait between two tries while Redis is away.
	schedulePause = 2 * time.Second
	// scheduleCheck is the longest that the scheduler does not look at the
	// clock: the timer of a machine that slept is late by as long.
	scheduleCheck = time.Minute
)

// Results of an attempt to schedule a task, as SchedulerDeps.Scheduled is told.
const (
	ResultEnqueued = "enqueued"
	ResultPresent  = "present" // another scheduler, or this one before a restart, was first
	ResultFailed   = "failed"
)

// SchedulerDeps is what the scheduler needs. All of it must be set.
type SchedulerDeps struct {
	Redis     asynq.RedisConnOpt
	Every     time.Duration // between two runs of PruneTask
	Tracing   trace.TracerProvider
	Log       *zap.Logger
	Now       func() time.Time
	Scheduled func(task, result string)
}

// Scheduler enqueues PruneTask once in every interval of the clock, however many
// schedulers there are and however often they are restarted.
//
// It is not asynq.Scheduler, whose options for a task are fixed when the task is
// registered. Under one fixed task id, a run that failed for good stays in the
// archive and keeps out all that follow; asynq.Unique ends with the task, so a
// second scheduler that is a moment late enqueues it again. An "@every" there
// begins with the process, so one that is restarted more often than that never
// fires, and a time at which Redis is away is left out. Here the id of the task
// names the interval, and Redis keeps the id until the interval is over.
type Scheduler struct {
	deps    SchedulerDeps
	queue   *asynq.Client
	tracer  trace.Tracer
	log     *zap.Logger
	running atomic.Bool
}

// NewScheduler returns a scheduler over d. It connects to nothing yet.
func NewScheduler(d SchedulerDeps) *Scheduler {
	return &Scheduler{
		deps: d, queue: asynq.NewClient(d.Redis),
		tracer: d.Tracing.Tracer("example.com/goldenpath/service/internal/worker"),
		log:    d.Log.Named("scheduler"),
	}
}

// Run enqueues until ctx ends, and begins with the interval at hand. It must be
// called once, and closes what NewScheduler made.
func (s *Scheduler) Run(ctx context.Context) error {
	s.running.Store(true)
	defer s.running.Store(false)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var done time.Time // the interval that is seen to
	failing := false
	for {
		select {
		case <-ctx.Done():
			return s.queue.Close()
		case <-timer.C:
		}
		now := s.deps.Now()
		interval := now.Truncate(s.deps.Every)
		if !interval.Equal(done) {
			err := s.enqueue(ctx, interval)
			if err != nil {
				if !failing && ctx.Err() == nil {
					s.log.Warn("the queue does not take tasks: they are scheduled once it does", zap.Error(err))
				}
				failing = true
				timer.Reset(schedulePause)
				continue
			}
			if failing {
				s.log.Info("the queue takes tasks again")
			}
			failing, done = false, interval
		}
		timer.Reset(min(interval.Add(s.deps.Every).Sub(now), scheduleCheck))
	}
}

// enqueue puts the task of one interval into the queue, unless it is or was
// there. The task's run is in the trace that begins here.
func (s *Scheduler) enqueue(ctx context.Context, interval time.Time) error {
	id := fmt.Sprintf("%s:%s", PruneTask, interval.UTC().Format(time.RFC3339))
	ctx, span := s.tracer.Start(ctx, PruneTask+" publish", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "asynq"),
		attribute.String("messaging.message.id", id)))
	defer span.End()
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	_, err := s.queue.EnqueueContext(ctx, asynq.NewTaskWithHeaders(PruneTask, nil, headers),
		asynq.TaskID(id), asynq.Retention(s.deps.Every), asynq.MaxRetry(taskRetries), asynq.Timeout(pruneTimeout))
	switch {
	case errors.Is(err, asynq.ErrTaskIDConflict):
		s.deps.Scheduled(PruneTask, ResultPresent)
		s.log.Debug("the task of this interval is there already", zap.String("task_id", id))
		return nil
	case err != nil:
		s.deps.Scheduled(PruneTask, ResultFailed)
		span.SetStatus(codes.Error, err.Error())
		return fmt.Errorf("enqueueing task %s: %w", id, err)
	}
	s.deps.Scheduled(PruneTask, ResultEnqueued)
	s.log.Info("a task is scheduled", zap.String("task", PruneTask), zap.String("task_id", id), zap.Duration("every", s.deps.Every),
		zap.String("trace_id", span.SpanContext().TraceID().String()), zap.String("span_id", span.SpanContext().SpanID().String()))
	return nil
}

// Ready says why the scheduler is not at work, or nil. Whether Redis is there is
// for Redis to say.
func (s *Scheduler) Ready(context.Context) error {
	if !s.running.Load() {
		return errors.New("the scheduler does not run")
	}
	return nil
}
