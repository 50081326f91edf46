// Package notetest states what every implementation of note's storage ports
// must do, as tests to run against it.
package notetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
)

// Store is one storage behind its ports.
type Store struct {
	Notes  note.Repository
	Ledger note.Ledger
	Tx     note.Transactor
}

// Run tests the stores that open returns, each of them empty.
func Run(t *testing.T, open func(*testing.T) Store) {
	t.Run("notes", func(t *testing.T) { runNotes(t, open) })
	t.Run("listing", func(t *testing.T) { runListing(t, open) })
	t.Run("transactions", func(t *testing.T) { runTransactions(t, open) })
	t.Run("ledger", func(t *testing.T) { runLedger(t, open) })
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// ID is a canonical UUID that ends in n.
func ID(n int) note.ID { return note.ID(fmt.Sprintf("00000000-0000-7000-8000-%012x", n)) }

// Note is a note that was made n seconds after all others began.
func Note(n int) note.Note {
	at := start.Add(time.Duration(n) * time.Second)
	return note.Note{ID: ID(n), Title: fmt.Sprintf("note %d", n), Body: "a body", CreatedAt: at, UpdatedAt: at}
}

func runNotes(t *testing.T, open func(*testing.T) Store) {
	ctx := t.Context()
	t.Run("a note comes back as it was stored, to the microsecond and in UTC", func(t *testing.T) {
		s := open(t)
		count := 3
		want := Note(1)
		want.Title = strings.Repeat("ü", note.MaxTitle)
		want.Body = "'; DROP TABLE notes; --\n\t\u2028 " + strings.Repeat("語", 1000)
		want.WordCount = &count
		create(t, s, want)
		got, err := s.Notes.Get(ctx, want.ID)
		same(t, got, err, want)
		if got.CreatedAt.Location() != time.UTC || got.UpdatedAt.Location() != time.UTC {
			t.Errorf("times are in %v and %v, want UTC", got.CreatedAt.Location(), got.UpdatedAt.Location())
		}
	})
	t.Run("an update stores title, body, word count and time, and leaves the rest", func(t *testing.T) {
		s := open(t)
		n, other := Note(1), Note(2)
		create(t, s, n, other)
		count := 7
		n.Title, n.Body, n.WordCount, n.UpdatedAt = "new", "new body", &count, start.Add(time.Hour)
		if err := s.Notes.Update(ctx, n); err != nil {
			t.Fatalf("updating: %v", err)
		}
		got, err := s.Notes.Get(ctx, n.ID)
		same(t, got, err, n)
		got, err = s.Notes.Get(ctx, other.ID)
		same(t, got, err, other)
		n.WordCount = nil
		if err := s.Notes.Update(ctx, n); err != nil {
			t.Fatalf("updating: %v", err)
		}
		got, err = s.Notes.Get(ctx, n.ID)
		same(t, got, err, n)
	})
	t.Run("a deleted note is gone, and the others stay", func(t *testing.T) {
		s := open(t)
		create(t, s, Note(1), Note(2))
		if err := s.Notes.Delete(ctx, ID(1)); err != nil {
			t.Fatalf("deleting: %v", err)
		}
		_, err := s.Notes.Get(ctx, ID(1))
		wantCode(t, err, problem.NoteNotFound)
		got, err := s.Notes.Get(ctx, ID(2))
		same(t, got, err, Note(2))
	})
	t.Run("a note that is not there is note_not_found, whatever one wants of it", func(t *testing.T) {
		s := open(t)
		for _, id := range []note.ID{ID(9), "not-a-uuid", ""} {
			absent := Note(9)
			absent.ID = id
			_, err := s.Notes.Get(ctx, id)
			wantCode(t, err, problem.NoteNotFound)
			_, err = s.Notes.GetForUpdate(ctx, id)
			wantCode(t, err, problem.NoteNotFound)
			wantCode(t, s.Notes.Update(ctx, absent), problem.NoteNotFound)
			wantCode(t, s.Notes.Delete(ctx, id), problem.NoteNotFound)
		}
	})
	t.Run("a second note of the same id is refused, and the first stays", func(t *testing.T) {
		s := open(t)
		create(t, s, Note(1))
		second := Note(1)
		second.Title = "second"
		if err := s.Notes.Create(ctx, second); err == nil {
			t.Error("the second note was stored")
		}
		got, err := s.Notes.Get(ctx, ID(1))
		same(t, got, err, Note(1))
	})
}

func runListing(t *testing.T, open func(*testing.T) Store) {
	ctx := t.Context()
	t.Run("the listing is newest first, ties by id, and its pages meet without a gap or a double", func(t *testing.T) {
		s := open(t)
		var want []note.ID
		for n := range 7 {
			made := Note(n)
			made.CreatedAt = start.Add(time.Duration(n/3) * time.Microsecond) // ties of three
			create(t, s, made)
			want = append(want, made.ID)
		}
		slices.Reverse(want)
		for _, size := range []int{1, 2, 3, 7, 50} {
			var got []note.ID
			var after note.Cursor
			for {
				page, err := s.Notes.List(ctx, after, size)
				if err != nil {
					t.Fatalf("listing: %v", err)
				}
				if len(page) > size {
					t.Fatalf("a page of %d has %d notes", size, len(page))
				}
				if len(page) == 0 {
					break
				}
				for _, n := range page {
					got = append(got, n.ID)
				}
				last := page[len(page)-1]
				after = note.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
			}
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d give %v, want %v", size, got, want)
			}
		}
	})
	t.Run("a cursor holds its place when its note is deleted and newer ones come", func(t *testing.T) {
		s := open(t)
		create(t, s, Note(1), Note(2), Note(3))
		if err := s.Notes.Delete(ctx, ID(2)); err != nil {
			t.Fatalf("deleting: %v", err)
		}
		create(t, s, Note(4))
		page, err := s.Notes.List(ctx, note.Cursor{CreatedAt: Note(2).CreatedAt, ID: ID(2)}, 10)
		if err != nil || len(page) != 1 || page[0].ID != ID(1) {
			t.Errorf("the page after the cursor is %v, %v, want note 1 alone", page, err)
		}
	})
	t.Run("an empty store has an empty page", func(t *testing.T) {
		page, err := open(t).Notes.List(ctx, note.Cursor{}, 10)
		if err != nil || len(page) != 0 {
			t.Errorf("the page is %v, %v", page, err)
		}
	})
}

