// Package note is what one can do with notes, whichever door the wish came
// through: HTTP, Connect or a task.
package note

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	domain "example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
)

// Page sizes of List.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// Deps is what the use cases need. All fields must be set.
type Deps struct {
	Notes  domain.Repository
	Outbox domain.Outbox
	Ledger domain.Ledger
	Tx     domain.Transactor
	Cache  domain.Cache
	Tracer trace.Tracer
	Now    func() time.Time
	NewID  func() string // a fresh UUID, canonical and lower case
}

// Notes are the use cases. Safe for concurrent use.
type Notes struct{ Deps }

// New returns the use cases over d.
func New(d Deps) *Notes { return &Notes{Deps: d} }

// Create stores a note and its event in one transaction.
func (u *Notes) Create(ctx context.Context, title, body string) (_ domain.Note, err error) {
	ctx, end := u.span(ctx, "notes.Create", "", &err)
	defer end()
	n, err := domain.New(domain.ID(u.NewID()), title, body, u.Now())
	if err != nil {
		return domain.Note{}, err
	}
	err = u.Tx.InTx(ctx, func(ctx context.Context) error {
		if err := u.Notes.Create(ctx, n); err != nil {
			return err
		}
		return u.publish(ctx, domain.Created, n.ID)
	})
	if err != nil {
		return domain.Note{}, err
	}
	return n, nil
}

// Get returns one note, from the cache when it is there.
func (u *Notes) Get(ctx context.Context, id domain.ID) (_ domain.Note, err error) {
	ctx, end := u.span(ctx, "notes.Get", id, &err)
	defer end()
	if n, ok := u.Cache.Get(ctx, id); ok {
		return n, nil
	}
	n, err := u.Notes.Get(ctx, id)
	if err != nil {
		return domain.Note{}, err
	}
	u.Cache.Put(ctx, n)
	return n, nil
}

// List returns a page of notes, newest first, and the cursor of the next page
// (zero at the end). A limit of 0 means DefaultLimit.
func (u *Notes) List(ctx context.Context, after domain.Cursor, limit int) (_ []domain.Note, _ domain.Cursor, err error) {
	ctx, end := u.span(ctx, "notes.List", "", &err)
	defer end()
	if limit == 0 {
		limit = DefaultLimit
	}
	if limit < 1 || limit > MaxLimit {
		return nil, domain.Cursor{}, problem.Invalid(problem.Field{Name: "limit", Reason: "must be between 1 and 100"})
	}
	// One more than asked tells whether there is a next page.
	page, err := u.Notes.List(ctx, after, limit+1)
	if err != nil {
		return nil, domain.Cursor{}, err
	}
	if len(page) <= limit {
		return page, domain.Cursor{}, nil
	}
	page = page[:limit]
	last := page[limit-1]
	return page, domain.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}, nil
}

// Update changes what is not nil.
func (u *Notes) Update(ctx context.Context, id domain.ID, title, body *string) (_ domain.Note, err error) {
	ctx, end := u.span(ctx, "notes.Update", id, &err)
	defer end()
	var n domain.Note
	err = u.Tx.InTx(ctx, func(ctx context.Context) error {
		var err error
		if n, err = u.Notes.GetForUpdate(ctx, id); err != nil {
			return err
		}
		if err := n.Edit(title, body, u.Now()); err != nil {
			return err
		}
		if err := u.Notes.Update(ctx, n); err != nil {
			return err
		}
		return u.publish(ctx, domain.Updated, id)
	})
	if err != nil {
		return domain.Note{}, err
	}
	u.Cache.Forget(ctx, id)
	return n, nil
}

// Delete removes a note.
func (u *Notes) Delete(ctx context.Context, id domain.ID) (err error) {
	ctx, end := u.span(ctx, "notes.Delete", id, &err)
	defer end()
	err = u.Tx.InTx(ctx, func(ctx context.Context) error {
		if err := u.Notes.Delete(ctx, id); err != nil {
			return err
		}
		return u.publish(ctx, domain.Deleted, id)
	})
	if err != nil {
		return err
	}
	u.Cache.Forget(ctx, id)
	return nil
}

// CountWords stores the word count of a note, once for each event: the ledger
// entry and the count commit together, so that a task that is delivered again
// changes nothing. A note that is gone needs no count.
func (u *Notes) CountWords(ctx context.Context, eventID string, id domain.ID) (err error) {
	ctx, end := u.span(ctx, "notes.CountWords", id, &err)
	defer end()
	err = u.Tx.InTx(ctx, func(ctx context.Context) error {
		first, err := u.Ledger.Claim(ctx, "count-words:"+eventID)
		if err != nil || !first {
			return err
		}
		n, err := u.Notes.GetForUpdate(ctx, id)
		if errors.Is(err, &problem.Error{Code: problem.NoteNotFound}) {
			return nil
		}
		if err != nil {
			return err
		}
		words := n.CountWords()
		n.WordCount = &words
		return u.Notes.Update(ctx, n)
	})
	if err != nil {
		return err
	}
	u.Cache.Forget(ctx, id)
	return nil
}

func (u *Notes) publish(ctx context.Context, t domain.EventType, id domain.ID) error {
	return u.Outbox.Append(ctx, domain.Event{ID: u.NewID(), Type: t, NoteID: id, OccurredAt: u.Now().UTC()})
}

// span opens the span of a use case; the function that it returns closes it
// with what *err then holds.
func (u *Notes) span(ctx context.Context, name string, id domain.ID, err *error) (context.Context, func()) {
	ctx, span := u.Tracer.Start(ctx, name)
	if id != "" {
		span.SetAttributes(attribute.String("note.id", string(id)))
	}
	return ctx, func() {
		if *err != nil {
			p := problem.From(*err)
			span.SetAttributes(attribute.String("error.code", string(p.Code)))
			span.SetStatus(codes.Error, p.Message)
		}
		span.End()
	}
}
