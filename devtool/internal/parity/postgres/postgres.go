// Package postgres has what a Go service relies on in PostgreSQL, by way of pgx.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/goldenpath/devtool/internal/parity"
)

// Suite returns the behaviours. To add one is to add it to a list; it makes
// nothing outside of its own schema.
func Suite() parity.Suite {
	return parity.Suite{Kind: "postgres", Open: open, Behaviours: slices.Concat(settings(), values(), statements(), sessions())}
}

// open makes a database. Each behaviour has a schema in it; one has databases
// of its own besides.
func open(ctx context.Context, place, run string) (string, func(context.Context) error, error) {
	if err := administer(ctx, place, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "CREATE DATABASE "+run)
		return err
	}); err != nil {
		return "", nil, err
	}
	u, err := url.Parse(place)
	if err != nil {
		return "", nil, err
	}
	u.Path = "/" + run
	return u.String(), func(ctx context.Context) error { return forget(ctx, place, run) }, nil
}

func forget(ctx context.Context, place, run string) error {
	return administer(ctx, place, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", run)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := c.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
				return err
			}
		}
		return nil
	})
}

func administer(ctx context.Context, place string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, place)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return do(conn)
}

// session is a connection whose tables go to the behaviour's own schema.
type session struct {
	*pgx.Conn
	notices []string
}

func connect(ctx context.Context, t parity.Target) (*session, error) {
	config, err := pgx.ParseConfig(t.URL)
	if err != nil {
		return nil, err
	}
	s := &session{}
	config.RuntimeParams["search_path"] = t.Name
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		s.notices = append(s.notices, n.Severity+" "+n.Code+" "+n.Message)
	}
	if s.Conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, err
	}
	if _, err := s.Exec(ctx, "SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS "+t.Name+"; RESET client_min_messages"); err != nil {
		s.leave()
		return nil, err
	}
	return s, nil
}

// leave closes the connection, at once where it hangs.
func (s *session) leave() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Close(ctx) // the server finds out
}

// say runs one statement and gives its rows as the server writes them, or the
// code of its error and the constraint or column that it names.
func (s *session) say(ctx context.Context, statement string) (string, error) {
	results, err := s.PgConn().Exec(ctx, statement).ReadAll()
	if err != nil {
		return refusal(err)
	}
	var rows []string
	for _, r := range results {
		for _, row := range r.Rows {
			var cells []string
			for _, cell := range row {
				if cell == nil {
					cells = append(cells, "null")
				} else {
					cells = append(cells, string(cell))
				}
			}
			rows = append(rows, strings.Join(cells, " | "))
		}
	}
	return strings.Join(rows, ", "), nil
}

// refusal turns an answer of the server's into an observation. Its words depend
// on the version and the locale, the code does not.
func refusal(err error) (string, error) {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return "", err
	}
	return strings.TrimSpace(fmt.Sprintf("error %s %s%s", pe.Code, pe.ConstraintName, pe.ColumnName)), nil
}

// sql is a behaviour of statements that run one after the other in a session.
// Those that return nothing are not in the observation.
func sql(name, what string, statements ...string) parity.Behaviour {
	return behaviour(name, what, func(ctx context.Context, s *session, _ parity.Target) (string, error) {
		var said []string
		for _, statement := range statements {
			answer, err := s.say(ctx, statement)
			if err != nil {
				return "", err
			}
			if answer != "" {
				said = append(said, answer)
			}
		}
		return strings.Join(said, "; "), nil
	})
}

// behaviour is a behaviour that starts with a session.
func behaviour(name, what string, run func(context.Context, *session, parity.Target) (string, error)) parity.Behaviour {
	return parity.Behaviour{ID: "postgres/" + name, What: what, Run: func(ctx context.Context, t parity.Target) (string, error) {
		s, err := connect(ctx, t)
		if err != nil {
			return "", err
		}
		defer s.leave()
		return run(ctx, s, t)
	}}
}

func settings() []parity.Behaviour {
	return []parity.Behaviour{
		sql("version", "the major version", "SELECT current_setting('server_version_num')::int / 10000"),
		sql("encoding", "encoding of server and client", "SHOW server_encoding", "SHOW client_encoding"),
		sql("locale", "collation and character type of a new database",
			"SELECT datcollate, datctype FROM pg_database WHERE datname = current_database()"),
		sql("locale-formats", "locale of numbers, money and dates",
			"SELECT name, setting FROM pg_settings WHERE name IN ('lc_monetary', 'lc_numeric', 'lc_time') ORDER BY name"),
		sql("time-zone", "time zone of a session", "SHOW timezone"),
		sql("formats", "how values are written",
			"SHOW datestyle", "SHOW intervalstyle", "SHOW bytea_output", "SHOW extra_float_digits", "SHOW standard_conforming_strings"),
		sql("isolation", "isolation of a transaction that asks for none", "SHOW default_transaction_isolation"),
		sql("limits", "time limits that are on from the start",
			"SHOW statement_timeout", "SHOW lock_timeout", "SHOW idle_in_transaction_session_timeout", "SHOW deadlock_timeout"),
		sql("max-connections", "how many clients at once", "SHOW max_connections"),
		sql("durability", "what a commit waits for", "SHOW fsync", "SHOW synchronous_commit", "SHOW full_page_writes"),
		sql("jit", "whether plans are compiled", "SHOW jit"),
		sql("wal-level", "logical decoding", "SHOW wal_level"),
		sql("passwords", "how passwords are stored", "SHOW password_encryption"),
		sql("search-configuration", "language of a full text search that names none", "SHOW default_text_search_config"),
		sql("rights", "superuser, and what everybody may do in schema public",
			"SELECT rolsuper FROM pg_roles WHERE rolname = current_user",
			"SELECT has_schema_privilege('public', 'public', 'CREATE'), has_schema_privilege('public', 'public', 'USAGE')"),
		sql("extensions", "which of the usual extensions can be created",
			`SELECT name FROM pg_available_extensions WHERE name IN ('btree_gin', 'btree_gist', 'citext', 'hstore', 'ltree',
				'pg_stat_statements', 'pg_trgm', 'pgcrypto', 'postgres_fdw', 'unaccent', 'uuid-ossp', 'vector') ORDER BY name`),
		sql("collations", "which collations there are besides the default one",
			`SELECT collname FROM pg_collation WHERE collname IN
				('C', 'C.utf8', 'en_US.utf8', 'de_DE.utf8', 'en-x-icu', 'und-x-icu', 'ucs_basic', 'pg_c_utf8') ORDER BY collname COLLATE "C"`),
	}
}
