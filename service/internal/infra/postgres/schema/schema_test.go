package schema_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/service/db/migrations"
	"example.com/goldenpath/service/internal/infra/postgres/postgrestest"
	"example.com/goldenpath/service/internal/infra/postgres/schema"
)

const patience = 20 * time.Second

var server *postgrestest.Server

func TestMain(m *testing.M) {
	os.Exit(postgrestest.Main(m, func(s *postgrestest.Server) { server = s }))
}

// empty makes a database without the service's schema.
func empty(t *testing.T) string {
	t.Helper()
	name := server.Database(t)
	server.Exec(t, name, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	return name
}

// files are migrations with these texts, from version 1 on.
func files(texts ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i, text := range texts {
		m[fmt.Sprintf("%06d_step.up.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
		m[fmt.Sprintf("%06d_step.down.sql", i+1)] = &fstest.MapFile{Data: []byte("this is never run")}
	}
	return m
}

// up migrates the database and returns what was said, and the hint of a failure.
func up(ctx context.Context, name string, from fstest.MapFS) (said, hint string, err error) {
	var out bytes.Buffer
	err = schema.Up(ctx, schema.Config{URL: server.URL(name), ConnectTimeout: 2 * time.Second, Files: from}, &out)
	var failure *schema.Failure
	if errors.As(err, &failure) {
		hint = failure.Hint
	} else if err != nil {
		err = fmt.Errorf("this is no failure with a hint: %w", err)
	}
	return out.String(), hint, err
}

// at says whether the database is at a version, which it has completed.
func at(t *testing.T, name string, version int) bool {
	t.Helper()
	return server.Holds(t, name, fmt.Sprintf("SELECT coalesce((SELECT version = %d AND NOT dirty FROM schema_migrations), %d = 0)", version, version))
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited %s for %s", patience, what)
		case <-tick.C:
		}
	}
}

// hold keeps a table locked until the returned function is called.
func hold(t *testing.T, name, table string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+table); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = conn.Close(context.Background()) })
	t.Cleanup(release)
	return release
}

func TestUp(t *testing.T) {
	t.Run("the service's own migrations are applied and named, and again there is nothing to do", func(t *testing.T) {
		name := empty(t)
		said := &bytes.Buffer{}
		c := schema.Config{URL: server.URL(name), ConnectTimeout: time.Second, Files: migrations.Files}
		if err := schema.Up(t.Context(), c, said); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), "applied 000001_create_notes.up.sql in ") || !strings.Contains(said.String(), "\nthe schema is at version 3\n") ||
			!server.Holds(t, name, "SELECT count(*) = 0 FROM notes") {
			t.Errorf("said %q", said)
		}
		said.Reset()
		if err := schema.Up(t.Context(), c, said); err != nil || said.String() != "the schema is at version 3: nothing to do\n" {
			t.Errorf("again: %v, said %q", err, said)
		}
	})
	t.Run("only what is missing is applied", func(t *testing.T) {
		name := empty(t)
		if _, _, err := up(t.Context(), name, files("CREATE TABLE a ()")); err != nil {
			t.Fatal(err)
		}
		said, _, err := up(t.Context(), name, files("CREATE TABLE a ()", "CREATE TABLE b ()"))
		if err != nil || strings.Contains(said, "000001") || !strings.Contains(said, "applied 000002_step.up.sql") || !at(t, name, 2) {
			t.Errorf("%v, said %q", err, said)
		}
	})
	t.Run("many at once apply each migration once, an index built concurrently among them", func(t *testing.T) {
		name := empty(t)
		from := files("CREATE TABLE a (n int); INSERT INTO a VALUES (1); SELECT pg_sleep(0.5)",
			"CREATE INDEX CONCURRENTLY a_n ON a (n)", "INSERT INTO a VALUES (2)")
		var all sync.WaitGroup
		waited := make([]string, 4)
		for i := range waited {
			all.Go(func() {
				said, _, err := up(t.Context(), name, from)
				if err != nil {
					t.Error(err)
				}
				waited[i] = said
			})
		}
		all.Wait()
		said := strings.Join(waited, "")
		if strings.Count(said, "applied ") != 3 || strings.Count(said, "nothing to do") != 3 || strings.Count(said, "waiting for another migration to end\n") != 3 {
			t.Errorf("said %q", said)
		}
		if !server.Holds(t, name, "SELECT count(*) = 2 FROM a") || !server.Holds(t, name, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_n'::regclass") {
			t.Error("the database is not as the migrations leave it")
		}
	})
}

