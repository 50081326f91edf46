package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"example.com/goldenpath/service/internal/domain/note/notetest"
	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/infra/postgres"
	"example.com/goldenpath/service/internal/infra/postgres/postgrestest"
)

var server *postgrestest.Server

func TestMain(m *testing.M) {
	os.Exit(postgrestest.Main(m, func(s *postgrestest.Server) { server = s }))
}

// open returns a DB over a fresh database, or over the one that c.URL names.
func open(t *testing.T, c postgres.Config) *postgres.DB {
	t.Helper()
	if c.URL == "" {
		c.URL = server.URL(server.Database(t))
	}
	db, err := postgres.Open(t.Context(), c, noop.NewTracerProvider())
	if err != nil {
		t.Fatalf("opening the database: %v", err)
	}
	t.Cleanup(db.Close)
	return db
}

// through is the URL of a database of the server behind another address.
func through(t *testing.T, addr, database string) string {
	t.Helper()
	u, err := url.Parse(server.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = addr
	return u.String()
}

func wantCode(t *testing.T, err error, want problem.Code) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != want {
		t.Errorf("the error is %v, want a problem of code %s", err, want)
		return
	}
	if p.Hint == "" || p.Message == "" {
		t.Errorf("%s comes without a message or a hint: %+v", want, p)
	}
}

func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	begun := time.Now()
	f()
	if took := time.Since(begun); took > limit {
		t.Errorf("it took %s, want at most %s", took, limit)
	}
}

func create(t *testing.T, db *postgres.DB, ns ...int) {
	t.Helper()
	for _, n := range ns {
		if err := db.Notes().Create(t.Context(), notetest.Note(n)); err != nil {
			t.Fatalf("creating note %d: %v", n, err)
		}
	}
}

func TestConformance(t *testing.T) {
	notetest.Run(t, func(t *testing.T) notetest.Store {
		db := open(t, postgres.Config{})
		return notetest.Store{Notes: db.Notes(), Ledger: db.Ledger(), Tx: db.Tx()}
	})
}

func TestOpen(t *testing.T) {
	t.Run("a url that cannot be read is an error that hides the password", func(t *testing.T) {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://me:hunter2@127.0.0.1:notaport/db"}, noop.NewTracerProvider())
		if err == nil {
			t.Fatal("there is no error")
		}
		if msg := err.Error(); strings.Contains(msg, "hunter2") {
			t.Errorf("the error shows the password: %s", msg)
		}
	})
	t.Run("a server that is away is none, and the first use says that it is away", func(t *testing.T) {
		db := open(t, postgres.Config{URL: "postgres://postgres@127.0.0.1:1/nothing?sslmode=disable"})
		within(t, time.Second, func() {
			wantCode(t, db.Ping(t.Context()), problem.DatabaseUnavailable)
			_, err := db.Notes().Get(t.Context(), notetest.ID(1))
			wantCode(t, err, problem.DatabaseUnavailable)
			wantCode(t, db.Tx().InTx(t.Context(), func(context.Context) error { return nil }), problem.DatabaseUnavailable)
		})
	})
	t.Run("a database that does not exist is database_unavailable", func(t *testing.T) {
		db := open(t, postgres.Config{URL: server.URL("nothing_of_the_kind")})
		wantCode(t, db.Ping(t.Context()), problem.DatabaseUnavailable)
	})
	t.Run("a database without the schema is database_unavailable", func(t *testing.T) {
		db := open(t, postgres.Config{URL: server.URL("postgres")})
		_, err := db.Notes().Get(t.Context(), notetest.ID(1))
		wantCode(t, err, problem.DatabaseUnavailable)
	})
}

func TestTransactions(t *testing.T) {
	t.Run("a deadlock is tried again until both sides are through", func(t *testing.T) {
		db := open(t, postgres.Config{})
		create(t, db, 1, 2)
		var both sync.WaitGroup
		both.Add(2)
		tries := make(chan int, 2)
		lock := func(first, second int) {
			n := 0
			err := db.Tx().InTx(t.Context(), func(ctx context.Context) error {
				n++
				if _, err := db.Notes().GetForUpdate(ctx, notetest.ID(first)); err != nil {
					return err
				}
				if n == 1 { // both hold one and want the other
					both.Done()
					both.Wait()
				}
				_, err := db.Notes().GetForUpdate(ctx, notetest.ID(second))
				return err
			})
			if err != nil {
				t.Errorf("the transaction: %v", err)
			}
			tries <- n
		}
		go lock(1, 2)
		go lock(2, 1)
		if n := <-tries + <-tries; n < 3 {
			t.Errorf("the two took %d tries: there was no deadlock", n)
		}
	})
	t.Run("a conflict that does not end is database_unavailable after a few tries", func(t *testing.T) {
		name := server.Database(t)
		server.Exec(t, name, `CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RAISE SQLSTATE '40001' USING MESSAGE = 'made up'; END $$;
			CREATE TRIGGER conflict BEFORE INSERT ON notes EXECUTE FUNCTION conflict()`)
		db := open(t, postgres.Config{URL: server.URL(name)})
		tries := 0
		err := db.Tx().InTx(t.Context(), func(ctx context.Context) error {
			tries++
			return db.Notes().Create(ctx, notetest.Note(1))
		})
		wantCode(t, err, problem.DatabaseUnavailable)
		if tries != 4 {
			t.Errorf("the function ran %d times, want 4", tries)
		}
	})
	t.Run("a function that swallows an error of the database does not commit", func(t *testing.T) {
		db := open(t, postgres.Config{})
		create(t, db, 1)
		err := db.Tx().InTx(t.Context(), func(ctx context.Context) error {
			_ = db.Notes().Create(ctx, notetest.Note(1)) // a duplicate
			return nil
		})
		if err == nil {
			t.Error("the transaction committed")
		}
	})
}

func TestSweep(t *testing.T) {
	t.Run("what was handled before the time is forgotten, however much, and the rest is kept", func(t *testing.T) {
		name := server.Database(t)
		server.Exec(t, name, `INSERT INTO handled SELECT 'old-' || n, '2026-01-01' FROM generate_series(1, 2500) n;
			INSERT INTO handled VALUES ('young', '2026-03-01')`)
		db := open(t, postgres.Config{URL: server.URL(name)})
		n, err := db.Sweep(t.Context(), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
		if err != nil || n != 2500 {
			t.Errorf("%d keys were swept (%v), want 2500", n, err)
		}
		if first, err := db.Ledger().Claim(t.Context(), "young"); err != nil || first {
			t.Errorf("claiming the young key gives %v, %v", first, err)
		}
	})
	t.Run("sweeps side by side share the work, and none waits for another", func(t *testing.T) {
		name := server.Database(t)
		// Of the same moment, so that only the locks keep the sweeps apart.
		server.Exec(t, name, "INSERT INTO handled SELECT 'old-' || n, '2026-01-01' FROM generate_series(1, 20000) n")
		db := open(t, postgres.Config{URL: server.URL(name)})
		var all sync.WaitGroup
		var swept atomic.Int64
		for range 4 {
			all.Go(func() {
				n, err := db.Sweep(t.Context(), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
				if swept.Add(n); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if swept.Load() != 20000 || !server.Holds(t, name, "SELECT count(*) = 0 FROM handled") {
			t.Errorf("%d keys were swept, want 20000", swept.Load())
		}
	})
}
