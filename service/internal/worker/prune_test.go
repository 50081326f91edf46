package worker_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"

	"example.com/goldenpath/service/internal/worker"
)

// prune has the worker of s run one prune.
func (s *system) prune(t *testing.T) {
	t.Helper()
	queue := asynq.NewClient(s.queue)
	defer queue.Close()
	if _, err := queue.Enqueue(asynq.NewTask(worker.PruneTask, nil), asynq.MaxRetry(10)); err != nil {
		t.Fatal(err)
	}
}

func TestPrune(t *testing.T) {
	const old, young = "now() - interval '14 days 1 hour'", "now() - interval '13 days 23 hours'"
	fill := func(t *testing.T, s *system) {
		server.Exec(t, s.database, "INSERT INTO handled SELECT 'old ' || n, "+old+" FROM generate_series(1, 2500) n")
		server.Exec(t, s.database, "INSERT INTO handled SELECT 'young ' || n, "+young+" FROM generate_series(1, 10) n")
	}
	pruned := func(t *testing.T, s *system) func() bool {
		return func() bool {
			return server.Holds(t, s.database, "SELECT count(*) = 10 AND count(*) FILTER (WHERE key LIKE 'old%') = 0 FROM handled")
		}
	}
	t.Run("what the ledger has remembered for longer than its retention goes, in batches, and is counted", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		fill(t, s)
		s.prune(t)
		eventually(t, "the old keys to be gone, and no other", pruned(t, s))
		s.prune(t) // a second run changes nothing
		eventually(t, "both runs to be over", func() bool { return len(s.runs()) == 2 })
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		if got := s.pruned.Load(); got != 2500 || !pruned(t, s)() {
			t.Errorf("%d keys were counted", got)
		}
		if got := s.runs(); !slices.Equal(got, []int64{2500, 0}) {
			t.Errorf("the spans tell of %v keys", got)
		}
		batches := 0
		for _, span := range s.spans.GetSpans() {
			if strings.HasPrefix(span.Name, "SweepHandled") {
				batches++
			}
		}
		if batches != 4 { // 1000, 1000, 500; none
			t.Errorf("it took %d statements", batches)
		}
	})
	t.Run("a database that is away is waited for", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		fill(t, s)
		s.pg.Refuse()
		s.prune(t)
		eventually(t, "a run to fail", func() bool { return len(s.runs()) > 0 })
		s.pg.Open(t)
		eventually(t, "the old keys to be gone, and no other", pruned(t, s))
	})
}

// runs are the keys that each run of the prune forgot, by its span.
func (s *system) runs() []int64 {
	var keys []int64
	for _, span := range s.spans.GetSpans() {
		if span.Name != worker.PruneTask+" process" {
			continue
		}
		for _, a := range span.Attributes {
			if a.Key == attribute.Key("ledger.keys_pruned") {
				keys = append(keys, a.Value.AsInt64())
			}
		}
	}
	return keys
}
