package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
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

// Drain hands up to limit events to deliver, oldest first, takes those out of the
// outbox whose ids deliver returns, and returns how many those were. What was
// not delivered waits for the next Drain.
//
// One Drain is at work at a time, over all processes; to the others the outbox
// is empty. Two that publish side by side would break the order of a note's
// events. deliver therefore returns as soon as it knows the fate of each event,
// and no sooner: an event whose fate is open may be published twice once another
// Drain has it. How long that takes does not matter to the database: no
// transaction and no row lock is held meanwhile, only an advisory lock of one
// idle connection, which ends with the connection, and so with this process.
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
	own, err := q.lock(ctx)
	if err != nil || own == nil {
		return 0, err
	}
	defer own.unlock(ctx)
	batch, err := own.oldest(ctx, limit)
	if err != nil || len(batch) == 0 {
		return 0, err
	}
	delivered, failed := deliver(ctx, batch)
	// Kafka has these, even if ctx has ended by now.
	if err := own.remove(context.WithoutCancel(ctx), delivered); err != nil {
		return 0, errors.Join(failed, err)
	}
	return len(delivered), failed
}

// lockedOutbox is the outbox through the connection that holds its lock.
type lockedOutbox struct {
	db *DB
	c  *pgxpool.Conn
	q  *queries.Queries
}

// lock returns nil when another Drain is at work.
func (q *OutboxQueue) lock(ctx context.Context) (*lockedOutbox, error) {
	limited, cancel := context.WithTimeout(ctx, q.db.timeout)
	defer cancel()
	c, err := q.db.acquire(limited)
	if err != nil {
		return nil, problemOf(ctx, "locking the outbox", err)
	}
	own := &lockedOutbox{db: q.db, c: c, q: queries.New(c)}
	locked, err := own.q.LockOutbox(limited, relayLock)
	if err != nil {
		own.discard(ctx) // the lock may have been taken
		return nil, problemOf(ctx, "locking the outbox", err)
	}
	if !locked {
		c.Release()
		return nil, nil
	}
	return own, nil
}

// unlock gives the lock up, with its connection where nothing else will do.
func (o *lockedOutbox) unlock(ctx context.Context) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.db.timeout)
	defer cancel()
	if was, err := o.q.UnlockOutbox(limited, relayLock); err != nil || !was {
		o.discard(ctx)
		return
	}
	o.c.Release()
}

func (o *lockedOutbox) discard(ctx context.Context) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.db.timeout)
	defer cancel()
	_ = o.c.Conn().Close(limited) // the pool drops a connection that is closed
	o.c.Release()
}

func (o *lockedOutbox) oldest(ctx context.Context, limit int) ([]note.Message, error) {
	limited, cancel := context.WithTimeout(ctx, o.db.timeout)
	defer cancel()
	rows, err := o.q.OldestOutbox(limited, int32(min(max(limit, 0), math.MaxInt32)))
	if err != nil {
		return nil, problemOf(ctx, "reading the outbox", err)
	}
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
	return batch, nil
}

func (o *lockedOutbox) remove(ctx context.Context, delivered []string) error {
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
	limited, cancel := context.WithTimeout(ctx, o.db.timeout)
	defer cancel()
	return problemOf(ctx, "taking events out of the outbox", o.q.DeleteOutbox(limited, ids))
}
