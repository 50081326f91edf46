package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/goldenpath/service/internal/infra/postgres/queries"
)

// conn is what runs statements: a pooled connection or a transaction.
type conn = queries.DBTX

// session is a transaction on its way through a context.
type session struct {
	tx     pgx.Tx
	doomed error // the failure of a function that joined; forbids the commit
}

// sessionKey is by database, so that the transaction of one never serves another.
type sessionKey struct{ db *DB }

func (db *DB) session(ctx context.Context) *session {
	s, _ := ctx.Value(sessionKey{db}).(*session)
	return s
}

// read runs one statement that changes nothing: in the transaction of ctx, else
// on a connection of its own, and then again on another one when the server had
// closed that connection. Errors are problems, see problemOf.
func (db *DB) read(ctx context.Context, doing string, f func(context.Context, conn) error) error {
	return db.step(ctx, doing, true, f)
}

// write runs one statement, once: when its connection breaks, nobody can say
// whether it ran. Errors are problems, see problemOf.
func (db *DB) write(ctx context.Context, doing string, f func(context.Context, conn) error) error {
	return db.step(ctx, doing, false, f)
}

func (db *DB) step(ctx context.Context, doing string, again bool, f func(context.Context, conn) error) error {
	limited, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	var err error
	if s := db.session(ctx); s != nil {
		err = f(limited, s.tx)
	} else {
		err = db.onConn(limited, again, func(c *pgxpool.Conn) error { return f(limited, c) })
	}
	return problemOf(ctx, doing, err)
}

// errNoConnection marks what the pool says in words of its own: that it is
// closed, or that each connection it made was dead at once.
var errNoConnection = errors.New("no connection")

// acquire takes a living connection from the pool. The caller releases it.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	c, err := db.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoConnection, err)
	}
	return c, nil
}

// onConn runs f on a connection, and while again is set on another one for as
// long as it is handed connections that turn out to be dead. Each of them leaves
// the pool, so the last attempt has a fresh one.
func (db *DB) onConn(ctx context.Context, again bool, f func(*pgxpool.Conn) error) error {
	for attempt := 1; ; attempt++ {
		c, err := db.acquire(ctx)
		if err != nil {
			return err
		}
		err = f(c)
		dead := err != nil && c.Conn().IsClosed()
		c.Release()
		if !dead || !again || attempt == db.attempts || ctx.Err() != nil {
			return err
		}
	}
}

// begin opens a transaction on a living connection. BEGIN itself changes
// nothing, so it is safe to send to the next connection when one was dead. The
// caller ends the transaction, then releases the connection.
func (db *DB) begin(ctx context.Context) (*pgxpool.Conn, pgx.Tx, error) {
	limited, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		c, err := db.acquire(limited)
		if err != nil {
			return nil, nil, problemOf(ctx, "beginning a transaction", err)
		}
		tx, err := c.Begin(limited)
		if err == nil {
			return c, tx, nil
		}
		dead := c.Conn().IsClosed()
		c.Release()
		if !dead || attempt == db.attempts || limited.Err() != nil {
			return nil, nil, problemOf(ctx, "beginning a transaction", err)
		}
	}
}

// commit ends a transaction for good. A commit that was sent is waited for even
// when the caller leaves: its fate is worth knowing.
func (db *DB) commit(ctx context.Context, tx pgx.Tx) error {
	if err := ctx.Err(); err != nil {
		return problemOf(ctx, "committing", err)
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.timeout)
	defer cancel()
	if err := tx.Commit(own); err != nil {
		return commitProblem(err)
	}
	return nil
}

// rollback undoes a transaction. Its failure changes nothing: the server undoes
// what was not committed when the connection ends.
func (db *DB) rollback(ctx context.Context, tx pgx.Tx) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.timeout)
	defer cancel()
	_ = tx.Rollback(own)
}

// once runs f in a transaction of its own.
func (db *DB) once(ctx context.Context, f func(ctx context.Context) error) error {
	c, tx, err := db.begin(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	ended := false
	defer func() {
		if !ended { // an error, or f panicked
			db.rollback(ctx, tx)
		}
	}()
	s := &session{tx: tx}
	if err := f(context.WithValue(ctx, sessionKey{db}, s)); err != nil {
		return err
	}
	if s.doomed != nil {
		return fmt.Errorf("committing after a part of the transaction failed: %w", s.doomed)
	}
	if err := db.commit(ctx, tx); err != nil {
		return err
	}
	ended = true
	return nil
}
