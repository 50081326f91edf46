// Package worker carries on what a request has begun: it publishes the events
// of the outbox, turns events of the topic into tasks, and runs the tasks. The
// scheduler, a process of its own, adds those that no request asks for.
//
//	outbox ─ relay ─► topic notes.v1 ─ consumer ─► queue ─ server ─► use case
//	                                  scheduler ───► ┘
//
// Every arrow delivers at least once, and the end of the line counts once. The
// relay publishes an event once as long as its process lives, and again after a
// crash between Kafka's acknowledgement and the commit that takes the event out
// of the outbox. The consumer commits after it has enqueued. The queue refuses a
// task whose id, that of the event, it holds already. What comes twice in spite
// of all that meets the ledger: the use case claims the event's id in the very
// transaction that stores the outcome, so a second run finds it claimed and
// changes nothing. No step needs to know how far the one before it came.
package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"example.com/goldenpath/service/internal/domain/note"
)

// Defaults of Deps.
const (
	DefaultPoll        = 150 * time.Millisecond
	DefaultGrace       = 10 * time.Second
	DefaultConcurrency = 10
)

// Outbox is the reading end of the outbox; see postgres.OutboxQueue.Drain for
// the contract.
type Outbox interface {
	Drain(ctx context.Context, limit int, deliver func(context.Context, []note.Message) (delivered []string, err error)) (int, error)
}

// Publisher writes events to the topic; see kafka.Producer.Publish for the
// contract.
type Publisher interface {
	Publish(ctx context.Context, batch []note.Message) (delivered []string, err error)
}

// Consumer reads events from the topic until its context ends; see
// kafka.Consumer.Run for the contract.
type Consumer interface {
	Run(ctx context.Context) error
}

// Counter is the use case that the tasks run.
type Counter interface {
	CountWords(ctx context.Context, eventID string, id note.ID) error
}

// Deps is what the worker needs. A zero duration or number takes its default;
// all else must be set.
type Deps struct {
	Outbox      Outbox
	Publisher   Publisher
	NewConsumer func(handle func(context.Context, note.Event) error) (Consumer, error)
	Redis       asynq.RedisConnOpt
	Notes       Counter
	Ledger      Ledger
	Retention   time.Duration // how long the ledger remembers
	Pruned      func(keys int64)
	Tracing     trace.TracerProvider
	Log         *zap.Logger
	Now         func() time.Time

	Poll        time.Duration // how often the outbox is looked into
	Grace       time.Duration // what Run may take to end
	Concurrency int           // tasks at a time
}

// Worker is the relay, the consumer and the task server. It runs once.
type Worker struct {
	deps     Deps
	queue    *asynq.Client
	consumer Consumer
	running  atomic.Bool
}

// New returns a worker over d. It connects to nothing yet.
func New(d Deps) (*Worker, error) {
	if d.Poll <= 0 {
		d.Poll = DefaultPoll
	}
	if d.Grace <= 0 {
		d.Grace = DefaultGrace
	}
	if d.Concurrency <= 0 {
		d.Concurrency = DefaultConcurrency
	}
	w := &Worker{deps: d, queue: asynq.NewClient(d.Redis)}
	var err error
	if w.consumer, err = d.NewConsumer(enqueuer{w.queue}.handle); err != nil {
		return nil, errors.Join(fmt.Errorf("making the worker: %w", err), w.queue.Close())
	}
	return w, nil
}

// Run works until ctx ends, then finishes what is at hand and returns nil, at
// most Grace later: what is not finished by then is done again by the next
// worker. It returns an error when a part of the worker cannot work at all; that
// a dependency is away is none. It must be called once, and closes what New
// made.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, w.queue.Close()) }()
	g, ctx := errgroup.WithContext(ctx)
	w.running.Store(true)
	defer w.running.Store(false)
	g.Go(func() error { return newRelay(w.deps).run(ctx) })
	g.Go(func() error { return w.consumer.Run(ctx) })
	g.Go(func() error { return newServer(w.deps).run(ctx) })

	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// The parts bound themselves by Grace; a second more tells a part that is
	// stuck from one that is slow.
	timer := time.NewTimer(w.deps.Grace + time.Second)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return fmt.Errorf("stopping the worker: it was still at work after %s", w.deps.Grace)
	}
}

// Ready says why the worker is not at work, or nil. What it depends on may still
// be away: that is for those to say.
func (w *Worker) Ready(context.Context) error {
	if !w.running.Load() {
		return errors.New("the worker does not run")
	}
	return nil
}

// outlast returns a context that carries what ctx carries and ends grace after
// ctx does.
func outlast(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}
