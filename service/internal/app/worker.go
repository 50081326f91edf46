package app

import (
	"context"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/config"
	domain "example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/infra/kafka"
	"example.com/goldenpath/service/internal/observability"
	"example.com/goldenpath/service/internal/worker"
)

// Worker puts the worker together and opens its admin port. No dependency need
// be up. Spans also go to the extra processors. The caller runs the Process or
// closes it.
func Worker(ctx context.Context, c config.Config, log *zap.Logger, spans ...sdktrace.SpanProcessor) (_ *Process, err error) {
	b, err := begin(RoleWorker, c, log, spans)
	if err != nil {
		return nil, err
	}
	defer b.closeIf(&err)
	if err = b.openNotes(ctx, c); err != nil {
		return nil, err
	}

	topic := kafka.Config{Brokers: c.KafkaBrokers, Topic: c.KafkaTopic, Group: c.KafkaGroup, Timeout: c.KafkaTimeout}
	producer, err := kafka.NewProducer(topic, b.tracing.Provider, log.Named("kafka"))
	if err != nil {
		return nil, &startError{err, "mend KAFKA_BROKERS"}
	}
	b.atEnd("kafka", func(context.Context) error { producer.Close(); return nil })

	w, err := worker.New(worker.Deps{
		Outbox:    b.db.Relay(),
		Publisher: producer,
		NewConsumer: func(handle func(context.Context, domain.Event) error) (worker.Consumer, error) {
			return kafka.NewConsumer(topic, b.tracing.Provider, log.Named("kafka"), handle)
		},
		Redis:     b.redis.Asynq(),
		Notes:     b.notes,
		Ledger:    b.db,
		Retention: c.LedgerRetention,
		Pruned:    b.metrics.Pruning(),
		Tracing:   b.tracing.Provider,
		Log:       log.Named("worker"),
		Now:       time.Now,
		// The worker takes up to a second more to give up on a part that is stuck.
		Grace: c.ShutdownTimeout - min(c.ShutdownTimeout/2, 2*time.Second),
	})
	if err != nil {
		return nil, &startError{err, "mend the variables of Kafka and Redis"}
	}
	b.work = w.Run
	// Redis and Kafka are waited for: a worker without them is of less use, and a
	// new one would be of no more.
	b.health = observability.NewHealth(
		observability.Check{Name: "worker", Required: true, Ping: w.Ready},
		observability.Check{Name: "database", Required: true, Ping: b.db.Ping},
		observability.Check{Name: "redis", Ping: b.redis.Ping},
		observability.Check{Name: "kafka", Ping: producer.Ping},
	)
	if err = b.openAdmin(ctx, c); err != nil {
		return nil, err
	}
	return &b.Process, nil
}
