package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/note/notetest"
	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/infra/gatetest"
	"example.com/goldenpath/service/internal/infra/postgres"
)

// patience is for a machine that is busy with other tests.
const patience = 20 * time.Second

// behind returns a DB whose connections go through a gate.
func behind(t *testing.T, c postgres.Config) (*postgres.DB, *gatetest.Gate, string) {
	t.Helper()
	name := server.Database(t)
	gate := gatetest.New(t, server.Addr())
	c.URL = through(t, gate.Addr(), name)
	return open(t, c), gate, name
}

// warm opens n connections and leaves them idle in the pool.
func warm(t *testing.T, db *postgres.DB, n int) {
	t.Helper()
	var together, done sync.WaitGroup
	together.Add(n)
	for range n {
		done.Go(func() {
			err := db.Tx().InTx(t.Context(), func(context.Context) error {
				together.Done()
				together.Wait()
				return nil
			})
			if err != nil {
				t.Errorf("warming the pool: %v", err)
			}
		})
	}
	done.Wait()
}

func TestPooledConnections(t *testing.T) {
	const pool = 5
	use := func(t *testing.T, db *postgres.DB, n int) {
		t.Helper()
		err := db.Tx().InTx(t.Context(), func(ctx context.Context) error { return db.Notes().Create(ctx, notetest.Note(n)) })
		if err != nil {
			t.Errorf("a transaction: %v", err)
		}
		if err := db.Notes().Update(t.Context(), notetest.Note(n)); err != nil {
			t.Errorf("a single write: %v", err)
		}
		if _, err := db.Notes().Get(t.Context(), notetest.ID(n)); err != nil {
			t.Errorf("a read: %v", err)
		}
	}
	t.Run("that a reset broke are never seen by a caller", func(t *testing.T) {
		db, gate, _ := behind(t, postgres.Config{MaxConns: pool})
		for n := range 10 {
			warm(t, db, pool)
			gate.Cut()
			use(t, db, n)
		}
	})
	t.Run("to a database that was dropped and made anew are never seen by a caller", func(t *testing.T) {
		for _, direct := range []bool{true, false} {
			db, _, name := behind(t, postgres.Config{MaxConns: pool})
			if direct {
				db = open(t, postgres.Config{MaxConns: pool, URL: server.URL(name)})
			}
			for range 3 {
				warm(t, db, pool)
				server.Recreate(t, name)
				use(t, db, 1)
			}
		}
	})
	t.Run("that die as soon as they are made are database_unavailable", func(t *testing.T) {
		db, gate, _ := behind(t, postgres.Config{MaxConns: pool})
		stop := make(chan struct{})
		var cutting sync.WaitGroup
		cutting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					gate.Cut()
				}
			}
		})
		for range 20 {
			within(t, patience, func() {
				if err := db.Ping(t.Context()); err != nil {
					wantCode(t, err, problem.DatabaseUnavailable)
				}
			})
		}
		close(stop)
		cutting.Wait()
	})
	t.Run("of a pool that is closed are database_unavailable", func(t *testing.T) {
		db := open(t, postgres.Config{})
		db.Close()
		wantCode(t, db.Ping(t.Context()), problem.DatabaseUnavailable)
	})
	t.Run("that the server ended are never seen by a caller", func(t *testing.T) {
		db, _, name := behind(t, postgres.Config{MaxConns: pool})
		for n := range 3 {
			warm(t, db, pool)
			server.Exec(t, name, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
			use(t, db, n)
		}
	})
}

func TestLostAcknowledgements(t *testing.T) {
	t.Run("a write whose connection breaks is not sent again", func(t *testing.T) {
		db, gate, name := behind(t, postgres.Config{MaxConns: 1})
		warm(t, db, 1)
		gate.LoseReplies()
		done := make(chan error, 1)
		go func() { done <- db.Notes().Create(t.Context(), notetest.Note(1)) }()
		direct := open(t, postgres.Config{URL: server.URL(name)})
		// pgx prepares the statement first; that reply is lost as well, so the
		// write itself was never sent, and must not be.
		activeOnce(t, name)
		gate.Cut()
		wantCode(t, <-done, problem.DatabaseUnavailable)
		if page, err := direct.Notes().List(t.Context(), note.Cursor{}, 10); err != nil || len(page) != 0 {
			t.Errorf("there are %d notes (%v), want none", len(page), err)
		}
	})
	t.Run("a commit whose confirmation is lost is reported as open, and not sent again", func(t *testing.T) {
		db, gate, name := behind(t, postgres.Config{MaxConns: 1})
		runs := 0
		done := make(chan error, 1)
		sent := make(chan struct{})
		go func() {
			done <- db.Tx().InTx(t.Context(), func(ctx context.Context) error {
				runs++
				if err := db.Notes().Create(ctx, notetest.Note(1)); err != nil {
					return err
				}
				gate.LoseReplies()
				close(sent)
				return nil
			})
		}()
		<-sent
		direct := open(t, postgres.Config{URL: server.URL(name)})
		eventually(t, "the commit to reach the server", func() bool {
			_, err := direct.Notes().Get(t.Context(), notetest.ID(1))
			return err == nil
		})
		gate.Cut()
		err := <-done
		wantCode(t, err, problem.DatabaseUnavailable)
		if p := problem.From(err); p.Hint != "the change may or may not have been stored: read before you send it again" {
			t.Errorf("the hint is %q", p.Hint)
		}
		if runs != 1 {
			t.Errorf("the function ran %d times", runs)
		}
	})
}

