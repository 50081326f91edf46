package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/infra/gatetest"
	"example.com/goldenpath/service/internal/infra/kafka"
	"example.com/goldenpath/service/internal/infra/kafka/kafkatest"
	"example.com/goldenpath/service/internal/infra/postgres"
	"example.com/goldenpath/service/internal/infra/postgres/postgrestest"
	"example.com/goldenpath/service/internal/infra/redis"
	"example.com/goldenpath/service/internal/infra/redis/redistest"
	usecase "example.com/goldenpath/service/internal/usecase/note"
	"example.com/goldenpath/service/internal/worker"
)

const (
	topic     = "notes.v1"
	retention = 14 * 24 * time.Hour
	patience  = 40 * time.Second
)

var server *postgrestest.Server

func TestMain(m *testing.M) {
	os.Exit(postgrestest.Main(m, func(s *postgrestest.Server) { server = s }))
}

// system is a service and its worker on real adapters, each dependency behind a
// gate.
type system struct {
	database string
	pg       *gatetest.Gate
	redis    *gatetest.Gate
	kafka    *kafkatest.Broker
	queue    asynq.RedisConnOpt // past the gate

	tp       *sdktrace.TracerProvider
	spans    *tracetest.InMemoryExporter
	db       *postgres.DB
	notes    *usecase.Notes
	producer *kafka.Producer
	pruned   atomic.Int64
	worker   *worker.Worker
	stop     func() error // the worker; waits for its end
}

func start(t *testing.T) *system {
	t.Helper()
	s := &system{database: server.Database(t), kafka: kafkatest.Start(t), spans: tracetest.NewInMemoryExporter()}
	s.pg = gatetest.New(t, server.Addr())
	redisAddr := redistest.Start(t)
	s.redis = gatetest.New(t, redisAddr)
	s.queue = asynq.RedisClientOpt{Addr: redisAddr}
	s.tp = sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans))

	u, err := url.Parse(server.URL(s.database))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = s.pg.Addr()
	log := zap.NewNop()
	if s.db, err = postgres.Open(t.Context(), postgres.Config{URL: u.String()}, s.tp); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.db.Close)
	rd, err := redis.Open(redis.Config{URL: "redis://" + s.redis.Addr()}, s.tp, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rd.Close() })
	topics := kafka.Config{Brokers: []string{s.kafka.Addr()}, Topic: topic, Group: "worker", Timeout: time.Second}
	if s.producer, err = kafka.NewProducer(topics, s.tp, log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.producer.Close)
	s.notes = usecase.New(usecase.Deps{
		Notes: s.db.Notes(), Outbox: s.db.Outbox(), Ledger: s.db.Ledger(), Tx: s.db.Tx(), Cache: rd.Cache(),
		Tracer: s.tp.Tracer("test"), Now: time.Now, NewID: uuid.NewString,
	})
	s.worker, err = worker.New(worker.Deps{
		Outbox: s.db.Relay(), Publisher: s.producer, Ledger: s.db, Notes: s.notes, Redis: rd.Asynq(),
		NewConsumer: func(handle func(context.Context, note.Event) error) (worker.Consumer, error) {
			return kafka.NewConsumer(topics, s.tp, log, handle)
		},
		Retention: retention, Pruned: func(keys int64) { s.pruned.Add(keys) }, Now: time.Now,
		Tracing: s.tp, Log: log, Poll: 20 * time.Millisecond, Grace: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.worker.Ready(t.Context()); err == nil {
		t.Error("the worker is ready before it runs")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.worker.Run(ctx) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stopping the worker: %v", err)
		}
	})
	eventually(t, "the worker to be ready", func() bool { return s.worker.Ready(t.Context()) == nil })
	return s
}

// create makes n notes of three words each.
func (s *system) create(t *testing.T, n int) []note.ID {
	t.Helper()
	ids := make([]note.ID, n)
	for i := range ids {
		made, err := s.notes.Create(t.Context(), fmt.Sprintf("note %d", i), "one two three")
		if err != nil {
			t.Fatalf("creating a note: %v", err)
		}
		ids[i] = made.ID
	}
	return ids
}

// counted waits until each note has its three words.
func (s *system) counted(t *testing.T, ids []note.ID) {
	t.Helper()
	for _, id := range ids {
		eventually(t, "the words to be counted", func() bool {
			n, err := s.db.Notes().Get(t.Context(), id)
			return err == nil && n.WordCount != nil && *n.WordCount == 3
		})
	}
}

// publishedOnce sees that the topic has one record for each note, and no other.
func (s *system) publishedOnce(t *testing.T, ids []note.ID) {
	t.Helper()
	var got []note.ID
	for _, r := range s.kafka.Records(t, topic, len(ids)) {
		got = append(got, note.ID(r.Key))
	}
	want := slices.Clone(ids)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the topic has %d records for %d notes: %v, want %v", len(got), len(want), got, want)
	}
}

func (s *system) outboxIsEmpty(t *testing.T) {
	t.Helper()
	eventually(t, "the outbox to be empty", func() bool { return server.Holds(t, s.database, "SELECT count(*) = 0 FROM outbox") })
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited %s for %s", patience, what)
		case <-tick.C:
		}
	}
}

