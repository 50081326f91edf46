package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/note"
)

const (
	// pollSize bounds what is handled between two commits.
	pollSize = 100
	// A consumer that was killed keeps its partitions for one session. Kafka
	// takes six seconds or more.
	sessionTimeout    = 6 * time.Second
	heartbeatInterval = 2 * time.Second
)

// Consumer reads events as one of a group.
type Consumer struct {
	config Config
	tracer *kotel.Tracer
	opts   []kgo.Opt
	log    *zap.Logger
	handle func(context.Context, note.Event) error
	client atomic.Pointer[kgo.Client] // while Run runs
}

// NewConsumer returns a consumer of c.Topic in c.Group. handle is given one
// event at a time, in the order of its note, inside the trace of the event and
// with the configured time limit. An event whose handling fails is given again,
// until it succeeds; any event may be given more than once.
func NewConsumer(c Config, tp trace.TracerProvider, log *zap.Logger, handle func(context.Context, note.Event) error) (*Consumer, error) {
	err := c.check()
	if c.Group == "" {
		err = errors.Join(err, errors.New("no group is given"))
	}
	if err != nil {
		return nil, fmt.Errorf("making a kafka consumer: %w", err)
	}
	tracer := newTracer(tp, c.Group)
	opts := append(c.options(tracer, log),
		kgo.ConsumeTopics(c.Topic),
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.FetchMaxWait(time.Second),
		kgo.DisableAutoCommit(),
	)
	if err := kgo.ValidateOpts(opts...); err != nil {
		return nil, fmt.Errorf("making a kafka consumer: %w", err)
	}
	return &Consumer{config: c, tracer: tracer, opts: opts, log: log, handle: handle}, nil
}

// Ping says whether a broker answers. It fails while Run does not run.
func (c *Consumer) Ping(ctx context.Context) error {
	client := c.client.Load()
	if client == nil {
		return errors.New("pinging kafka: the consumer does not run")
	}
	return ping(ctx, client)
}

// Run handles events until ctx ends, then finishes the one at hand, commits, and
// leaves the group, each within the time limit. It returns nil, or the error of
// a configuration that Kafka's client refuses. It may be called once at a time.
func (c *Consumer) Run(ctx context.Context) error {
	// The client's own context outlives ctx, so that it can leave the group; it
	// ends when Kafka does not take the farewell in time.
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	owned := newPartitions()
	client, err := kgo.NewClient(slices.Concat(c.opts, []kgo.Opt{kgo.WithContext(life),
		kgo.OnPartitionsAssigned(owned.assigned), kgo.OnPartitionsRevoked(owned.revoked), kgo.OnPartitionsLost(owned.revoked)})...)
	if err != nil {
		return fmt.Errorf("consuming %s: %w", c.config.Topic, err)
	}
	c.client.Store(client)
	defer func() {
		c.client.Store(nil)
		defer time.AfterFunc(c.config.timeout(), kill).Stop()
		client.Close()
	}()
	away := false
	for ctx.Err() == nil {
		fetched := client.PollRecords(ctx, pollSize)
		if ctx.Err() != nil && fetched.NumRecords() == 0 {
			break
		}
		if err := fetched.Err(); err != nil {
			if !away {
				c.log.Warn("kafka does not answer the consumer: events wait", zap.String("topic", c.config.Topic), zap.Error(err))
			}
			away = true
			wait(ctx, time.Second) // franz-go has backed off already; this is for errors that return at once
		} else if away {
			c.log.Info("kafka answers the consumer again", zap.String("topic", c.config.Topic))
			away = false
		}
		c.handleAll(ctx, client, owned.holding(), fetched.Records())
	}
	return nil
}

// handleAll handles records in turn and commits what it got through, which is
// less than all when ctx ends.
func (c *Consumer) handleAll(ctx context.Context, client *kgo.Client, held holding, records []*kgo.Record) {
	handled := make([]*kgo.Record, 0, len(records))
	for _, r := range records {
		if ctx.Err() != nil {
			break
		}
		if held.keeps(r) && c.handleOne(ctx, held, r) {
			handled = append(handled, r)
		}
	}
	// What was taken away meanwhile is not ours to commit: it would rewind
	// what its new owner has committed.
	handled = slices.DeleteFunc(handled, func(r *kgo.Record) bool { return !held.keeps(r) })
	if len(handled) == 0 {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.timeout())
	defer cancel()
	if err := client.CommitRecords(limited, handled...); err != nil {
		c.log.Warn("the position in the topic could not be committed: these events may come again",
			zap.String("topic", c.config.Topic), zap.Int("events", len(handled)), zap.Error(err))
	}
}

// handleOne hands an event over until that succeeds, and says whether it is
// done with: it is not when ctx ended or the partition went to another member
// first. A record that is no event is done with: it will be none next time.
func (c *Consumer) handleOne(ctx context.Context, held holding, r *kgo.Record) bool {
	traced, span := c.tracer.WithProcessSpan(r)
	defer span.End()
	log := c.log.With(zap.String("topic", r.Topic), zap.Int32("partition", r.Partition), zap.Int64("offset", r.Offset),
		zap.String("trace_id", span.SpanContext().TraceID().String()), zap.String("span_id", span.SpanContext().SpanID().String()))
	e, err := event(r)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		log.Error("a record is no event and was passed over", zap.Error(err))
		return true
	}
	log = log.With(zap.String("event_id", e.ID))
	for try := 1; ; try++ {
		// What has begun is finished, within its time limit, even when ctx ends.
		limited, cancel := context.WithTimeout(trace.ContextWithSpan(context.WithoutCancel(ctx), trace.SpanFromContext(traced)), c.config.timeout())
		err := c.handle(limited, e)
		cancel()
		if err == nil {
			if try > 1 {
				log.Info("the event was handled after all", zap.Int("tries", try))
			}
			return true
		}
		if try == 1 {
			log.Warn("an event could not be handled: it is tried again until it can", zap.Error(err))
		}
		if !wait(ctx, 2*backoff(try)) || !held.keeps(r) {
			span.SetStatus(codes.Error, err.Error())
			return false
		}
	}
}

// wait returns false at once when ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
