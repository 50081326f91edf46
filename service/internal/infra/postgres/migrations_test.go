package postgres_test

import (
	"errors"
	"testing"

	"github.com/golang-migrate/migrate/v4"

	"example.com/goldenpath/service/internal/domain/note/notetest"
	"example.com/goldenpath/service/internal/infra/postgres"
)

func TestMigrations(t *testing.T) {
	// Everything of the service's in a database, golang-migrate's own table aside.
	const clean = `SELECT count(*) = 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relname NOT LIKE 'schema_migrations%'`
	t.Run("each step down undoes its step up, and leaves nothing at the end", func(t *testing.T) {
		name := server.Database(t)
		m, err := server.Migrations(name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(m.Close()); err != nil {
				t.Error(err)
			}
		}()
		steps := 0
		for {
			err := m.Steps(-1)
			if errors.Is(err, migrate.ErrNoChange) || err != nil && steps > 0 && server.Holds(t, name, clean) {
				break
			}
			if err != nil {
				t.Fatalf("step %d down: %v", steps+1, err)
			}
			steps++
			for _, n := range []int{1, -1} {
				if err := m.Steps(n); err != nil {
					t.Fatalf("step %d again, by %d: %v", steps, n, err)
				}
			}
		}
		if !server.Holds(t, name, clean) {
			t.Error("after all steps down something is left")
		}
		if err := m.Up(); err != nil {
			t.Fatalf("all steps up again: %v", err)
		}
		create(t, open(t, postgres.Config{URL: server.URL(name)}), 1)
	})
	t.Run("the schema refuses what the domain refuses", func(t *testing.T) {
		db := open(t, postgres.Config{})
		bad := notetest.Note(1)
		bad.Title = ""
		if err := db.Notes().Create(t.Context(), bad); err == nil {
			t.Error("a note without a title was stored")
		}
	})
}
