package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/devtool/internal/console"
)

// filled builds a template with a table of n rows.
func filled(n int) func(context.Context, string) error {
	return func(ctx context.Context, url string) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, fmt.Sprintf("create table kept as select generate_series(1, %d) as n", n))
		return err
	}
}

// fixture is a template with a live database beside it.
type fixture struct {
	*Template
	name, url string
}

func newFixture(t testing.TB) fixture {
	t.Helper()
	name := shared.name()
	f := fixture{Template: NewTemplate(shared.AdminURL(), name), name: name, url: shared.URL(name)}
	if _, err := f.Ensure(t.Context(), "key 1", filled(3)); err != nil {
		t.Fatal(err)
	}
	if err := f.CreateLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fixture) count(t testing.TB) string {
	t.Helper()
	return text(t, connect(t, f.url), "select count(*)::text from kept")
}

// sql runs statements as the superuser, outside the fixture's databases; NAME
// stands for the live one.
func (f fixture) sql(t testing.TB, statements ...string) {
	t.Helper()
	conn := connect(t, shared.AdminURL())
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), strings.ReplaceAll(s, "NAME", f.name)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func (f fixture) spoil(t testing.TB) {
	t.Helper()
	if _, err := connect(t, f.url).Exec(t.Context(), "delete from kept"); err != nil {
		t.Fatal(err)
	}
}

