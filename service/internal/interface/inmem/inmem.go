// Package inmem implements the ports of the notes in memory, for the tests of
// the adapters in. Nothing else may import it; the service's layer test sees to
// that.
package inmem

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
)

// Store is all ports at once: a database with one lock. Safe for concurrent
// use.
type Store struct {
	// Fail, when set, is asked before each operation ("notes.get",
	// "tx.begin" …) and its error is returned. It may block or panic.
	Fail func(ctx context.Context, operation string) error

	mu      sync.Mutex
	notes   map[note.ID]note.Note
	events  []note.Event
	handled map[string]bool
}

// New returns an empty store.
func New() *Store {
	return &Store{notes: map[note.ID]note.Note{}, handled: map[string]bool{}}
}

// Events are the events that were committed, oldest first.
func (s *Store) Events() []note.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// transaction is one that is open. The failure of a function that joined it
// fails the whole, whatever the outer function makes of the error.
type transaction struct{ failed error }

type txKey struct{}

func txOf(ctx context.Context) *transaction {
	tx, _ := ctx.Value(txKey{}).(*transaction)
	return tx
}

// enter locks the store, unless a transaction holds the lock already.
func (s *Store) enter(ctx context.Context, operation string) (leave func(), err error) {
	if s.Fail != nil {
		if err := s.Fail(ctx, operation); err != nil {
			return nil, err
		}
	}
	if txOf(ctx) != nil {
		return func() {}, nil
	}
	s.mu.Lock()
	return s.mu.Unlock, nil
}

// InTx implements note.Transactor.
func (s *Store) InTx(ctx context.Context, f func(context.Context) error) error {
	if outer := txOf(ctx); outer != nil {
		err := f(ctx)
		if err != nil && outer.failed == nil {
			outer.failed = err
		}
		return err
	}
	leave, err := s.enter(ctx, "tx.begin")
	if err != nil {
		return err
	}
	defer leave()
	notes, events, handled := maps.Clone(s.notes), slices.Clone(s.events), maps.Clone(s.handled)
	committed := false
	defer func() {
		if !committed {
			s.notes, s.events, s.handled = notes, events, handled
		}
	}()
	tx := &transaction{}
	if err := f(context.WithValue(ctx, txKey{}, tx)); err != nil {
		return err
	}
	if tx.failed != nil {
		return tx.failed
	}
	committed = true
	return nil
}

// Append implements note.Outbox.
func (s *Store) Append(ctx context.Context, e note.Event) error {
	leave, err := s.enter(ctx, "outbox.append")
	if err != nil {
		return err
	}
	defer leave()
	s.events = append(s.events, e)
	return nil
}

// Claim implements note.Ledger.
func (s *Store) Claim(ctx context.Context, key string) (bool, error) {
	leave, err := s.enter(ctx, "ledger.claim")
	if err != nil {
		return false, err
	}
	defer leave()
	first := !s.handled[key]
	s.handled[key] = true
	return first, nil
}

// Notes is the store as a note.Repository.
func (s *Store) Notes() note.Repository { return repository{s} }

type repository struct{ *Store }

func (r repository) Create(ctx context.Context, n note.Note) error {
	leave, err := r.enter(ctx, "notes.create")
	if err != nil {
		return err
	}
	defer leave()
	if _, there := r.notes[n.ID]; there {
		return fmt.Errorf("creating note %s: there is one", n.ID)
	}
	r.notes[n.ID] = n
	return nil
}

func (r repository) Get(ctx context.Context, id note.ID) (note.Note, error) {
	leave, err := r.enter(ctx, "notes.get")
	if err != nil {
		return note.Note{}, err
	}
	defer leave()
	n, ok := r.notes[id]
	if !ok {
		return note.Note{}, missing(id)
	}
	return n, nil
}

func (r repository) GetForUpdate(ctx context.Context, id note.ID) (note.Note, error) {
	return r.Get(ctx, id)
}

func (r repository) List(ctx context.Context, after note.Cursor, limit int) ([]note.Note, error) {
	leave, err := r.enter(ctx, "notes.list")
	if err != nil {
		return nil, err
	}
	defer leave()
	newest := func(a, b note.Note) int {
		return -cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(string(a.ID), string(b.ID)))
	}
	page := slices.SortedFunc(maps.Values(r.notes), newest)
	if !after.IsZero() {
		last := note.Note{ID: after.ID, CreatedAt: after.CreatedAt}
		page = slices.DeleteFunc(page, func(n note.Note) bool { return newest(n, last) <= 0 })
	}
	return page[:min(limit, len(page))], nil
}

func (r repository) Update(ctx context.Context, n note.Note) error {
	leave, err := r.enter(ctx, "notes.update")
	if err != nil {
		return err
	}
	defer leave()
	if _, ok := r.notes[n.ID]; !ok {
		return missing(n.ID)
	}
	r.notes[n.ID] = n
	return nil
}

func (r repository) Delete(ctx context.Context, id note.ID) error {
	leave, err := r.enter(ctx, "notes.delete")
	if err != nil {
		return err
	}
	defer leave()
	if _, ok := r.notes[id]; !ok {
		return missing(id)
	}
	delete(r.notes, id)
	return nil
}

func missing(id note.ID) error {
	return problem.New(problem.NoteNotFound, "there is no note "+string(id), "list the notes to see which there are")
}

// Cache is a note.Cache that forgets everything.
type Cache struct{}

// Get implements note.Cache.
func (Cache) Get(context.Context, note.ID) (note.Note, bool) { return note.Note{}, false }

// Put implements note.Cache.
func (Cache) Put(context.Context, note.Note) {}

// Forget implements note.Cache.
func (Cache) Forget(context.Context, note.ID) {}