func TestWorker(t *testing.T) {
	t.Run("a note's words are counted, through outbox, topic and task, in one trace", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		ctx, request := s.tp.Tracer("test").Start(t.Context(), "POST /api/v1/notes")
		n, err := s.notes.Create(ctx, "title", "one two three")
		request.End()
		if err != nil {
			t.Fatal(err)
		}
		s.counted(t, []note.ID{n.ID})
		s.outboxIsEmpty(t)
		s.publishedOnce(t, []note.ID{n.ID})
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, span := range s.spans.GetSpans() {
			if span.SpanContext.TraceID() != request.SpanContext().TraceID() {
				t.Errorf("span %s is of another trace", span.Name)
			}
			names = append(names, span.Name)
		}
		for _, want := range []string{
			"POST /api/v1/notes", "notes.Create", "BEGIN", "CreateNote", "AppendOutbox", "COMMIT",
			"notes.v1 publish", "notes.v1 receive", "notes.v1 process",
			"notes:count-words process", "notes.CountWords", "ClaimKey", "GetNoteForUpdate", "UpdateNote",
		} {
			if !slices.Contains(names, want) {
				t.Errorf("there is no span %q among %q", want, names)
			}
		}
	})
	t.Run("an event that comes twice is handled once", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		ids := s.create(t, 1)
		s.counted(t, ids)
		record := s.kafka.Records(t, topic, 1)[0]
		var e struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(record.Value, &e); err != nil {
			t.Fatal(err)
		}
		// A count that is taken away would come back if the event counted again.
		server.Exec(t, s.database, "UPDATE notes SET word_count = NULL")
		again := note.Message{Event: note.Event{ID: e.ID, Type: note.Created, NoteID: ids[0], OccurredAt: time.Now()}}
		if _, err := s.producer.Publish(t.Context(), []note.Message{again}); err != nil {
			t.Fatal(err)
		}
		// The next event of the same note, and so of the same partition, shows
		// that the second copy of the first one has been through the consumer.
		edited := "four words are here"
		if _, err := s.notes.Update(t.Context(), ids[0], nil, &edited); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the edit to be counted", func() bool {
			n, err := s.db.Notes().Get(t.Context(), ids[0])
			return err == nil && n.WordCount != nil && *n.WordCount == 4
		})
		if !server.Holds(t, s.database, "SELECT count(*) = 2 FROM handled") {
			t.Error("the ledger does not have the two events")
		}
	})
	t.Run("a note that was deleted meanwhile needs no count", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.kafka.Gate.Refuse()
		ids := s.create(t, 1)
		if err := s.notes.Delete(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		s.kafka.Gate.Open(t)
		eventually(t, "the event to be handled", func() bool {
			return server.Holds(t, s.database, "SELECT count(*) = 1 FROM handled")
		})
		s.outboxIsEmpty(t)
	})
}

func TestDependenciesAway(t *testing.T) {
	// Not in parallel: the server is everybody's.
	t.Run("postgresql may be killed and come back, and all is counted", func(t *testing.T) {
		s := start(t)
		ids := s.create(t, 5)
		s.counted(t, ids)
		s.kafka.Gate.Refuse() // what follows waits in the outbox
		ids = append(ids, s.create(t, 5)...)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		s.kafka.Gate.Open(t)
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		s.counted(t, ids)
		s.outboxIsEmpty(t)
	})
	t.Run("while kafka is away writes work, and each event is published once when it is back", func(t *testing.T) {
		for name, away := range map[string]func(*kafkatest.Broker){
			"refusing":     func(b *kafkatest.Broker) { b.Gate.Refuse() },
			"silent":       func(b *kafkatest.Broker) { b.Gate.Silence() },
			"losing words": func(b *kafkatest.Broker) { b.Gate.LoseReplies() },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := start(t)
				before := s.create(t, 5)
				s.counted(t, before)
				away(s.kafka)
				meanwhile := s.create(t, 30)
				<-time.After(1500 * time.Millisecond) // long enough for a try to run out
				s.kafka.Gate.Open(t)
				s.counted(t, append(before, meanwhile...))
				s.outboxIsEmpty(t)
				s.publishedOnce(t, append(before, meanwhile...))
			})
		}
	})
	t.Run("while redis is away reads and writes work, and nothing is lost", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.redis.Refuse()
		ids := s.create(t, 5)
		for _, id := range ids {
			if _, err := s.notes.Get(t.Context(), id); err != nil {
				t.Errorf("reading: %v", err)
			}
		}
		s.outboxIsEmpty(t)
		s.redis.Open(t)
		s.counted(t, ids)
		s.publishedOnce(t, ids)
	})
	t.Run("events of a database that was made anew are published on", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.counted(t, s.create(t, 1))
		server.Recreate(t, s.database)
		s.counted(t, s.create(t, 3))
	})
	t.Run("it stops in time while all are away", func(t *testing.T) {
		for name, away := range map[string]func(*gatetest.Gate){"refusing": (*gatetest.Gate).Refuse, "silent": (*gatetest.Gate).Silence} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := start(t)
				s.counted(t, s.create(t, 1))
				for _, g := range []*gatetest.Gate{s.redis, s.kafka.Gate, s.pg} {
					away(g)
				}
				begun := time.Now()
				if err := s.stop(); err != nil {
					t.Errorf("stopping: %v", err)
				}
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		}
	})
}
