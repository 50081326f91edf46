package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// disconnectTimeout is how long sessions may take to end once they are told to.
const disconnectTimeout = 5 * time.Second

// admin is a superuser's connection to a database that nobody drops, with what
// it knows of the others. It is for one goroutine.
type admin struct {
	conn      *pgx.Conn
	version   int // server_version_num, as in 150018
	databases map[string]databaseState
}

type databaseState struct {
	comment string
	open    bool // takes connections
}

// read takes the lock and looks at the catalogue. The lock is the connection's
// and ends with it.
func (a *admin) read(ctx context.Context, database string) error {
	if _, err := a.conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext('goldenpath template'), hashtext($1))", database); err != nil {
		return fmt.Errorf("wait for another process: %w", err)
	}
	rows, err := a.conn.Query(ctx, `SELECT current_setting('server_version_num')::int, datname, datallowconn,
		coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database`)
	if err != nil {
		return err
	}
	a.databases = map[string]databaseState{}
	var name string
	var state databaseState
	_, err = pgx.ForEachRow(rows, []any{&a.version, &name, &state.open, &state.comment}, func() error {
		a.databases[name] = state
		return nil
	})
	return err
}

// exec runs a statement on databases; each %s takes a name, quoted.
func (a *admin) exec(ctx context.Context, statement string, names ...string) error {
	quoted := make([]any, len(names))
	for i, name := range names {
		quoted[i] = pgx.Identifier{name}.Sanitize()
	}
	_, err := a.conn.Exec(ctx, fmt.Sprintf(statement, quoted...))
	return err
}

// drop removes a database and its sessions, if there is one.
func (a *admin) drop(ctx context.Context, name string) error {
	if err := a.exec(ctx, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name); err != nil {
		return err
	}
	delete(a.databases, name)
	return nil
}

// clone copies a database file by file and closes the copy to sessions.
func (a *admin) clone(ctx context.Context, from, to string) error {
	statement := "CREATE DATABASE %s TEMPLATE %s ALLOW_CONNECTIONS false"
	if a.version >= 150000 {
		// Since 15 the default writes each block to the log instead, which is
		// kinder to a server under load and slower.
		statement += " STRATEGY file_copy"
	}
	return a.exec(ctx, statement, to, from)
}

// comment sets a database's comment. COMMENT takes no parameters.
func (a *admin) comment(ctx context.Context, name, text string) error {
	if strings.ContainsRune(text, 0) {
		return errors.New("a key holds no NUL")
	}
	// The % of a key must survive exec's format.
	literal := "'" + strings.ReplaceAll(strings.ReplaceAll(text, "'", "''"), "%", "%%") + "'"
	return a.exec(ctx, "COMMENT ON DATABASE %s IS "+literal, name)
}

// disconnect closes a database to new sessions, ends those there are and
// returns when they are gone.
func (a *admin) disconnect(ctx context.Context, name string) error {
	if err := a.exec(ctx, "ALTER DATABASE %s ALLOW_CONNECTIONS false", name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, disconnectTimeout,
		fmt.Errorf("sessions of %s did not end within %s", name, disconnectTimeout))
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var left int
		err := a.conn.QueryRow(ctx, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1", name).Scan(&left)
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (a *admin) transaction(ctx context.Context, do func() error) error {
	tx, err := a.conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		// The connection is closed soon, which rolls back as well.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		return errors.Join(err, tx.Rollback(limited))
	}
	return tx.Commit(ctx)
}
