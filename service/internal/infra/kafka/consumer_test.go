package kafka_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/infra/kafka"
	"example.com/goldenpath/service/internal/infra/kafka/kafkatest"
)

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
	t.Run("ping fails while the consumer does not run", func(t *testing.T) {
		b := kafkatest.Start(t)
		c, err := kafka.NewConsumer(kafka.Config{Brokers: []string{b.Addr()}, Topic: topic, Group: "test"}, noop.NewTracerProvider(), zap.NewNop(),
			func(context.Context, note.Event) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ping(t.Context()); err == nil {
			t.Error("ping succeeded")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		eventually(t, "ping to succeed", func() bool { return c.Ping(t.Context()) == nil })
		stop()
		if err := <-done; err != nil {
			t.Errorf("consuming: %v", err)
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