func TestEnsure(t *testing.T) {
	ctx := t.Context()

	t.Run("it builds once for a key, and anew for another", func(t *testing.T) {
		f := newFixture(t)
		if built, err := f.Ensure(ctx, "key 1", filled(9)); err != nil || built {
			t.Errorf("the same key: built %v, %v", built, err)
		}
		if built, err := f.Ensure(ctx, "it's 100% %s key 2", filled(5)); err != nil || !built {
			t.Errorf("another key: built %v, %v", built, err)
		}
		if built, err := NewTemplate(shared.AdminURL(), f.name).Ensure(ctx, "it's 100% %s key 2", filled(9)); err != nil || built {
			t.Errorf("the same key in another process: built %v, %v", built, err)
		}
		if got := f.count(t); got != "3" {
			t.Errorf("the live database changed to %s rows", got)
		}
		if err := f.Restore(ctx); err != nil || f.count(t) != "5" {
			t.Errorf("restored %s rows, %v", f.count(t), err)
		}
	})

	t.Run("nobody may connect to the template", func(t *testing.T) {
		f := newFixture(t)
		if conn, err := pgx.Connect(ctx, shared.URL(f.name+"_template")); err == nil {
			conn.Close(ctx)
			t.Error("somebody could")
		}
	})

	t.Run("a build that fails keeps the old template and leaves nothing", func(t *testing.T) {
		f := newFixture(t)
		broken := errors.New("a broken migration")
		if _, err := f.Ensure(ctx, "key 2", func(context.Context, string) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		conn := connect(t, shared.AdminURL())
		if got := text(t, conn, "select string_agg(datname, ' ' order by datname) from pg_database where datname like $1", f.name+"\\_%"); got != f.name+"_old "+f.name+"_template" && got != f.name+"_template" {
			t.Errorf("databases %s", got)
		}
		f.spoil(t)
		if err := f.Restore(ctx); err != nil || f.count(t) != "3" {
			t.Errorf("restored %s rows, %v", f.count(t), err)
		}
	})

	t.Run("a build that is given up leaves nothing", func(t *testing.T) {
		f := newFixture(t)
		limited, cancel := context.WithCancel(ctx)
		_, err := f.Ensure(limited, "key 2", func(ctx context.Context, _ string) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if got := text(t, connect(t, shared.AdminURL()), "select count(*)::text from pg_database where datname = $1", f.name+"_building"); got != "0" {
			t.Error("what was being built is still there")
		}
	})

	t.Run("a connection that the build forgot does not hold it up", func(t *testing.T) {
		name := shared.name()
		tmpl := NewTemplate(shared.AdminURL(), name)
		_, err := tmpl.Ensure(ctx, "key", func(ctx context.Context, url string) error {
			connect(t, url)
			return filled(2)(ctx, url)
		})
		if err != nil {
			t.Error(err)
		}
	})

	t.Run("names and keys that PostgreSQL cannot hold are errors", func(t *testing.T) {
		for _, name := range []string{"", strings.Repeat("x", 60), "nul\x00"} {
			if _, err := NewTemplate(shared.AdminURL(), name).Ensure(ctx, "key", filled(1)); err == nil {
				t.Errorf("no error for %q", name)
			}
		}
		if _, err := NewTemplate(shared.AdminURL(), shared.name()).Ensure(ctx, "nul\x00", filled(1)); err == nil {
			t.Error("no error for a key with NUL")
		}
	})

	t.Run("a name that needs quotes works", func(t *testing.T) {
		name := `od"d; NaMe ` + shared.name()
		tmpl := NewTemplate(shared.AdminURL(), name)
		if _, err := tmpl.Ensure(ctx, "key", filled(4)); err != nil {
			t.Fatal(err)
		}
		if err := tmpl.Restore(ctx); err != nil {
			t.Fatal(err)
		}
		if got := text(t, connect(t, shared.URL(name)), "select count(*)::text from kept"); got != "4" {
			t.Errorf("%s rows", got)
		}
	})
}

func TestRestore(t *testing.T) {
	ctx := t.Context()

	t.Run("the live database is as new, time after time, with a spare and without", func(t *testing.T) {
		f := newFixture(t)
		for round := range 4 {
			f.spoil(t)
			if round%2 == 0 {
				if err := f.Prepare(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Restore(ctx); err != nil {
				t.Fatal(err)
			}
			if got := f.count(t); got != "3" {
				t.Errorf("round %d: %s rows", round, got)
			}
		}
	})

	t.Run("without a template it says so and leaves the live database alone", func(t *testing.T) {
		f := newFixture(t)
		f.sql(t, "drop database NAME_template")
		err := f.Restore(ctx)
		var failure *console.Failure
		if !errors.Is(err, ErrNoTemplate) || !errors.As(err, &failure) || failure.NextStep() == "" {
			t.Errorf("error %v", err)
		}
		if got := f.count(t); got != "3" {
			t.Errorf("%s rows", got)
		}
	})

	t.Run("sessions that are busy or come back at once do not hold it up", func(t *testing.T) {
		f := newFixture(t)
		if err := f.Prepare(ctx); err != nil {
			t.Fatal(err)
		}
		locked := connect(t, f.url)
		if _, err := locked.Exec(ctx, "begin; lock table kept"); err != nil {
			t.Fatal(err)
		}
		storm, quiet := context.WithCancel(ctx)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for storm.Err() == nil {
					if conn, err := pgx.Connect(storm, f.url); err == nil {
						_, _ = conn.Exec(storm, "select pg_sleep(10)") // it is ended
						conn.Close(context.Background())
					}
				}
			})
		}
		began := time.Now()
		err := f.Restore(ctx)
		took := time.Since(began)
		quiet()
		all.Wait()
		if err != nil || took > 5*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		if got := f.count(t); got != "3" {
			t.Errorf("%s rows", got)
		}
	})

	t.Run("two at once both end well", func(t *testing.T) {
		f := newFixture(t)
		var all sync.WaitGroup
		for i := range 4 {
			tmpl := f.Template
			if i%2 == 1 {
				tmpl = NewTemplate(shared.AdminURL(), f.name) // another process
			}
			all.Go(func() {
				if err := tmpl.Restore(ctx); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				if err := tmpl.Prepare(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := f.count(t); got != "3" {
			t.Errorf("%s rows", got)
		}
	})

	t.Run("one that is given up leaves a live database that takes connections", func(t *testing.T) {
		f := newFixture(t)
		for after := time.Duration(0); after < 60*time.Millisecond; after += 3 * time.Millisecond {
			limited, cancel := context.WithTimeout(ctx, after)
			_ = f.Restore(limited) // whether it made it in time is open
			cancel()
			if got := f.count(t); got != "3" {
				t.Errorf("given up after %s: %s rows", after, got)
			}
		}
	})

	// What a kill leaves, at each step of Ensure, Restore and Prepare. The
	// server ends the statement under way, so there is nothing in between. One
	// fixture serves all: each case ends with everything as it should be.
	f := newFixture(t)
	for name, left := range map[string][]string{
		"before anything":                {"drop database NAME_spare"},
		"while copying":                  {"drop database NAME_spare", "create database NAME_spare"},
		"before the copy got its key":    {"comment on database NAME_spare is null"},
		"with a copy of an old template": {"comment on database NAME_spare is 'key 0'"},
		"with a copy that was opened":    {"alter database NAME_spare allow_connections true"},
		"when the live one was closed":   {"alter database NAME allow_connections false"},
		"when the live one was gone":     {"drop database NAME"},
		"before the old one was dropped": {"create database NAME_old"},
		"in the middle of a build":       {"create database NAME_building"},
		"with all but the template gone": {"drop database NAME", "drop database NAME_spare"},
		"with everything in the way":     {"create database NAME_old", "create database NAME_building", "alter database NAME allow_connections false"},
	} {
		damage := func(t *testing.T) *Template {
			t.Helper()
			if err := f.Prepare(ctx); err != nil {
				t.Fatal(err)
			}
			f.sql(t, left...)
			return NewTemplate(shared.AdminURL(), f.name)
		}
		t.Run("killed "+name+", the next up goes on", func(t *testing.T) {
			next := damage(t)
			if _, err := next.Ensure(ctx, "key 1", filled(3)); err != nil {
				t.Fatal(err)
			}
			if err := next.CreateLive(ctx); err != nil {
				t.Fatal(err)
			}
			if ok, err := next.Exists(ctx); err != nil || !ok {
				t.Errorf("exists: %v, %v", ok, err)
			}
			if got := f.count(t); got != "3" {
				t.Errorf("%s rows", got)
			}
		})
		t.Run("killed "+name+", the next reset goes on", func(t *testing.T) {
			next := damage(t)
			if err := next.Restore(ctx); err != nil {
				t.Fatal(err)
			}
			if got := f.count(t); got != "3" {
				t.Errorf("%s rows", got)
			}
		})
	}

	t.Run("a killed build is no template", func(t *testing.T) {
		name := shared.name()
		f := fixture{name: name}
		f.sql(t, "create database NAME_building")
		tmpl := NewTemplate(shared.AdminURL(), name)
		if built, err := tmpl.Ensure(ctx, "key", filled(1)); err != nil || !built {
			t.Errorf("built %v, %v", built, err)
		}
	})

	t.Run("a server that is away is an error", func(t *testing.T) {
		if err := NewTemplate("postgres://u:p@127.0.0.1:1/postgres?sslmode=disable", "x").Restore(ctx); err == nil {
			t.Error("no error")
		}
	})
}
