package note

import (
	"context"
	"time"
)

// Cursor is the place of a note in the listing, newest first. The zero Cursor
// is the beginning.
type Cursor struct {
	CreatedAt time.Time
	ID        ID
}

// IsZero says whether the cursor is the beginning.
func (c Cursor) IsZero() bool { return c.ID == "" }

// Repository keeps notes. Every method takes part in the transaction that the
// context carries (see Transactor), and answers within the database's time
// limit. Errors are problems: database_unavailable when the database cannot be
// reached, database_timeout when it did not answer in time.
type Repository interface {
	// Create stores a new note.
	Create(ctx context.Context, n Note) error
	// Get returns a note, or note_not_found.
	Get(ctx context.Context, id ID) (Note, error)
	// GetForUpdate is Get that locks the note until the transaction ends.
	GetForUpdate(ctx context.Context, id ID) (Note, error)
	// List returns at most limit notes after the cursor, newest first, ties
	// broken by id.
	List(ctx context.Context, after Cursor, limit int) ([]Note, error)
	// Update stores title, body, word count and update time of a note that
	// exists, or note_not_found.
	Update(ctx context.Context, n Note) error
	// Delete removes a note, or note_not_found.
	Delete(ctx context.Context, id ID) error
}

// Outbox takes events that must be published if, and only if, the transaction
// in the context commits.
type Outbox interface {
	Append(ctx context.Context, e Event) error
}

// Ledger remembers which keys have been handled, in the transaction of the
// context.
type Ledger interface {
	// Claim returns true the first time it sees a key, and false ever after
	// once that first transaction has committed.
	Claim(ctx context.Context, key string) (bool, error)
}

// Transactor runs f in one database transaction, carried by the context that f
// receives: committed when f returns nil, rolled back on an error or a panic.
// A call inside a transaction joins it: its failure fails the whole, whatever the
// outer function makes of the error. f may be run again after a serialization
// failure or a deadlock, so it must touch nothing but the database.
type Transactor interface {
	InTx(ctx context.Context, f func(ctx context.Context) error) error
}

// Cache keeps notes for a short while. It never fails: a cache that cannot be
// reached finds nothing and forgets what it is given, within its own short
// time limit, so that reads work without it.
type Cache interface {
	Get(ctx context.Context, id ID) (Note, bool)
	Put(ctx context.Context, n Note)
	Forget(ctx context.Context, id ID)
}
