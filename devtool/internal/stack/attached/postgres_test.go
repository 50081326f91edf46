package attached

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"example.com/goldenpath/devtool/internal/console"
)

func postgresAt(addr string) *Postgres {
	return NewPostgres(PostgresOptions{Name: "db", Addr: addr, Database: "no tes", User: "app", Password: password, Patience: patience})
}

// query asks one question, or gives one order, at a URL.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var answer string
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func TestPostgres(t *testing.T) {
	up := started(t, realPostgres)
	p := postgresAt(up.Addr())
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	t.Run("a database that was missing is there, and its data stays", func(t *testing.T) {
		if got := query(t, p.URL("no tes"), "SELECT current_database()"); got != "no tes" {
			t.Errorf("in database %q", got)
		}
		query(t, p.URL("no tes"), "CREATE TABLE kept ()")
		if err := p.Start(t.Context()); err != nil {
			t.Error(err)
		}
		if got := query(t, p.URL("no tes"), "SELECT to_regclass('kept')::text"); got != "kept" {
			t.Errorf("table %q", got)
		}
	})

	t.Run("it tells its version without the packager's words", func(t *testing.T) {
		version, _, _ := strings.Cut(query(t, p.AdminURL(), "SHOW server_version"), " ")
		if want := "PostgreSQL " + version + " at " + up.Addr(); p.Describe() != want {
			t.Errorf("described as %q, want %q", p.Describe(), want)
		}
	})

	t.Run("orders about databases are given in postgres", func(t *testing.T) {
		if got := query(t, p.AdminURL(), "SELECT current_database()"); got != "postgres" {
			t.Errorf("in database %q", got)
		}
	})

	t.Run("two that start at once make the database once", func(t *testing.T) {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				o := postgresAt(up.Addr()).opts
				o.Database = "shared"
				if err := NewPostgres(o).Start(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})

	t.Run("a probe is content while a reset exchanges the database", func(t *testing.T) {
		query(t, p.AdminURL(), `ALTER DATABASE "no tes" ALLOW_CONNECTIONS false`)
		if err := p.Probe(t.Context()); err != nil {
			t.Errorf("closed: %v", err)
		}
		query(t, p.AdminURL(), `DROP DATABASE "no tes"`)
		if err := p.Probe(t.Context()); err != nil {
			t.Errorf("gone: %v", err)
		}
	})

	t.Run("a wrong password is an error at once that does not show it", func(t *testing.T) {
		o := p.opts
		o.Password = "pa/ss%guess"
		began := time.Now()
		err := NewPostgres(o).Start(t.Context())
		failure(t, err, up.Addr(), "not accepted", "28P01", "devtool.yaml")
		if took := time.Since(began); took > 3*time.Second || strings.Contains(err.Error(), "guess") {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestPostgresRights(t *testing.T) {
	up := started(t, realPostgres)
	admin := postgresAt(up.Addr())
	as := func(user, database string) *Postgres {
		o := admin.opts
		o.User, o.Password, o.Database = user, user, database
		return NewPostgres(o)
	}
	for _, order := range []string{
		"CREATE ROLE maker LOGIN CREATEDB PASSWORD 'maker'", "CREATE ROLE reader LOGIN PASSWORD 'reader'",
		"REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
	} {
		query(t, admin.AdminURL(), order)
	}

	t.Run("a role that may not enter postgres gives its orders in template1", func(t *testing.T) {
		p := as("maker", "made")
		if err := errors.Join(p.Start(t.Context()), p.Probe(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := query(t, p.AdminURL(), "SELECT current_database()"); got != "template1" {
			t.Errorf("in database %q", got)
		}
	})

	t.Run("a role that may not make the database is told how to let it", func(t *testing.T) {
		failure(t, as("reader", "unmade").Start(t.Context()), "create database unmade", "permission denied", `ALTER ROLE "reader" CREATEDB`)
	})

	t.Run("a role that may enter nowhere is told how to let it", func(t *testing.T) {
		query(t, admin.AdminURL(), "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC")
		failure(t, as("maker", "made").Start(t.Context()), "neither postgres nor template1", `GRANT CONNECT ON DATABASE postgres TO "maker"`)
	})
}

// refuses answers a greeting with an error, as a server does that is not ready.
func refuses(answer pgproto3.ErrorResponse) func(net.Conn) {
	return func(c net.Conn) {
		backend := pgproto3.NewBackend(c, c)
		if _, err := backend.ReceiveStartupMessage(); err != nil {
			return
		}
		answer.Severity = "FATAL"
		backend.Send(&answer)
		backend.Flush()
	}
}

func TestPostgresAnswers(t *testing.T) {
	up := started(t, realPostgres)

	for name, answer := range map[string]pgproto3.ErrorResponse{
		"that starts":                  {Code: "57P03", Message: "the database system is starting up"},
		"that stops to start again":    {Code: "57P01", Message: "terminating connection due to administrator command"},
		"that is full":                 {Code: "53300", Message: "sorry, too many clients already"},
		"that has not made roles yet":  {Code: "28000", Message: `role "app" does not exist`, Routine: "InitializeSessionUserId"},
		"whose template is copied now": {Code: "55006", Message: `source database "template1" is being accessed by other users`},
	} {
		t.Run("one "+name+" is waited for", func(t *testing.T) {
			d := newDoor(t, first(3, refuses(answer), leads(up.Addr(), nil)))
			if err := postgresAt(d).Start(t.Context()); err != nil {
				t.Error(err)
			}
		})

		t.Run("one "+name+" for ever is quoted in the end", func(t *testing.T) {
			p := postgresAt(newDoor(t, refuses(answer)))
			p.patience = 150 * time.Millisecond
			failure(t, p.Start(t.Context()), "no answer within 150ms", answer.Message, answer.Code)
		})
	}

	for name, answer := range map[string]pgproto3.ErrorResponse{
		"pg_hba.conf":   {Code: "28000", Message: `no pg_hba.conf entry for host "10.0.0.1"`, Routine: "ClientAuthentication"},
		"a full disk":   {Code: "53100", Message: "No space left on device"},
		"another major": {Code: "0A000", Message: "unsupported frontend protocol 3.0"},
	} {
		t.Run("a refusal because of "+name+" is an error at once", func(t *testing.T) {
			began := time.Now()
			err := postgresAt(newDoor(t, refuses(answer))).Start(t.Context())
			var f *console.Failure
			if took := time.Since(began); !errors.As(err, &f) || !strings.Contains(err.Error(), answer.Message) || took > 3*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}

	t.Run("a server that is too old is refused by its version", func(t *testing.T) {
		version, _, _ := strings.Cut(query(t, up.AdminURL(), "SHOW server_version"), " ")
		old := "0" + version[1:] // as long as the truth, for the frame's sake
		aged := func(b []byte) []byte {
			return bytes.Replace(b, []byte("server_version\x00"+version), []byte("server_version\x00"+old), 1)
		}
		failure(t, postgresAt(newDoor(t, leads(up.Addr(), aged))).Start(t.Context()), "PostgreSQL "+old, "too old", "14 or newer")
	})

	t.Run("a connection that is cut in the middle of an answer is made again", func(t *testing.T) {
		half := func(c net.Conn) {
			server, err := net.Dial("tcp", up.Addr())
			if err != nil {
				return
			}
			defer server.Close()
			go io.Copy(server, c)
			answer := make([]byte, 4096)
			if n, err := server.Read(answer); err == nil {
				c.Write(answer[:n/2])
			}
		}
		if err := postgresAt(newDoor(t, first(2, half, leads(up.Addr(), nil)))).Start(t.Context()); err != nil {
			t.Error(err)
		}
	})

	t.Run("a URL keeps every character of the user, the password and the database", func(t *testing.T) {
		o := PostgresOptions{Addr: "[::1]:5432", User: "a@b:c/d", Password: password, Database: "x"}
		config, err := pgx.ParseConfig(NewPostgres(o).URL("q? #/%25"))
		if err != nil {
			t.Fatal(err)
		}
		if config.User != o.User || config.Password != o.Password || config.Database != "q? #/%25" || config.Host != "::1" {
			t.Errorf("read as %q %q %q at %q", config.User, config.Password, config.Database, config.Host)
		}
	})

	t.Run("PG variables of the environment do not reach it", func(t *testing.T) {
		for name, value := range map[string]string{"PGHOST": "elsewhere.invalid", "PGPORT": "1", "PGUSER": "x",
			"PGPASSWORD": "x", "PGDATABASE": "x", "PGSSLMODE": "require"} {
			t.Setenv(name, value)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := postgresAt(up.Addr()).Start(ctx); err != nil {
			t.Error(err)
		}
	})
}
