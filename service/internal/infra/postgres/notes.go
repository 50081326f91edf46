package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/infra/postgres/queries"
)

type notes struct{ db *DB }

// Create is note.Repository's.
func (r *notes) Create(ctx context.Context, n note.Note) error {
	id, err := uuid.Parse(string(n.ID))
	if err != nil {
		return fmt.Errorf("storing a note: %w", err)
	}
	return r.db.write(ctx, "storing a note", func(ctx context.Context, c conn) error {
		return queries.New(c).CreateNote(ctx, queries.CreateNoteParams{
			ID: id, Title: n.Title, Body: n.Body, WordCount: words(n.WordCount),
			CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt,
		})
	})
}

// Get is note.Repository's.
func (r *notes) Get(ctx context.Context, id note.ID) (note.Note, error) {
	return r.one(ctx, "reading a note", id, (*queries.Queries).GetNote)
}

// GetForUpdate is note.Repository's.
func (r *notes) GetForUpdate(ctx context.Context, id note.ID) (note.Note, error) {
	return r.one(ctx, "locking a note", id, (*queries.Queries).GetNoteForUpdate)
}

func (r *notes) one(ctx context.Context, doing string, id note.ID,
	query func(*queries.Queries, context.Context, uuid.UUID) (queries.Note, error)) (note.Note, error) {
	key, err := uuid.Parse(string(id))
	if err != nil {
		return note.Note{}, notFound(id) // no note has such a name
	}
	var row queries.Note
	err = r.db.read(ctx, doing, func(ctx context.Context, c conn) (err error) {
		row, err = query(queries.New(c), ctx, key)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return note.Note{}, notFound(id)
	}
	if err != nil {
		return note.Note{}, err
	}
	return fromRow(row), nil
}

// List is note.Repository's.
func (r *notes) List(ctx context.Context, after note.Cursor, limit int) ([]note.Note, error) {
	size := int32(min(max(limit, 0), math.MaxInt32))
	var rows []queries.Note
	err := r.db.read(ctx, "listing notes", func(ctx context.Context, c conn) (err error) {
		if after.IsZero() {
			rows, err = queries.New(c).ListNotes(ctx, size)
			return err
		}
		id, err := uuid.Parse(string(after.ID))
		if err != nil {
			return problem.Wrap(err, problem.InvalidCursor, "the cursor does not name a place in the listing",
				"start again from the first page, without a cursor")
		}
		rows, err = queries.New(c).ListNotesAfter(ctx, queries.ListNotesAfterParams{
			CreatedAt: after.CreatedAt, ID: id, PageSize: size,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	page := make([]note.Note, len(rows))
	for i, row := range rows {
		page[i] = fromRow(row)
	}
	return page, nil
}

// Update is note.Repository's.
func (r *notes) Update(ctx context.Context, n note.Note) error {
	return r.change(ctx, "changing a note", n.ID, func(ctx context.Context, q *queries.Queries, id uuid.UUID) (int64, error) {
		return q.UpdateNote(ctx, queries.UpdateNoteParams{
			ID: id, Title: n.Title, Body: n.Body, WordCount: words(n.WordCount), UpdatedAt: n.UpdatedAt,
		})
	})
}

// Delete is note.Repository's.
func (r *notes) Delete(ctx context.Context, id note.ID) error {
	return r.change(ctx, "deleting a note", id, func(ctx context.Context, q *queries.Queries, id uuid.UUID) (int64, error) {
		return q.DeleteNote(ctx, id)
	})
}

// change runs a statement that must hit the one note named id.
func (r *notes) change(ctx context.Context, doing string, id note.ID,
	statement func(context.Context, *queries.Queries, uuid.UUID) (int64, error)) error {
	key, err := uuid.Parse(string(id))
	if err != nil {
		return notFound(id)
	}
	var hit int64
	err = r.db.write(ctx, doing, func(ctx context.Context, c conn) (err error) {
		hit, err = statement(ctx, queries.New(c), key)
		return err
	})
	if err == nil && hit == 0 {
		return notFound(id)
	}
	return err
}

func notFound(id note.ID) error {
	return problem.New(problem.NoteNotFound, fmt.Sprintf("there is no note %q", string(id)),
		"see whether the id is right, and whether the note was deleted; GET /api/v1/notes lists those there are")
}

func fromRow(r queries.Note) note.Note {
	n := note.Note{
		ID: note.ID(r.ID.String()), Title: r.Title, Body: r.Body,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.WordCount != nil {
		count := int(*r.WordCount)
		n.WordCount = &count
	}
	return n
}

func words(n *int) *int32 {
	if n == nil {
		return nil
	}
	count := int32(min(*n, math.MaxInt32))
	return &count
}
