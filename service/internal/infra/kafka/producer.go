package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/note"
)

// Producer publishes events. Safe for concurrent use.
type Producer struct {
	client *kgo.Client
	topic  string
}

// NewProducer returns a producer for c.Topic. It connects when it is first used.
// The caller closes it.
func NewProducer(c Config, tp trace.TracerProvider, log *zap.Logger) (*Producer, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("making a kafka producer: %w", err)
	}
	client, err := kgo.NewClient(append(c.options(newTracer(tp, ""), log),
		// Publish hands over whole batches: the first record sets out after the
		// shortest wait in which the others can join it.
		kgo.ProducerLinger(time.Millisecond),
		kgo.ProduceRequestTimeout(c.timeout()),
		// franz-go gives a record up after this time only if it was never sent,
		// or if the broker refused it; see Publish.
		kgo.RecordDeliveryTimeout(c.timeout()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("making a kafka producer: %w", err)
	}
	return &Producer{client: client, topic: c.Topic}, nil
}

// lastWords is how long the end of Publish's context lets franz-go sort the
// records that were never sent from those whose fate is open.
const lastWords = 500 * time.Millisecond

// Publish writes each message once, as a part of the trace that it names, and
// returns the ids of the events that Kafka has acknowledged, and the first error
// of the others.
//
// When it returns, no message is under way any longer: one whose id is missing
// is not in Kafka, and may be published again. While no broker can be dialled
// that takes about the configured time limit. Once a message was handed to a
// connection and the connection broke, there is no telling until Kafka answers
// again, and Publish waits for it, however long: the same record, under the same
// sequence number of the idempotent producer, cannot be written twice. Only the
// end of ctx, which is for shutting down, and Close end that wait, and leave the
// fate of such a message open.
func (p *Producer) Publish(ctx context.Context, batch []note.Message) (delivered []string, err error) {
	type result struct {
		id  string
		err error
	}
	results := make(chan result, len(batch)) // room for all: a promise never blocks
	waiting := 0
	for _, m := range batch {
		r, encoding := record(p.topic, m.Event)
		if encoding != nil {
			err = errors.Join(err, encoding)
			continue
		}
		r.Context = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
			"traceparent": m.Traceparent, "tracestate": m.Tracestate,
		})
		waiting++
		p.client.Produce(ctx, r, func(_ *kgo.Record, err error) { results <- result{m.Event.ID, err} })
	}
	ending := ctx.Done()
	var ended <-chan time.Time
	for ; waiting > 0; waiting-- {
		select {
		case r := <-results:
			if r.err == nil {
				delivered = append(delivered, r.id)
			} else if err == nil {
				err = fmt.Errorf("publishing to %s: %w", p.topic, r.err)
			}
		case <-ending:
			timer := time.NewTimer(lastWords)
			defer timer.Stop()
			ending, ended = nil, timer.C
			waiting++ // this was no result
		case <-ended:
			return delivered, errors.Join(err, fmt.Errorf("publishing to %s: %d events were sent, and stopped waiting for kafka to confirm them: %w",
				p.topic, waiting, ctx.Err()))
		}
	}
	return delivered, err
}

// Ping says whether a broker answers.
func (p *Producer) Ping(ctx context.Context) error { return ping(ctx, p.client) }

// Close ends the connections, and every Publish that still waits.
func (p *Producer) Close() { p.client.Close() }

func ping(ctx context.Context, client *kgo.Client) error {
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("pinging kafka: %w", err)
	}
	return nil
}