func runTransactions(t *testing.T, open func(*testing.T) Store) {
	ctx := t.Context()
	failure := errors.New("the function failed")
	t.Run("what a transaction did is there after it, and inside it before", func(t *testing.T) {
		s := open(t)
		err := s.Tx.InTx(ctx, func(ctx context.Context) error {
			if err := s.Notes.Create(ctx, Note(1)); err != nil {
				return err
			}
			got, err := s.Notes.GetForUpdate(ctx, ID(1))
			same(t, got, err, Note(1))
			return nil
		})
		if err != nil {
			t.Fatalf("the transaction: %v", err)
		}
		got, err := s.Notes.Get(ctx, ID(1))
		same(t, got, err, Note(1))
	})
	t.Run("an error undoes everything and comes out as it is", func(t *testing.T) {
		s := open(t)
		err := s.Tx.InTx(ctx, func(ctx context.Context) error {
			if err := s.Notes.Create(ctx, Note(1)); err != nil {
				t.Errorf("creating: %v", err)
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Errorf("the error is %v, want that of the function", err)
		}
		_, err = s.Notes.Get(ctx, ID(1))
		wantCode(t, err, problem.NoteNotFound)
	})
	t.Run("a panic undoes everything and goes on", func(t *testing.T) {
		s := open(t)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = s.Tx.InTx(ctx, func(ctx context.Context) error {
				if err := s.Notes.Create(ctx, Note(1)); err != nil {
					t.Errorf("creating: %v", err)
				}
				panic("out of the transaction")
			})
		}()
		_, err := s.Notes.Get(ctx, ID(1))
		wantCode(t, err, problem.NoteNotFound)
		create(t, s, Note(1)) // nothing is locked
	})
	t.Run("a transaction inside one joins it, and its failure fails the whole", func(t *testing.T) {
		s := open(t)
		err := s.Tx.InTx(ctx, func(ctx context.Context) error {
			if err := s.Notes.Create(ctx, Note(1)); err != nil {
				return err
			}
			return s.Tx.InTx(ctx, func(ctx context.Context) error { return s.Notes.Create(ctx, Note(2)) })
		})
		if err != nil {
			t.Fatalf("the transactions: %v", err)
		}
		err = s.Tx.InTx(ctx, func(ctx context.Context) error {
			if err := s.Notes.Create(ctx, Note(3)); err != nil {
				return err
			}
			_ = s.Tx.InTx(ctx, func(context.Context) error { return failure })
			return nil
		})
		if !errors.Is(err, failure) {
			t.Errorf("the error is %v, want that of the inner function", err)
		}
		page, err := s.Notes.List(ctx, note.Cursor{}, 10)
		if err != nil || len(page) != 2 {
			t.Errorf("there are %d notes (%v), want the two of the first transaction", len(page), err)
		}
	})
}

func runLedger(t *testing.T, open func(*testing.T) Store) {
	ctx := t.Context()
	claim := func(t *testing.T, s Store, key string, want bool) {
		t.Helper()
		first, err := s.Ledger.Claim(ctx, key)
		if err != nil || first != want {
			t.Errorf("claiming %q gives %v, %v, want %v", key, first, err, want)
		}
	}
	t.Run("a key is claimed once", func(t *testing.T) {
		s := open(t)
		claim(t, s, "a", true)
		claim(t, s, "a", false)
		claim(t, s, "b", true)
	})
	t.Run("a claim that was undone can be made again", func(t *testing.T) {
		s := open(t)
		undone := errors.New("undone")
		err := s.Tx.InTx(ctx, func(ctx context.Context) error {
			if first, err := s.Ledger.Claim(ctx, "a"); err != nil || !first {
				t.Errorf("claiming gives %v, %v", first, err)
			}
			return undone
		})
		if !errors.Is(err, undone) {
			t.Fatalf("the transaction: %v", err)
		}
		claim(t, s, "a", true)
	})
	t.Run("of many claims at once one is the first", func(t *testing.T) {
		s := open(t)
		const claims = 8
		firsts := make(chan bool, claims)
		for range claims {
			go func() {
				won := false
				err := s.Tx.InTx(ctx, func(ctx context.Context) (err error) {
					won, err = s.Ledger.Claim(ctx, "a")
					return err
				})
				if err != nil {
					t.Errorf("claiming: %v", err)
				}
				firsts <- won
			}()
		}
		won := 0
		for range claims {
			if <-firsts {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d of %d claims were the first", won, claims)
		}
	})
}

func create(t *testing.T, s Store, notes ...note.Note) {
	t.Helper()
	for _, n := range notes {
		if err := s.Notes.Create(t.Context(), n); err != nil {
			t.Fatalf("creating note %s: %v", n.ID, err)
		}
	}
}

func same(t *testing.T, got note.Note, err error, want note.Note) {
	t.Helper()
	if err != nil {
		t.Errorf("reading note %s: %v", want.ID, err)
		return
	}
	counts := got.WordCount == nil && want.WordCount == nil ||
		got.WordCount != nil && want.WordCount != nil && *got.WordCount == *want.WordCount
	if got.ID != want.ID || got.Title != want.Title || got.Body != want.Body || !counts ||
		!got.CreatedAt.Equal(want.CreatedAt) || !got.UpdatedAt.Equal(want.UpdatedAt) {
		t.Errorf("the note is %+v, want %+v", got, want)
	}
}

func wantCode(t *testing.T, err error, want problem.Code) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != want {
		t.Errorf("the error is %v, want a problem of code %s", err, want)
	}
}
