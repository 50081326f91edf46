package postgres

import (
	"context"
	"time"

	"example.com/goldenpath/service/internal/infra/postgres/queries"
)

// sweepBatch keeps the locks of a sweep short.
const sweepBatch = 1000

type ledger struct{ db *DB }

// Claim is note.Ledger's.
func (l *ledger) Claim(ctx context.Context, key string) (bool, error) {
	var added int64
	err := l.db.write(ctx, "claiming a key", func(ctx context.Context, c conn) (err error) {
		added, err = queries.New(c).ClaimKey(ctx, key)
		return err
	})
	return added == 1, err
}

// Sweep forgets the keys that were handled before a time which lies further
// back than anything that could still be delivered again, and returns how many
// those were.
func (db *DB) Sweep(ctx context.Context, before time.Time) (int64, error) {
	var swept int64
	for {
		var n int64
		err := db.write(ctx, "sweeping the ledger", func(ctx context.Context, c conn) (err error) {
			n, err = queries.New(c).SweepHandled(ctx, queries.SweepHandledParams{Before: before, BatchSize: sweepBatch})
			return err
		})
		swept += n
		if err != nil || n < sweepBatch {
			return swept, err
		}
	}
}