func TestSilence(t *testing.T) {
	const limit = 300 * time.Millisecond
	t.Run("a database that falls silent is database_timeout within the limit, and works again after it", func(t *testing.T) {
		db, gate, _ := behind(t, postgres.Config{MaxConns: 3, Timeout: limit, ConnectTimeout: limit})
		create(t, db, 1)
		gate.Silence()
		for range 4 { // first on open connections, then on new ones
			within(t, limit+time.Second, func() {
				_, err := db.Notes().Get(t.Context(), notetest.ID(1))
				wantCode(t, err, problem.DatabaseTimeout)
			})
			within(t, limit+time.Second, func() {
				err := db.Tx().InTx(t.Context(), func(ctx context.Context) error { return db.Notes().Create(ctx, notetest.Note(2)) })
				wantCode(t, err, problem.DatabaseTimeout)
			})
		}
		gate.Open(t)
		eventually(t, "the database to answer", func() bool { return db.Ping(t.Context()) == nil })
	})
	t.Run("a database that falls silent within a transaction costs one limit", func(t *testing.T) {
		db, gate, _ := behind(t, postgres.Config{Timeout: limit})
		within(t, 2*limit+time.Second, func() {
			err := db.Tx().InTx(t.Context(), func(ctx context.Context) error {
				gate.Silence()
				return db.Notes().Create(ctx, notetest.Note(1))
			})
			wantCode(t, err, problem.DatabaseTimeout)
		})
	})
	t.Run("a pool without a free connection is database_timeout", func(t *testing.T) {
		db := open(t, postgres.Config{MaxConns: 1, Timeout: limit})
		err := db.Tx().InTx(t.Context(), func(context.Context) error {
			return db.Ping(t.Context()) // outside of the transaction
		})
		wantCode(t, err, problem.DatabaseTimeout)
	})
	t.Run("a lock that another holds is database_timeout", func(t *testing.T) {
		db := open(t, postgres.Config{Timeout: limit})
		create(t, db, 1)
		err := db.Tx().InTx(t.Context(), func(ctx context.Context) error {
			if _, err := db.Notes().GetForUpdate(ctx, notetest.ID(1)); err != nil {
				return err
			}
			return db.Notes().Delete(t.Context(), notetest.ID(1)) // outside of the transaction
		})
		wantCode(t, err, problem.DatabaseTimeout)
	})
	t.Run("a caller that leaves or runs out of time is not the database's fault", func(t *testing.T) {
		db, gate, _ := behind(t, postgres.Config{})
		create(t, db, 1)
		gate.Silence()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := db.Notes().Get(ctx, notetest.ID(1))
		wantCode(t, err, problem.RequestTimeout)
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, err = db.Notes().Get(gone, notetest.ID(1))
		wantCode(t, err, problem.RequestCancelled)
		wantCode(t, db.Tx().InTx(gone, func(context.Context) error { return nil }), problem.RequestCancelled)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the cause is lost: %v", err)
		}
	})
	t.Run("a caller that leaves before the commit commits nothing", func(t *testing.T) {
		db := open(t, postgres.Config{})
		ctx, leave := context.WithCancel(t.Context())
		err := db.Tx().InTx(ctx, func(ctx context.Context) error {
			defer leave()
			return db.Notes().Create(ctx, notetest.Note(1))
		})
		wantCode(t, err, problem.RequestCancelled)
		_, err = db.Notes().Get(t.Context(), notetest.ID(1))
		wantCode(t, err, problem.NoteNotFound)
	})
}

func TestKilledServer(t *testing.T) {
	t.Run("a server killed under load is database_unavailable at once, and serves again after its restart", func(t *testing.T) {
		db := open(t, postgres.Config{MaxConns: 5})
		create(t, db, 1)
		ctx, stop := context.WithCancel(t.Context())
		var load sync.WaitGroup
		var mu sync.Mutex
		codes := map[problem.Code]int{}
		for worker := range 5 {
			load.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					begun := time.Now()
					_, err := db.Notes().Get(t.Context(), notetest.ID(1))
					if err == nil {
						err = db.Tx().InTx(t.Context(), func(ctx context.Context) error {
							return db.Notes().Update(ctx, notetest.Note(1))
						})
					}
					if took := time.Since(begun); took > 3*time.Second {
						t.Errorf("worker %d waited %s", worker, took)
					}
					if err != nil {
						mu.Lock()
						codes[problem.From(err).Code]++
						mu.Unlock()
					}
				}
			})
		}
		restarted := false
		defer func() {
			stop()
			load.Wait()
			if !restarted {
				if err := server.Restart(); err != nil {
					t.Fatal(err)
				}
			}
		}()
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		within(t, time.Second, func() { wantCode(t, db.Ping(t.Context()), problem.DatabaseUnavailable) })
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		restarted = true
		eventually(t, "the database to answer", func() bool { return db.Ping(t.Context()) == nil })
		if _, err := db.Notes().Get(t.Context(), notetest.ID(1)); err != nil {
			t.Errorf("after the restart: %v", err)
		}
		stop()
		load.Wait()
		mu.Lock()
		defer mu.Unlock()
		if codes[problem.DatabaseUnavailable] == 0 || len(codes) != 1 {
			t.Errorf("the errors were %v, want database_unavailable and no other", codes)
		}
	})
}

// activeOnce waits until the gated connection has a statement at the server.
func activeOnce(t *testing.T, name string) {
	t.Helper()
	eventually(t, "the statement to reach the server", func() bool {
		return server.Holds(t, name, `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE '-- name: CreateNote%'`)
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited %s for %s", patience, what)
		case <-tick.C:
		}
	}
}
