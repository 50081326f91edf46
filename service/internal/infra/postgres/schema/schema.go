// Package schema brings a database to the schema that this build was made for.
// It is apart from package postgres so that only the process that migrates
// links golang-migrate.
package schema

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/jackc/pgx/v5/pgconn"
)

// lockTimeout is how long a migration may wait for a lock. Whoever comes after
// it waits behind it, so a migration that waits for a long transaction stops
// the service. It gives up instead, and can be run again.
const lockTimeout = 5 * time.Second

// Config says which database is migrated, and how. All of it must be set.
type Config struct {
	URL            string        // postgres://user:password@host:port/database?options
	ConnectTimeout time.Duration // of one connection
	Files          fs.FS         // in golang-migrate's form: N_name.up.sql
}

// Failure is why a database could not be migrated, with what helps. What was
// applied before it stays in effect.
type Failure struct {
	Cause error
	Hint  string
}

func (f *Failure) Error() string { return "migrate: " + f.Cause.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// NextStep is the hint.
func (f *Failure) NextStep() string { return f.Hint }

// Up applies what the database lacks of c.Files, oldest first, and writes a line
// to out for each. It takes turns with every other Up of the same database, and
// stops when ctx ends: the statement under way is cancelled at the server. Its
// errors are Failures.
func Up(ctx context.Context, c Config, out io.Writer) error {
	files, err := read(c.Files)
	if err != nil {
		return &Failure{err, "build the program again: its migrations cannot be read"}
	}
	d, err := open(ctx, c)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer d.close()
	if err := d.lock(ctx, out); err != nil {
		return interrupted(ctx, err)
	}
	return interrupted(ctx, d.up(ctx, files, c.Files, out))
}

// interrupted says that the end of ctx came first, whatever it then led to.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	cause := fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Failure{cause, "give it more time with --timeout, or look for what holds locks in the database"}
	}
	return &Failure{cause, "run it again; it goes on where it stopped"}
}

// read lists the migrations by version, oldest first.
func read(files fs.FS) ([]*source.Migration, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	var found []*source.Migration
	for _, e := range entries {
		if m, err := source.DefaultParse(e.Name()); err == nil && m.Direction == source.Up {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b *source.Migration) int { return int(a.Version) - int(b.Version) })
	if len(found) == 0 {
		return nil, errors.New("there are no migrations")
	}
	return found, nil
}

// up is called with the lock held.
func (d *db) up(ctx context.Context, files []*source.Migration, texts fs.FS, out io.Writer) error {
	version, dirty, err := d.driver.Version()
	if err != nil {
		return failed(err)
	}
	newest := int(files[len(files)-1].Version)
	at := slices.IndexFunc(files, func(m *source.Migration) bool { return int(m.Version) == version })
	switch {
	case dirty:
		return &Failure{fmt.Errorf("migration %d ended halfway", version),
			fmt.Sprintf("see what of it is in effect, complete or undo that by hand, and say so: UPDATE schema_migrations SET dirty = false, with version = %d if it is undone", before(files, at))}
	case version > newest:
		return &Failure{fmt.Errorf("the database is at version %d, newer than this build, which ends at %d", version, newest),
			"deploy the build that belongs to it, or leave this step out to go back to an older build on purpose"}
	case version != database.NilVersion && at < 0:
		return &Failure{fmt.Errorf("the database is at version %d, which this build does not have", version),
			"deploy a build that has it"}
	}
	for i := at + 1; i < len(files); i++ {
		if err := context.Cause(ctx); err != nil {
			return failed(err)
		}
		text, err := fs.ReadFile(texts, files[i].Raw)
		if err != nil {
			return failed(err)
		}
		began := time.Now()
		if err := d.apply(files[i], before(files, i), string(text)); err != nil {
			return err
		}
		fmt.Fprintf(out, "applied %s in %s\n", files[i].Raw, time.Since(began).Round(time.Millisecond))
	}
	if at == len(files)-1 {
		fmt.Fprintf(out, "the schema is at version %d: nothing to do\n", newest)
	} else {
		fmt.Fprintf(out, "the schema is at version %d\n", newest)
	}
	return nil
}

// before is the version before that of files[i].
func before(files []*source.Migration, i int) int {
	if i < 1 {
		return database.NilVersion
	}
	return int(files[i-1].Version)
}

// alone finds migrations that PostgreSQL does not run in one transaction.
// CREATE INDEX CONCURRENTLY must be the only statement of its file.
var alone = regexp.MustCompile(`(?i)\b(begin|start\s+transaction|commit|rollback|end|concurrently)\b`)

// apply runs one migration. PostgreSQL runs the statements of one message in one
// transaction, unless they say otherwise: when such a one fails it has left
// nothing, so the database is marked as being at the version before, and not as
// dirty, as golang-migrate would have it.
func (d *db) apply(m *source.Migration, previous int, text string) error {
	whole := !alone.MatchString(text)
	wait := lockTimeout
	if !whole {
		wait = 0 // an index that is built concurrently waits for every transaction, and holds up none
	}
	if err := errors.Join(
		d.driver.Run(strings.NewReader(fmt.Sprintf("SET lock_timeout = %d", wait.Milliseconds()))),
		d.driver.SetVersion(int(m.Version), true),
	); err != nil {
		return failed(err)
	}
	err := d.driver.Run(bytes.NewReader([]byte(text)))
	if err == nil {
		return failed(d.driver.SetVersion(int(m.Version), false))
	}
	place := m.Raw
	var detail database.Error
	if errors.As(err, &detail) {
		err = detail.OrigErr // the library's own text repeats the whole file
		if detail.Line > 0 {
			place = fmt.Sprintf("%s:%d", m.Raw, detail.Line)
		}
	}
	f := &Failure{fmt.Errorf("%s: %w", place, err), fmt.Sprintf("see what of %s is in effect: the database is marked dirty until that is settled by hand", m.Raw)}
	var answer *pgconn.PgError
	if whole && errors.As(err, &answer) && d.driver.SetVersion(previous, false) == nil {
		f.Hint = "mend what it says and run it again: nothing of this migration is in effect"
		if answer.Code == "55P03" { // lock_not_available
			f.Hint = "run it again when no long transaction holds the table: nothing of this migration is in effect"
		}
	}
	return f
}

// failed is a Failure of the database or of the line to it.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &Failure{err, "see whether the database is running and DATABASE_URL names a role that may change its schema"}
}
