package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/infra/postgres/queries"
)

// relayLock is the advisory lock of the relay that publishes ("notesout").
const relayLock = 0x6e6f7465736f7574

type outbox struct{ db *DB }

// Append is note.Outbox's. The event carries the trace of ctx.
func (o *outbox) Append(ctx context.Context, e note.Event) error {
	id, err := uuid.Parse(e.ID)
	if err != nil {
		return fmt.Errorf("appending to the outbox: event id: %w", err)
	}
	noteID, err := uuid.Parse(string(e.NoteID))
	if err != nil {
		return fmt.Errorf("appending to the outbox: note id: %w", err)
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return o.db.write(ctx, "appending to the outbox", func(ctx context.Context, c conn) error {
		return queries.New(c).AppendOutbox(ctx, queries.AppendOutboxParams{
			ID: id, Type: string(e.Type), NoteID: noteID, OccurredAt: e.OccurredAt,
			Traceparent: carrier["traceparent"], Tracestate: carrier["tracestate"],
		})
	})
}

// OutboxQueue is the reading end of the outbox.
type OutboxQueue struct{ db *DB }

// Drain claims up to limit events, oldest first, hands them to deliver, takes
// those out of the outbox whose ids deliver returns, and returns how many those
// were. What was not delivered waits for the next Drain. One Drain claims at a
// time, over all processes; to the others the outbox is empty.
//
// The claim lives in a transaction that stays open while deliver works, so that
// the events are free again the moment this process dies. deliver therefore
// returns as soon as it knows the fate of each event, and no sooner: an event
// whose fate is open and whose claim is given up may be published twice.
//
// The error is deliver's, else the database's. After an error of the database
// the delivered events may still be in the outbox, and are handed out again.
func (q *OutboxQueue) Drain(ctx context.Context, limit int,
	deliver func(context.Context, []note.Message) (delivered []string, err error)) (int, error) {
	var waits bool
	err := q.db.read(ctx, "looking into the outbox", func(ctx context.Context, c conn) (err error) {
		waits, err = queries.New(c).OutboxWaits(ctx)
		return err
	})
	if err != nil || !waits {
		return 0, err
	}
	var delivered []string
	var failed error
	err = q.db.once(ctx, func(ctx context.Context) error {
		batch, err := q.claim(ctx, limit)
		if err != nil || len(batch) == 0 {
			return err
		}
		delivered, failed = deliver(ctx, batch)
		return q.remove(ctx, delivered)
	})
	if err != nil {
		return 0, err
	}
	return len(delivered), failed
}

func (q *OutboxQueue) claim(ctx context.Context, limit int) ([]note.Message, error) {
	var rows []queries.Outbox
	err := q.db.read(ctx, "claiming events", func(ctx context.Context, c conn) (err error) {
		rows, err = queries.New(c).ClaimOutbox(ctx, queries.ClaimOutboxParams{RelayLock: relayLock, BatchSize: int32(limit)})
		return err
	})
	batch := make([]note.Message, len(rows))
	for i, r := range rows {
		batch[i] = note.Message{
			Event: note.Event{
				ID: r.ID.String(), Type: note.EventType(r.Type),
				NoteID: note.ID(r.NoteID.String()), OccurredAt: r.OccurredAt.UTC(),
			},
			Traceparent: r.Traceparent, Tracestate: r.Tracestate,
		}
	}
	return batch, err
}

func (q *OutboxQueue) remove(ctx context.Context, delivered []string) error {
	if len(delivered) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(delivered))
	for i, id := range delivered {
		var err error
		if ids[i], err = uuid.Parse(id); err != nil {
			return fmt.Errorf("taking events out of the outbox: %w", err)
		}
	}
	return q.db.write(ctx, "taking events out of the outbox", func(ctx context.Context, c conn) error {
		return queries.New(c).DeleteOutbox(ctx, ids)
	})
}
