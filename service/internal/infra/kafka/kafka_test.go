package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

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

// consumer is a consumer that runs until stop, or the test's end.
type consumer struct {
	events chan note.Event
	stop   func()
}

func consume(t *testing.T, b *kafkatest.Broker, tp trace.TracerProvider, log *zap.Logger, handle func(context.Context, note.Event) error) *consumer {
	t.Helper()
	c := &consumer{events: make(chan note.Event, 1000)}
	k, err := kafka.NewConsumer(kafka.Config{Brokers: []string{b.Addr()}, Topic: topic, Group: "test", Timeout: limit}, tp, log,
		func(ctx context.Context, e note.Event) error {
			if handle != nil {
				if err := handle(ctx, e); err != nil {
					return err
				}
			}
			c.events <- e
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := k.Run(ctx); err != nil {
			t.Errorf("consuming: %v", err)
		}
	}()
	c.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the consumer did not stop")
		}
	})
	t.Cleanup(c.stop)
	return c
}

func (c *consumer) next(t *testing.T) note.Event {
	t.Helper()
	select {
	case e := <-c.events:
		return e
	case <-time.After(patience):
		t.Fatal("waited too long for an event")
		return note.Event{}
	}
}

// all takes n events, in any order.
func (c *consumer) all(t *testing.T, n int) []string {
	t.Helper()
	var got []string
	for range n {
		got = append(got, c.next(t).ID)
	}
	slices.Sort(got)
	return got
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

func TestConsume(t *testing.T) {
	t.Run("every event is handled, as it was published", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		publish(t, producer(t, b, noop.NewTracerProvider()), messages(1, 1))
		if got := consume(t, b, noop.NewTracerProvider(), zap.NewNop(), nil).next(t); got != message(1).Event {
			t.Errorf("the event is %+v, want %+v", got, message(1).Event)
		}
	})
	t.Run("the next consumer goes on where the last one stopped", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		p := producer(t, b, noop.NewTracerProvider())
		publish(t, p, messages(1, 9))
		first := consume(t, b, noop.NewTracerProvider(), zap.NewNop(), nil)
		first.all(t, 9)
		first.stop()
		publish(t, p, messages(10, 12))
		second := consume(t, b, noop.NewTracerProvider(), zap.NewNop(), nil)
		if got, want := second.all(t, 3), []string{"event-10", "event-11", "event-12"}; !slices.Equal(got, want) {
			t.Errorf("the events are %v, want %v", got, want)
		}
	})
	t.Run("an event that cannot be handled is given again and not committed", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		publish(t, producer(t, b, noop.NewTracerProvider()), messages(1, 1))
		logs, seen := observer.New(zap.InfoLevel)
		tries := make(chan struct{}, 100)
		first := consume(t, b, noop.NewTracerProvider(), zap.New(logs), func(context.Context, note.Event) error {
			tries <- struct{}{}
			return errors.New("redis is away")
		})
		for range 3 {
			<-tries
		}
		first.stop()
		if n := seen.FilterMessageSnippet("could not be handled").Len(); n != 1 {
			t.Errorf("the log says so %d times", n)
		}
		second := consume(t, b, noop.NewTracerProvider(), zap.NewNop(), nil)
		if e := second.next(t); e.ID != "event-1" {
			t.Errorf("the event is %s", e.ID)
		}
	})
	t.Run("a record that is no event is passed over, and told", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.AllowAutoTopicCreation(), kgo.DisableClientMetrics())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		garbage := []string{"", "null", "{", `{"id":"","type":"note.created"}`, `{"id":"e","type":"note.created","note_id":"; DROP"}`, "\xff", strings.Repeat("[", 100_000)}
		for _, v := range garbage {
			if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(v)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		publish(t, producer(t, b, noop.NewTracerProvider()), messages(1, 1))
		logs, seen := observer.New(zap.ErrorLevel)
		c := consume(t, b, noop.NewTracerProvider(), zap.New(logs), nil)
		if e := c.next(t); e.ID != "event-1" {
			t.Errorf("the event is %s", e.ID)
		}
		eventually(t, "the garbage to be told of", func() bool { return seen.Len() == len(garbage) })
	})
	t.Run("kafka may go away and come back", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		p := producer(t, b, noop.NewTracerProvider())
		publish(t, p, messages(1, 3))
		c := consume(t, b, noop.NewTracerProvider(), zap.NewNop(), nil)
		c.all(t, 3)
		b.Gate.Refuse()
		done := publishing(t, p, messages(4, 6))
		done.still(t, limit)
		b.Gate.Open(t)
		done.all(t, 3)
		got := map[string]bool{}
		for !got["event-4"] || !got["event-5"] || !got["event-6"] {
			got[c.next(t).ID] = true
		}
	})
	t.Run("it stops in time while kafka is away", func(t *testing.T) {
		t.Parallel()
		b := kafkatest.Start(t)
		publish(t, producer(t, b, noop.NewTracerProvider()), messages(1, 1))
		c := consume(t, b, noop.NewTracerProvider(), zap.NewNop(), nil)
		c.next(t)
		b.Gate.Silence()
		begun := time.Now()
		c.stop()
		if took := time.Since(begun); took > 8*limit {
			t.Errorf("it took %s", took)
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

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
