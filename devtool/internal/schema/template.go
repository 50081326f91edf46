package schema

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/devtool/internal/console"
)

// ErrNoTemplate says that there is nothing to restore from: Ensure has not been
// called, or did not finish.
var ErrNoTemplate = errors.New("there is no template database")

// longestName of a database in bytes (NAMEDATALEN less one), and the longest
// suffix that Template gives to it.
const (
	longestName   = 63
	longestSuffix = len("_template")
)

// cleanupTimeout bounds what is undone after a failure, when the caller's
// context may have ended.
const cleanupTimeout = 10 * time.Second

// Template makes the live database anew in a moment. For a database notes it
// keeps
//
//	notes_template  migrated and seeded; nobody may connect; its comment is the key
//	notes_spare     a copy of it that waits to become the live database
//	notes_old       the live database before the last Restore, to be dropped
//
// Restore exchanges live and spare in one transaction, which takes the same few
// milliseconds whatever the size; Prepare does the slow part, dropping and
// copying, when nobody waits. Killed anywhere, they leave a state from which the
// next call goes on: what counts is in PostgreSQL's own catalogue, and anything
// half done there has no or another key.
//
// Its methods may be called from any goroutine and from several processes.
type Template struct {
	admin    string
	database string
	mu       sync.Mutex
}

// NewTemplate is for the database of this name on the server of adminURL, which
// must connect a superuser to some other database.
func NewTemplate(adminURL, database string) *Template {
	return &Template{admin: adminURL, database: database}
}

func (t *Template) template() string { return t.database + "_template" }
func (t *Template) spare() string    { return t.database + "_spare" }
func (t *Template) old() string      { return t.database + "_old" }
func (t *Template) building() string { return t.database + "_building" }

// Ensure makes the template database unless there is one with this key. build
// gets the URL of an empty database to migrate and fill, and must leave no
// connection open; if it fails, the template that was there stays.
func (t *Template) Ensure(ctx context.Context, key string, build func(ctx context.Context, url string) error) (built bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	begun := false
	err = t.with(ctx, func(a *admin) error {
		if err := t.sweep(ctx, a); err != nil {
			return err
		}
		if have, ok := a.databases[t.template()]; ok && have.comment == key && !have.open {
			return nil
		}
		begun = true
		if err := t.build(ctx, a, build); err != nil {
			return err
		}
		built = true
		return t.adopt(ctx, a, key)
	})
	if err == nil {
		return built, nil
	}
	if begun {
		t.cleanUp(ctx, func(ctx context.Context, a *admin) error { return a.drop(ctx, t.building()) })
	}
	return false, fmt.Errorf("make template database %s: %w", t.template(), err)
}

func (t *Template) build(ctx context.Context, a *admin, build func(context.Context, string) error) error {
	if err := a.exec(ctx, "CREATE DATABASE %s TEMPLATE template0", t.building()); err != nil {
		return err
	}
	u, err := url.Parse(t.admin)
	if err != nil {
		return err
	}
	u.Path = "/" + t.building()
	return build(ctx, u.String())
}

// sweep drops what a killed Ensure was building.
func (t *Template) sweep(ctx context.Context, a *admin) error {
	if _, ok := a.databases[t.building()]; !ok {
		return nil
	}
	return a.drop(ctx, t.building())
}

// adopt makes what was built the template, in place of the one there was.
func (t *Template) adopt(ctx context.Context, a *admin, key string) error {
	for _, name := range []string{t.spare(), t.template()} {
		if err := a.drop(ctx, name); err != nil {
			return err
		}
	}
	if err := a.disconnect(ctx, t.building()); err != nil {
		return err
	}
	return a.transaction(ctx, func() error {
		if err := a.comment(ctx, t.building(), key); err != nil {
			return err
		}
		return a.exec(ctx, "ALTER DATABASE %s RENAME TO %s", t.building(), t.template())
	})
}

// cleanUp undoes something after a failure, on a connection of its own: the
// failure may have been the end of the caller's context, which ended its
// connection too. That it fails as well is no news to the caller, and the next
// call copes with what is left.
func (t *Template) cleanUp(ctx context.Context, undo func(context.Context, *admin) error) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_ = t.with(limited, func(a *admin) error { return undo(limited, a) })
}

// Exists says whether there is a live database that takes connections. One that
// a killed Restore left closed does not count; CreateLive mends it.
func (t *Template) Exists(ctx context.Context) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := false
	err := t.with(ctx, func(a *admin) error {
		live, ok := a.databases[t.database]
		found = ok && live.open
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for database %s: %w", t.database, err)
	}
	return found, nil
}

