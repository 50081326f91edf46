package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"example.com/goldenpath/service/internal/domain/note"
)

// fakeOutbox is an outbox in memory whose database fails on demand, after the
// events were delivered and before they are taken out.
type fakeOutbox struct {
	mu     sync.Mutex
	events []note.Message
	fails  error
	drains int
}

func (o *fakeOutbox) Drain(ctx context.Context, limit int, deliver func(context.Context, []note.Message) ([]string, error)) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drains++
	if len(o.events) == 0 {
		return 0, o.fails
	}
	delivered, err := deliver(ctx, slices.Clone(o.events[:min(limit, len(o.events))]))
	if o.fails != nil {
		return 0, errors.Join(err, o.fails)
	}
	o.events = slices.DeleteFunc(o.events, func(m note.Message) bool { return slices.Contains(delivered, m.Event.ID) })
	return len(delivered), err
}

// becomes changes the outbox, and what it delivers to, between two drains.
func (o *fakeOutbox) becomes(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// fakePublisher publishes up to room events, and fails the others.
type fakePublisher struct {
	published []string
	room      int
	slow      time.Duration
}

func (p *fakePublisher) Publish(ctx context.Context, batch []note.Message) ([]string, error) {
	if p.slow > 0 {
		select {
		case <-time.After(p.slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var delivered []string
	for _, m := range batch {
		if p.room == 0 {
			return delivered, errors.New("kafka is away")
		}
		p.room--
		p.published = append(p.published, m.Event.ID)
		delivered = append(delivered, m.Event.ID)
	}
	return delivered, nil
}

func events(n int) []note.Message {
	var out []note.Message
	for i := range n {
		out = append(out, note.Message{Event: note.Event{ID: fmt.Sprint(i)}})
	}
	return out
}

// relaying runs a relay in a bubble of its own time, lets during happen, stops
// the relay, and returns what it logged.
func relaying(t *testing.T, outbox *fakeOutbox, publisher *fakePublisher, during func()) []string {
	t.Helper()
	logs, seen := observer.New(zap.InfoLevel)
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(Deps{Outbox: outbox, Publisher: publisher, Log: zap.New(logs), Poll: DefaultPoll, Grace: DefaultGrace})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.run(ctx) }()
		during()
		stop()
		if err := <-done; err != nil {
			t.Errorf("the relay: %v", err)
		}
	})
	var lines []string
	for _, e := range seen.All() {
		lines = append(lines, e.Message)
	}
	return lines
}

// after lets the bubble's time pass, and the relay come to rest.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestRelay(t *testing.T) {
	t.Run("full batches follow each other without a wait", func(t *testing.T) {
		outbox, publisher := &fakeOutbox{events: events(5*relayBatch + 1)}, &fakePublisher{room: -1}
		relaying(t, outbox, publisher, func() { after(DefaultPoll / 2) })
		if n := len(publisher.published); n != 5*relayBatch+1 {
			t.Errorf("%d events were published before the next poll was due", n)
		}
	})
	t.Run("an empty outbox is looked into once each poll", func(t *testing.T) {
		outbox := &fakeOutbox{}
		relaying(t, outbox, &fakePublisher{}, func() { after(10*DefaultPoll + DefaultPoll/2) })
		if outbox.drains != 11 {
			t.Errorf("it was looked into %d times, want 11", outbox.drains)
		}
	})
	t.Run("what kafka has is not published again when the database fails after it", func(t *testing.T) {
		outbox, publisher := &fakeOutbox{events: events(3), fails: errors.New("the database is away")}, &fakePublisher{room: -1}
		relaying(t, outbox, publisher, func() {
			after(time.Minute)
			// An older event appears in front: its transaction took long.
			outbox.becomes(func() {
				outbox.events = append([]note.Message{{Event: note.Event{ID: "late"}}}, outbox.events...)
				outbox.fails = nil
			})
			after(10 * time.Second)
		})
		if want := []string{"0", "1", "2", "late"}; !slices.Equal(publisher.published, want) {
			t.Errorf("published were %v, want %v", publisher.published, want)
		}
		if len(outbox.events) != 0 {
			t.Errorf("%d events are left", len(outbox.events))
		}
	})
	t.Run("a part of a batch counts, and the rest follows", func(t *testing.T) {
		outbox, publisher := &fakeOutbox{events: events(5)}, &fakePublisher{room: 2}
		relaying(t, outbox, publisher, func() {
			after(time.Second)
			outbox.becomes(func() { publisher.room = -1 })
			after(10 * time.Second)
		})
		if want := []string{"0", "1", "2", "3", "4"}; !slices.Equal(publisher.published, want) {
			t.Errorf("published were %v, want %v", publisher.published, want)
		}
	})
	t.Run("while it fails it tries less often, and the log has one line for each turn", func(t *testing.T) {
		outbox, publisher := &fakeOutbox{events: events(1)}, &fakePublisher{}
		lines := relaying(t, outbox, publisher, func() {
			after(time.Minute)
			outbox.becomes(func() { publisher.room = -1 })
			after(10 * time.Second)
		})
		if tries := outbox.drains; tries > 35+int(10*time.Second/DefaultPoll) {
			t.Errorf("it tried %d times", tries)
		}
		want := []string{"events cannot be published: they wait in the outbox", "events are published again"}
		if !slices.Equal(lines, want) {
			t.Errorf("the log says %q, want %q", lines, want)
		}
	})
	t.Run("a batch that takes long is told of, and finished", func(t *testing.T) {
		outbox, publisher := &fakeOutbox{events: events(1)}, &fakePublisher{room: -1, slow: 20 * time.Second}
		lines := relaying(t, outbox, publisher, func() { after(time.Minute) })
		if want := []string{"kafka has not said whether it took the events: waiting for it to answer"}; !slices.Equal(lines, want) {
			t.Errorf("the log says %q, want %q", lines, want)
		}
		if len(publisher.published) != 1 {
			t.Errorf("%d events were published", len(publisher.published))
		}
	})
	t.Run("the batch at hand is finished when it stops, within the grace", func(t *testing.T) {
		for _, c := range []struct {
			slow time.Duration
			want int
		}{{DefaultGrace / 2, 1}, {2 * DefaultGrace, 0}} {
			outbox, publisher := &fakeOutbox{events: events(1)}, &fakePublisher{room: -1, slow: c.slow}
			relaying(t, outbox, publisher, func() { after(time.Second) })
			if len(publisher.published) != c.want {
				t.Errorf("with a batch of %s %d events were published, want %d", c.slow, len(publisher.published), c.want)
			}
		}
	})
}
