package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/trace/noop"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/note/notetest"
	"example.com/goldenpath/service/internal/infra/kafka"
	"example.com/goldenpath/service/internal/infra/kafka/kafkatest"
)

// outcome is what a Publish under way returns in the end.
type outcome chan struct {
	delivered []string
	err       error
}

func publishing(t *testing.T, p *kafka.Producer, batch []note.Message) outcome {
	o := make(outcome, 1)
	go func() {
		delivered, err := p.Publish(t.Context(), batch)
		o <- struct {
			delivered []string
			err       error
		}{delivered, err}
	}()
	return o
}

// still sees that it has not returned after a while.
func (o outcome) still(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case got := <-o:
		t.Fatalf("publish gave up with %d delivered: %v", len(got.delivered), got.err)
	case <-time.After(d):
	}
}

// all sees that it delivers n.
func (o outcome) all(t *testing.T, n int) {
	t.Helper()
	select {
	case got := <-o:
		if got.err != nil || len(got.delivered) != n {
			t.Errorf("%d were delivered: %v", len(got.delivered), got.err)
		}
	case <-time.After(patience):
		t.Fatal("publish did not return")
	}
}

func TestPublish(t *testing.T) {
	t.Run("a record has the note as its key, the event as its value, and the type in a header", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		publish(t, producer(t, b, noop.NewTracerProvider()), messages(1, 1))
		records := b.Records(t, topic, 1)
		if len(records) != 1 {
			t.Fatalf("there are %d records", len(records))
		}
		r := records[0]
		want := `{"id":"event-1","type":"note.created","note_id":"` + string(notetest.ID(1)) + `","occurred_at":"2026-01-02T03:04:06.678901Z"}`
		if string(r.Key) != string(notetest.ID(1)) || string(r.Value) != want {
			t.Errorf("the record is %s: %s, want %s", r.Key, r.Value, want)
		}
		if h := header(r, "event-type"); h != "note.created" {
			t.Errorf("the type's header is %q", h)
		}
	})
	t.Run("the events of a note stay in order", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		batch := messages(1, 300)
		for i := range batch {
			batch[i].Event.NoteID = notetest.ID(i % 3)
		}
		publish(t, producer(t, b, noop.NewTracerProvider()), batch)
		last := map[string]time.Time{}
		for _, r := range b.Records(t, topic, len(batch)) {
			var e struct {
				OccurredAt time.Time `json:"occurred_at"`
			}
			if err := json.Unmarshal(r.Value, &e); err != nil {
				t.Fatal(err)
			}
			if !e.OccurredAt.After(last[string(r.Key)]) {
				t.Fatalf("an event of %s comes too late", r.Key)
			}
			last[string(r.Key)] = e.OccurredAt
		}
	})
	t.Run("nothing to publish is nothing to wait for", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		b.Gate.Refuse()
		publish(t, producer(t, b, noop.NewTracerProvider()), nil)
	})
}

func TestKafkaAway(t *testing.T) {
	ways := map[string]func(*kafkatest.Broker){
		"refuses":   func(b *kafkatest.Broker) { b.Gate.Refuse() },
		"is silent": func(b *kafkatest.Broker) { b.Gate.Silence() },
	}
	for name, away := range ways {
		t.Run("what was never sent to a kafka that "+name+" is given back in time, and is published once in the end", func(t *testing.T) {
			t.Parallel()
			b := kafkatest.Start(t)
			p := producer(t, b, noop.NewTracerProvider())
			away(b)
			for range 2 {
				begun := time.Now()
				delivered, err := p.Publish(t.Context(), messages(1, 20))
				if err == nil || len(delivered) != 0 {
					t.Fatalf("%d were published: %v", len(delivered), err)
				}
				if took := time.Since(begun); took > 8*limit {
					t.Errorf("it took %s to find out", took)
				}
			}
			b.Gate.Open(t)
			deliverAll(t, p, messages(1, 20))
			wantOnce(t, b, 20)
		})
		t.Run("what was sent to a kafka that "+name+" meanwhile waits for it, and is published once", func(t *testing.T) {
			t.Parallel()
			b := kafkatest.Start(t)
			p := producer(t, b, noop.NewTracerProvider())
			publish(t, p, messages(1, 10))
			away(b)
			done := publishing(t, p, messages(11, 30))
			done.still(t, 3*limit)
			b.Gate.Open(t)
			done.all(t, 20)
			wantOnce(t, b, 30)
		})
	}
	t.Run("what was sent and never acknowledged is waited for, and is published once", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		p := producer(t, b, noop.NewTracerProvider())
		publish(t, p, messages(1, 10))
		written := b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Count: -1, Observe: true})
		b.Gate.LoseReplies()
		done := publishing(t, p, messages(11, 30))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := written.Wait(ctx, 1); err != nil {
			t.Fatalf("waiting for the broker to take the records: %v", err)
		}
		b.Gate.Cut()
		done.still(t, 3*limit)
		b.Gate.Open(t)
		done.all(t, 20)
		wantOnce(t, b, 30)
	})
	t.Run("a broker that errs for a while gets each record once", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		p := producer(t, b, noop.NewTracerProvider())
		publish(t, p, messages(1, 1))
		for _, code := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut} {
			b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: code, Count: 2})
		}
		deliverAll(t, p, messages(2, 30))
		wantOnce(t, b, 30)
	})
	t.Run("the end of the context ends the wait for an acknowledgement", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		p := producer(t, b, noop.NewTracerProvider())
		publish(t, p, messages(1, 1))
		b.Gate.LoseReplies()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		begun := time.Now()
		if _, err := p.Publish(ctx, messages(2, 3)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(begun); took > 8*limit {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("ping says that it is away, and that it is back", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		p := producer(t, b, noop.NewTracerProvider())
		if err := p.Ping(t.Context()); err != nil {
			t.Errorf("pinging: %v", err)
		}
		b.Gate.Refuse()
		if err := p.Ping(t.Context()); err == nil {
			t.Error("ping succeeded")
		}
		b.Gate.Open(t)
		eventually(t, "kafka to answer", func() bool { return p.Ping(t.Context()) == nil })
	})
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