// Untouched says whether a database has nothing in it, as an image's entrypoint
// leaves it: no relation and no function outside of the system's schemas.
func Untouched(ctx context.Context, url string) (bool, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false, fmt.Errorf("look into the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var untouched bool
	err = conn.QueryRow(ctx, `WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
		SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace IN (SELECT oid FROM ours))
		AND NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace IN (SELECT oid FROM ours))`).Scan(&untouched)
	if err != nil {
		return false, fmt.Errorf("look into the database: %w", err)
	}
	return untouched, nil
}

// CreateLive makes the live database from the template, unless Exists.
func (t *Template) CreateLive(ctx context.Context) error {
	exists, err := t.Exists(ctx)
	if err != nil || exists {
		return err
	}
	return t.Restore(ctx)
}

// Restore makes the live database a fresh copy of the template. Its sessions
// are ended; for the few milliseconds of the exchange new ones are refused with
// SQLSTATE 55000 or 3D000. When no spare is waiting (two in quick succession, or
// without Prepare in between) it copies first, and the live database serves
// until that is done. ErrNoTemplate when there is no template.
func (t *Template) Restore(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.with(ctx, func(a *admin) error {
		if err := t.makeSpare(ctx, a); err != nil {
			return err
		}
		if err := a.drop(ctx, t.old()); err != nil {
			return err
		}
		return t.exchange(ctx, a)
	})
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrNoTemplate) {
		t.cleanUp(ctx, t.reopen)
	}
	return fmt.Errorf("restore database %s: %w", t.database, err)
}

// reopen lets people back into a live database that was not exchanged.
func (t *Template) reopen(ctx context.Context, a *admin) error {
	if live, ok := a.databases[t.database]; !ok || live.open {
		return nil
	}
	return a.exec(ctx, "ALTER DATABASE %s ALLOW_CONNECTIONS true", t.database)
}

// Prepare does what the next Restore would otherwise wait for: it drops the
// previous live database and copies the template. Call it when nobody waits,
// after Ensure and after each Restore.
func (t *Template) Prepare(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.with(ctx, func(a *admin) error {
		if err := t.sweep(ctx, a); err != nil {
			return err
		}
		if err := a.drop(ctx, t.old()); err != nil {
			return err
		}
		return t.makeSpare(ctx, a)
	})
	if err != nil {
		return fmt.Errorf("prepare a copy of %s: %w", t.template(), err)
	}
	return nil
}

// makeSpare sees to it that the spare is a whole copy of this template. The
// comment is set last, so a copy that was interrupted has none.
func (t *Template) makeSpare(ctx context.Context, a *admin) error {
	template, ok := a.databases[t.template()]
	if !ok {
		return &console.Failure{Exit: console.ExitFailed, Text: "look for " + t.template(), Cause: ErrNoTemplate, Hint: "devtool up makes it"}
	}
	if spare, ok := a.databases[t.spare()]; ok && spare.comment == template.comment && !spare.open {
		return nil
	}
	if err := a.drop(ctx, t.spare()); err != nil {
		return err
	}
	if err := a.clone(ctx, t.template(), t.spare()); err != nil {
		return err
	}
	return a.comment(ctx, t.spare(), template.comment)
}

func (t *Template) exchange(ctx context.Context, a *admin) error {
	_, live := a.databases[t.database]
	if live {
		// A rename waits, a tenth of a second at a time, for sessions to end.
		// Refusing new ones and ending those there are makes it instant.
		if err := a.disconnect(ctx, t.database); err != nil {
			return err
		}
	}
	return a.transaction(ctx, func() error {
		if live {
			if err := a.exec(ctx, "ALTER DATABASE %s RENAME TO %s", t.database, t.old()); err != nil {
				return err
			}
		}
		if err := a.exec(ctx, "ALTER DATABASE %s RENAME TO %s", t.spare(), t.database); err != nil {
			return err
		}
		return a.exec(ctx, "ALTER DATABASE %s ALLOW_CONNECTIONS true", t.database)
	})
}

// with connects as the superuser, takes the lock that keeps other processes
// out, and reads the catalogue.
func (t *Template) with(ctx context.Context, do func(*admin) error) error {
	if len(t.database)+longestSuffix > longestName || strings.ContainsRune(t.database, 0) || t.database == "" {
		return fmt.Errorf("a database name has 1 to %d bytes here, %q does not", longestName-longestSuffix, t.database)
	}
	config, err := pgx.ParseConfig(t.admin)
	if err != nil {
		return err
	}
	config.ConnectTimeout = connectTimeout
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		conn.Close(limited)
	}()
	a := &admin{conn: conn}
	if err := a.read(ctx, t.database); err != nil {
		return err
	}
	return do(a)
}
