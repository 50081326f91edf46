package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"example.com/goldenpath/service/internal/infra/gatetest"
	"example.com/goldenpath/service/internal/infra/redis"
	"example.com/goldenpath/service/internal/infra/redis/redistest"
	"example.com/goldenpath/service/internal/worker"
)

// epoch is the beginning of an hour.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// plan is schedulers over one queue, and a clock that they look at.
type plan struct {
	gate  *gatetest.Gate
	queue asynq.RedisConnOpt // past the gate
	spans *tracetest.InMemoryExporter
	logs  *observer.ObservedLogs
	log   *zap.Logger
	every time.Duration

	mu      sync.Mutex
	now     time.Time
	results []string
}

func newPlan(t *testing.T) *plan {
	t.Helper()
	addr := redistest.Start(t)
	core, logs := observer.New(zap.InfoLevel)
	return &plan{
		gate: gatetest.New(t, addr), queue: asynq.RedisClientOpt{Addr: addr}, spans: tracetest.NewInMemoryExporter(),
		logs: logs, log: zap.New(core), every: time.Hour, now: epoch,
	}
}

// begin starts a scheduler, and returns what stops it.
func (p *plan) begin(t *testing.T) (s *worker.Scheduler, stop func()) {
	t.Helper()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(p.spans))
	client, err := redis.Open(redis.Config{URL: "redis://" + p.gate.Addr()}, tp, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s = worker.NewScheduler(worker.SchedulerDeps{
		Redis: client.Asynq(), Every: p.every, Tracing: tp, Log: p.log,
		Now: func() time.Time { p.mu.Lock(); defer p.mu.Unlock(); return p.now },
		Scheduled: func(task, result string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.results = append(p.results, result)
			if task != worker.PruneTask {
				t.Errorf("task %s is scheduled", task)
			}
		},
	})
	if s.Ready(t.Context()) == nil {
		t.Error("it is ready before it runs")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		begun := time.Now()
		if err := errors.Join(<-done, client.Close()); err != nil {
			t.Errorf("the scheduler ended with %v", err)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it took %s to end", took)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// scheduled waits for n results and returns them.
func (p *plan) scheduled(t *testing.T, n int) []string {
	t.Helper()
	var got []string
	eventually(t, "the schedulers to have tried", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		got = slices.Clone(p.results)
		return len(got) >= n
	})
	return got
}

// ids are the tasks in the queue.
func (p *plan) ids(t *testing.T) []string {
	t.Helper()
	inspector := asynq.NewInspector(p.queue)
	defer inspector.Close()
	tasks, err := inspector.ListPendingTasks("default")
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		t.Fatal(err)
	}
	var ids []string
	for _, task := range tasks {
		ids = append(ids, task.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestScheduler(t *testing.T) {
	const first, second = "maintenance:prune:2026-03-01T12:00:00Z", "maintenance:prune:2026-03-01T13:00:00Z"
	t.Run("two schedulers enqueue the task of an interval once, a restarted one too", func(t *testing.T) {
		t.Parallel()
		p := newPlan(t)
		_, stop := p.begin(t)
		p.begin(t)
		p.scheduled(t, 2)
		stop()
		p.now = epoch.Add(59 * time.Minute)
		p.begin(t)
		got := p.scheduled(t, 3)
		slices.Sort(got)
		if want := []string{worker.ResultEnqueued, worker.ResultPresent, worker.ResultPresent}; !slices.Equal(got, want) {
			t.Errorf("results %q, want %q", got, want)
		}
		if got := p.ids(t); !slices.Equal(got, []string{first}) {
			t.Errorf("the queue has %q", got)
		}
	})
	t.Run("the next interval has a task of its own, though the last one failed for good", func(t *testing.T) {
		t.Parallel()
		p := newPlan(t)
		_, stop := p.begin(t)
		p.scheduled(t, 1)
		stop()
		inspector := asynq.NewInspector(p.queue)
		defer inspector.Close()
		if err := inspector.ArchiveTask("default", first); err != nil {
			t.Fatal(err)
		}
		p.now = epoch.Add(time.Hour)
		p.begin(t)
		p.scheduled(t, 2)
		if got := p.ids(t); !slices.Equal(got, []string{second}) {
			t.Errorf("the queue has %q", got)
		}
	})
	t.Run("without a restart the next interval comes by the clock", func(t *testing.T) {
		t.Parallel()
		p := newPlan(t)
		p.every = time.Minute
		p.now = epoch.Add(59*time.Second + 900*time.Millisecond)
		s, _ := p.begin(t)
		p.scheduled(t, 1)
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("it is not ready: %v", err)
		}
		p.mu.Lock()
		p.now = epoch.Add(time.Minute)
		p.mu.Unlock()
		p.scheduled(t, 2)
		if got := p.ids(t); len(got) != 2 || got[0] != first || got[1] != "maintenance:prune:2026-03-01T12:01:00Z" {
			t.Errorf("the queue has %q", got)
		}
	})
	t.Run("what falls due while redis is away is scheduled once it is back, and told once", func(t *testing.T) {
		for name, away := range map[string]func(*gatetest.Gate){"refusing": (*gatetest.Gate).Refuse, "silent": (*gatetest.Gate).Silence} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPlan(t)
				away(p.gate)
				p.begin(t)
				p.scheduled(t, 1)
				p.gate.Open(t)
				eventually(t, "the task to be scheduled", func() bool { return slices.Equal(p.ids(t), []string{first}) })
				eventually(t, "the recovery to be told", func() bool { return p.logs.FilterMessage("the queue takes tasks again").Len() == 1 })
				if n := p.logs.FilterMessageSnippet("does not take tasks").Len(); n != 1 {
					t.Errorf("the outage is told %d times", n)
				}
			})
		}
	})
	t.Run("it ends within seconds while redis is away", func(t *testing.T) {
		for name, away := range map[string]func(*gatetest.Gate){"refusing": (*gatetest.Gate).Refuse, "silent": (*gatetest.Gate).Silence} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPlan(t)
				away(p.gate)
				s, stop := p.begin(t)
				eventually(t, "it to run", func() bool { return s.Ready(t.Context()) == nil })
				stop()
			})
		}
	})
	t.Run("from the schedule to the last batch it is one trace", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		scheduler := worker.NewScheduler(worker.SchedulerDeps{
			Redis: s.queue, Every: time.Hour, Tracing: s.tp, Log: zap.NewNop(), Now: time.Now, Scheduled: func(string, string) {},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- scheduler.Run(ctx) }()
		eventually(t, "the run to be over", func() bool { return len(s.runs()) == 1 })
		cancel()
		if err := errors.Join(<-done, s.stop()); err != nil {
			t.Fatal(err)
		}
		traces := map[string]string{}
		for _, span := range s.spans.GetSpans() {
			if strings.HasPrefix(span.Name, worker.PruneTask) || span.Name == "SweepHandled" {
				traces[span.Name] = span.SpanContext.TraceID().String()
			}
		}
		if id := traces[worker.PruneTask+" publish"]; id == "" || traces[worker.PruneTask+" process"] != id || traces["SweepHandled"] != id {
			t.Errorf("the traces are %v", traces)
		}
	})
}