func TestFailures(t *testing.T) {
	t.Run("a migration that fails names its line and leaves nothing, and can be mended", func(t *testing.T) {
		name := empty(t)
		said, hint, err := up(t.Context(), name, files("CREATE TABLE a ()", "CREATE TABLE b ();\nCREATE TABEL c ()"))
		if err == nil || !strings.Contains(err.Error(), "000002_step.up.sql:2: ") || !strings.Contains(err.Error(), `syntax error at or near "TABEL"`) ||
			!strings.Contains(hint, "nothing of this migration is in effect") || !strings.Contains(said, "applied 000001") {
			t.Errorf("%v, hint %q, said %q", err, hint, said)
		}
		if !at(t, name, 1) || !server.Holds(t, name, "SELECT to_regclass('b') IS NULL") {
			t.Error("something of it is left")
		}
		if _, _, err := up(t.Context(), name, files("CREATE TABLE a ()", "CREATE TABLE b ();\nCREATE TABLE c ()")); err != nil || !at(t, name, 2) {
			t.Errorf("mended: %v", err)
		}
	})
	t.Run("the first migration can fail and be mended too", func(t *testing.T) {
		name := empty(t)
		if _, _, err := up(t.Context(), name, files("nonsense")); err == nil || !at(t, name, 0) {
			t.Errorf("%v", err)
		}
		if _, _, err := up(t.Context(), name, files("CREATE TABLE a ()")); err != nil || !at(t, name, 1) {
			t.Errorf("mended: %v", err)
		}
	})
	t.Run("one that is no single transaction leaves the database marked, which the next one explains", func(t *testing.T) {
		name := empty(t)
		from := files("CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1)", "CREATE UNIQUE INDEX CONCURRENTLY a_n ON a (n)")
		_, hint, err := up(t.Context(), name, from)
		if err == nil || !strings.Contains(hint, "marked dirty") || !server.Holds(t, name, "SELECT dirty FROM schema_migrations") {
			t.Errorf("%v, hint %q", err, hint)
		}
		_, hint, err = up(t.Context(), name, from)
		if err == nil || !strings.Contains(err.Error(), "migration 2 ended halfway") || !strings.Contains(hint, "version = 1 if it is undone") {
			t.Errorf("again: %v, hint %q", err, hint)
		}
		// What the hint says to do.
		server.Exec(t, name, "DROP INDEX a_n; DELETE FROM a; UPDATE schema_migrations SET dirty = false, version = 1")
		if _, _, err := up(t.Context(), name, from); err != nil || !at(t, name, 2) {
			t.Errorf("mended: %v", err)
		}
	})
	t.Run("a database that is newer than the build is left alone", func(t *testing.T) {
		name := empty(t)
		if _, _, err := up(t.Context(), name, files("CREATE TABLE a ()", "CREATE TABLE b ()")); err != nil {
			t.Fatal(err)
		}
		_, hint, err := up(t.Context(), name, files("CREATE TABLE a ()"))
		if err == nil || !strings.Contains(err.Error(), "at version 2, newer than this build, which ends at 1") || hint == "" || !at(t, name, 2) {
			t.Errorf("%v, hint %q", err, hint)
		}
	})
	t.Run("a version in between that the build does not have is an error", func(t *testing.T) {
		name := empty(t)
		from := files("CREATE TABLE a ()", "CREATE TABLE b ()")
		if _, _, err := up(t.Context(), name, from); err != nil {
			t.Fatal(err)
		}
		from["000003_step.up.sql"] = from["000002_step.up.sql"]
		delete(from, "000002_step.up.sql")
		if _, _, err := up(t.Context(), name, from); err == nil || !strings.Contains(err.Error(), "at version 2, which this build does not have") {
			t.Error(err)
		}
	})
	t.Run("a lock that is not to be had ends the migration soon, so that it stops nobody for long", func(t *testing.T) {
		t.Parallel()
		name := empty(t)
		server.Exec(t, name, "CREATE TABLE a (n int)")
		release := hold(t, name, "a")
		from := files("CREATE TABLE b (); ALTER TABLE a ADD m int")
		began := time.Now()
		_, hint, err := up(t.Context(), name, from)
		if err == nil || !strings.Contains(hint, "no long transaction") || time.Since(began) > 10*time.Second || !at(t, name, 0) {
			t.Errorf("%v after %s, hint %q", err, time.Since(began), hint)
		}
		release()
		if _, _, err := up(t.Context(), name, from); err != nil {
			t.Errorf("once the lock is free: %v", err)
		}
	})
	t.Run("a database that cannot be reached, a role that may not and a url that is none are errors with a hint and without the password", func(t *testing.T) {
		name := empty(t)
		server.Exec(t, name, "CREATE ROLE nobody_much LOGIN; GRANT USAGE ON SCHEMA public TO nobody_much")
		defer server.Exec(t, name, "DROP OWNED BY nobody_much; DROP ROLE nobody_much")
		for url, want := range map[string]string{
			"postgres://me:hunter2@127.0.0.1:1/x":                                        "connection refused",
			"postgres://me:hunter2@127.0.0.1:99999/x":                                    "invalid port",
			strings.Replace(server.URL(name), "postgres@", "nobody_much:hunter2@", 1):    "permission denied",
			strings.Replace(server.URL(name), "/"+name, "/no_such_database", 1):          "does not exist",
			strings.Replace(server.URL(name), server.Addr(), silent(t), 1) + "&user=me2": "timeout",
		} {
			var out bytes.Buffer
			err := schema.Up(t.Context(), schema.Config{URL: url, ConnectTimeout: 300 * time.Millisecond, Files: files("SELECT 1")}, &out)
			var failure *schema.Failure
			if !errors.As(err, &failure) || failure.Hint == "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", url, err)
			}
		}
	})
	t.Run("a build without migrations is an error", func(t *testing.T) {
		if _, _, err := up(t.Context(), "postgres", fstest.MapFS{}); err == nil {
			t.Error("no error")
		}
	})
}

