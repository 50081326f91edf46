package worker

import (
	"context"
	"time"

	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
)

const (
	// relayBatch bounds what one claim holds.
	relayBatch = 200
	// relayPause is the longest wait between two tries of a relay that fails.
	relayPause = 2 * time.Second
	// relayStall is when a batch that is still being published is worth a line.
	relayStall = 5 * time.Second
)

// relay publishes the events of the outbox.
type relay struct {
	outbox    Outbox
	publisher Publisher
	log       *zap.Logger
	poll      time.Duration
	grace     time.Duration

	// delivered are the events that Kafka has and that are not out of the
	// outbox yet, because the database failed in between. They are handed out
	// again, and must not be published again.
	delivered map[string]bool
	answered  []string // what deliver returned last
	failing   bool
}

func newRelay(d Deps) *relay {
	return &relay{
		outbox: d.Outbox, publisher: d.Publisher, log: d.Log.Named("relay"),
		poll: d.Poll, grace: d.Grace, delivered: map[string]bool{},
	}
}

// run publishes until ctx ends, then finishes the batch at hand.
func (r *relay) run(ctx context.Context) error {
	work, cancel := outlast(ctx, r.grace)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := r.poll
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		n, err := r.round(work)
		switch {
		case err != nil:
			r.fails(ctx, err)
			pause = min(2*pause, relayPause)
		case n == relayBatch: // there may be more
			r.works()
			pause = 0
		default:
			r.works()
			pause = r.poll
		}
		timer.Reset(pause)
		pause = max(pause, r.poll)
	}
}

// round publishes one batch, and returns how many events left the outbox.
func (r *relay) round(ctx context.Context) (int, error) {
	r.answered = nil
	n, err := r.outbox.Drain(ctx, relayBatch, r.deliver)
	if n > 0 { // they have left the outbox for good
		for _, id := range r.answered {
			delete(r.delivered, id)
		}
	}
	return n, err
}

// deliver publishes those of a batch that Kafka does not have yet, and returns
// all that it has then.
func (r *relay) deliver(ctx context.Context, batch []note.Message) ([]string, error) {
	fresh := make([]note.Message, 0, len(batch))
	for _, m := range batch {
		if r.delivered[m.Event.ID] {
			r.answered = append(r.answered, m.Event.ID)
		} else {
			fresh = append(fresh, m)
		}
	}
	if len(fresh) == 0 {
		return r.answered, nil
	}
	stall := time.AfterFunc(relayStall, func() {
		r.log.Warn("kafka has not said whether it took the events: waiting for it to answer", zap.Int("events", len(fresh)))
	})
	defer stall.Stop()
	published, err := r.publisher.Publish(ctx, fresh)
	for _, id := range published {
		r.delivered[id] = true
	}
	r.answered = append(r.answered, published...)
	return r.answered, err
}

func (r *relay) fails(ctx context.Context, err error) {
	if !r.failing && ctx.Err() == nil {
		r.log.Warn("events cannot be published: they wait in the outbox",
			zap.Error(err), zap.String("code", string(problem.From(err).Code)))
	}
	r.failing = true
}

func (r *relay) works() {
	if r.failing {
		r.log.Info("events are published again")
	}
	r.failing = false
}
