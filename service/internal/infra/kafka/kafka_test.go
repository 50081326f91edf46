package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/note/notetest"
	"example.com/goldenpath/service/internal/infra/kafka"
	"example.com/goldenpath/service/internal/infra/kafka/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	topic    = "notes.v1"
	patience = 20 * time.Second
	// limit is what the clients here wait for Kafka.
	limit = time.Second
)

func message(n int) note.Message {
	return note.Message{Event: note.Event{
		ID: fmt.Sprintf("event-%d", n), Type: note.Created, NoteID: notetest.ID(n), OccurredAt: notetest.Note(n).CreatedAt,
	}}
}

func messages(from, to int) []note.Message {
	var out []note.Message
	for n := from; n <= to; n++ {
		out = append(out, message(n))
	}
	return out
}

func producer(t *testing.T, b *kafkatest.Broker, tp trace.TracerProvider) *kafka.Producer {
	t.Helper()
	p, err := kafka.NewProducer(kafka.Config{Brokers: []string{b.Addr()}, Topic: topic, Timeout: limit}, tp, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func publish(t *testing.T, p *kafka.Producer, batch []note.Message) {
	t.Helper()
	delivered, err := p.Publish(t.Context(), batch)
	if err != nil || len(delivered) != len(batch) {
		t.Fatalf("%d of %d were published: %v", len(delivered), len(batch), err)
	}
}

// wantOnce sees that the topic holds each event from 1 to n once.
func wantOnce(t *testing.T, b *kafkatest.Broker, n int) {
	t.Helper()
	times := map[string]int{}
	for _, r := range b.Records(t, topic, n) {
		var e struct{ ID string }
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Errorf("a record is no JSON: %v", err)
		}
		times[e.ID]++
	}
	for i := 1; i <= n; i++ {
		if id := message(i).Event.ID; times[id] != 1 {
			t.Errorf("%s is there %d times", id, times[id])
		}
	}
	if len(times) != n {
		t.Errorf("there are %d events, want %d", len(times), n)
	}
}

func TestConfig(t *testing.T) {
	t.Run("what is missing is an error that names it", func(t *testing.T) {
		_, err := kafka.NewProducer(kafka.Config{}, noop.NewTracerProvider(), zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), "no brokers") || !strings.Contains(err.Error(), "no topic") {
			t.Errorf("the error is %v", err)
		}
		_, err = kafka.NewConsumer(kafka.Config{Brokers: []string{"127.0.0.1:1"}, Topic: topic}, noop.NewTracerProvider(), zap.NewNop(), nil)
		if err == nil || !strings.Contains(err.Error(), "no group") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestTrace(t *testing.T) {
	t.Run("publishing and handling are spans of the event's own trace", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		spans := tracetest.NewInMemoryExporter()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		m := message(1)
		m.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		publish(t, producer(t, b, tp), []note.Message{m})
		handled := make(chan trace.SpanContext, 1)
		c := consume(t, b, tp, zap.NewNop(), func(ctx context.Context, _ note.Event) error {
			handled <- trace.SpanContextFromContext(ctx)
			return nil
		})
		if id := (<-handled).TraceID().String(); id != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("the handler runs in trace %s", id)
		}
		c.stop()
		var names []string
		for _, s := range spans.GetSpans() {
			if s.SpanContext.TraceID().String() == "0af7651916cd43dd8448eb211c80319c" {
				names = append(names, s.Name)
			} else {
				t.Errorf("span %s is of another trace", s.Name)
			}
		}
		slices.Sort(names)
		if want := []string{"notes.v1 process", "notes.v1 publish", "notes.v1 receive"}; !slices.Equal(names, want) {
			t.Errorf("the spans are %v, want %v", names, want)
		}
	})
}

// deliverAll publishes until all are delivered, as the relay does.
func deliverAll(t *testing.T, p *kafka.Producer, batch []note.Message) {
	t.Helper()
	eventually(t, "all to be published", func() bool {
		delivered, _ := p.Publish(t.Context(), batch)
		batch = slices.DeleteFunc(slices.Clone(batch), func(m note.Message) bool { return slices.Contains(delivered, m.Event.ID) })
		return len(batch) == 0
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited %s for %s", patience, what)
		case <-tick.C:
		}
	}
}