func TestEnd(t *testing.T) {
	t.Run("the end of the context cancels the statement, which leaves nothing", func(t *testing.T) {
		t.Parallel()
		name := empty(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			eventually(t, "the migration to be under way", func() bool {
				return server.Holds(t, name, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()")
			})
			cancel(errors.New("terminated"))
		}()
		began := time.Now()
		_, hint, err := up(ctx, name, files("CREATE TABLE a (); SELECT pg_sleep(60)"))
		if err == nil || !strings.Contains(err.Error(), "terminated") || !strings.Contains(hint, "run it again") || time.Since(began) > patience {
			t.Errorf("%v after %s, hint %q", err, time.Since(began), hint)
		}
		if !at(t, name, 0) || !server.Holds(t, name, "SELECT to_regclass('a') IS NULL") {
			t.Error("something is left")
		}
	})
	t.Run("who waits for its turn gives up in time", func(t *testing.T) {
		t.Parallel()
		name := empty(t)
		first, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, _, err := up(first, name, files("SELECT pg_sleep(60)"))
			done <- err
		}()
		eventually(t, "the first to have its turn", func() bool {
			return server.Holds(t, name, "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
		})
		second, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		said, hint, err := up(second, name, files("SELECT 1"))
		if err == nil || !strings.Contains(said, "waiting for another") || !strings.Contains(hint, "--timeout") {
			t.Errorf("%v, hint %q, said %q", err, hint, said)
		}
		end()
		if err := <-done; err == nil {
			t.Error("the first one ended well")
		}
	})
	t.Run("golang-migrate's own command is waited for as well", func(t *testing.T) {
		t.Parallel()
		name := empty(t)
		other, err := server.Migrations(name)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		ended := make(chan error, 1)
		go func() { ended <- other.Up() }()
		var out bytes.Buffer
		if err := schema.Up(t.Context(), schema.Config{URL: server.URL(name), ConnectTimeout: time.Second, Files: migrations.Files}, &out); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil && !strings.Contains(err.Error(), "no change") {
			t.Error(err)
		}
		if !at(t, name, 3) {
			t.Error("the database is not at version 3")
		}
	})
}

// silent is an address that takes connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
