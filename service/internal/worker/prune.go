package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// PruneTask is the type of the task that forgets what nobody asks for any more.
// The outbox needs none: events leave it once Kafka has them.
const PruneTask = "maintenance:prune"

// pruneTimeout is what one run may take. What it has not come to by then, the
// next try goes on with.
const pruneTimeout = 5 * time.Minute

// Ledger forgets the keys that were handled before a time, in batches that each
// stand by themselves, and returns how many it forgot, on failure too.
type Ledger interface {
	Sweep(ctx context.Context, before time.Time) (int64, error)
}

// pruning runs PruneTask. That it runs twice, or twice at once, changes nothing:
// what is old is old, and can be forgotten only once.
func pruning(d Deps) asynq.HandlerFunc {
	log := d.Log.Named("prune")
	return func(ctx context.Context, _ *asynq.Task) error {
		keys, err := d.Ledger.Sweep(ctx, d.Now().Add(-d.Retention))
		d.Pruned(keys)
		span := trace.SpanFromContext(ctx)
		span.SetAttributes(attribute.Int64("ledger.keys_pruned", keys))
		if err != nil {
			return fmt.Errorf("pruning the ledger, %d keys so far: %w", keys, err)
		}
		log.Info("the ledger is pruned", zap.Int64("keys", keys), zap.Duration("older_than", d.Retention),
			zap.String("trace_id", span.SpanContext().TraceID().String()), zap.String("span_id", span.SpanContext().SpanID().String()))
		return nil
	}
}
