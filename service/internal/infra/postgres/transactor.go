package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxConflicts is how often a transaction is tried when others are in its way.
const maxConflicts = 4

// conflictPause is what the first conflict waits; each further one waits twice
// as long, so that the transactions in conflict come apart.
const conflictPause = 5 * time.Millisecond

type transactor struct{ db *DB }

// InTx is note.Transactor's.
func (t *transactor) InTx(ctx context.Context, f func(ctx context.Context) error) error {
	if s := t.db.session(ctx); s != nil {
		err := f(ctx)
		if err != nil {
			s.doomed = err
		}
		return err
	}
	pause := conflictPause
	for attempt := 1; ; attempt++ {
		err := t.db.once(ctx, f)
		if !conflict(err) || attempt == maxConflicts {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return problemOf(ctx, "waiting to try the transaction again", ctx.Err())
		case <-timer.C:
		}
		pause *= 2
	}
}

// conflict says that the server undid the transaction because of another one:
// serialization_failure or deadlock_detected.
func conflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
