package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	pgxmigrate "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"example.com/goldenpath/devtool/internal/console"
)

const (
	connectTimeout = 5 * time.Second
	cancelTimeout  = time.Second
)

// Result tells what Migrate did. Versions are 0 where there is no migration.
type Result struct {
	From, To uint
	Applied  int
	Steps    []Step // one for each that was applied
}

// Step is a migration that was applied.
type Step struct {
	Version uint
	File    string
	Took    time.Duration
}

// MigrationError is a migration that failed. Those before it are in effect.
type MigrationError struct {
	File         string
	Line, Column int // where the server found the fault, from 1; 0 when it does not say
	Applied      int // migrations that this call applied before
	// RolledBack says that the failed migration has left nothing, and that the
	// database is at the version before it: mend the file and migrate again.
	RolledBack bool
	Cause      error
}

func (e *MigrationError) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	return fmt.Sprintf("migrate: %s: %v", place, e.Cause)
}

// Unwrap gives what the server said.
func (e *MigrationError) Unwrap() error { return e.Cause }

// NextStep is the hint.
func (e *MigrationError) NextStep() string {
	if e.RolledBack {
		return "mend the file and run the command again; nothing of it was applied"
	}
	return "mend the file, then make the schema anew: devtool reset"
}

// Migrate brings the database at url to the newest version of src. It stops
// when ctx ends: the statement under way is cancelled at the server. A failed
// migration is a *MigrationError.
func Migrate(ctx context.Context, url string, src Source) (Result, error) {
	files, err := src.ups()
	if err != nil || len(files) == 0 {
		return Result{}, err
	}
	slices.SortFunc(files, func(a, b source.Migration) int { return int(int64(a.Version) - int64(b.Version)) })
	m, err := openMigrator(ctx, url, src)
	if err != nil {
		return Result{}, err
	}
	defer m.close()
	result, err := m.up(ctx, files)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("migrate: %w", context.Cause(ctx))
	}
	return result, err
}

// migrator is golang-migrate on a connection that ends with a context, which
// the library itself does not know.
type migrator struct {
	*migrate.Migrate
	dir  string
	db   *sql.DB
	stop func() bool
}

func openMigrator(ctx context.Context, url string, src Source) (*migrator, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	config.ConnectTimeout = connectTimeout
	var mu sync.Mutex
	var open []*pgx.Conn
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error {
		mu.Lock()
		defer mu.Unlock()
		open = append(open, c)
		return nil
	}))
	db.SetMaxOpenConns(2) // one is the library's for good
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			limited, cancel := context.WithTimeout(context.Background(), cancelTimeout)
			_ = c.PgConn().CancelRequest(limited) // closing ends our side in any case
			cancel()
			_ = c.PgConn().Conn().Close()
		}
	})
	if err := db.PingContext(ctx); err != nil {
		stop()
		db.Close()
		return nil, fmt.Errorf("migrate: %w", err)
	}
	target, err := pgxmigrate.WithInstance(db, &pgxmigrate.Config{})
	if err != nil {
		stop()
		db.Close()
		return nil, fmt.Errorf("migrate: %w", err)
	}
	files, err := src.driver()
	if err == nil {
		var m *migrate.Migrate
		if m, err = migrate.NewWithInstance("files", files, "postgres", target); err == nil {
			return &migrator{Migrate: m, dir: src.Dir, db: db, stop: stop}, nil
		}
	}
	stop()
	target.Close()
	return nil, fmt.Errorf("migrate: %w", err)
}

func (m *migrator) close() {
	m.stop()
	m.Close() // reading is over and what was written is committed
	m.db.Close()
}

func (m *migrator) up(ctx context.Context, files []source.Migration) (Result, error) {
	version, dirty, err := m.Version()
	if err != nil && !errors.Is(err, migrate.ErrNilVersion) {
		return Result{}, fmt.Errorf("migrate: %w", err)
	}
	if dirty {
		return Result{}, &console.Failure{Exit: console.ExitFailed, Text: fmt.Sprintf("migrate: an earlier migration to version %d failed halfway", version),
			Hint: "make the schema anew: devtool reset"}
	}
	at := slices.IndexFunc(files, func(f source.Migration) bool { return f.Version == version })
	if version != 0 && at < 0 {
		return Result{}, &console.Failure{Exit: console.ExitFailed, Text: fmt.Sprintf("migrate: the database is at version %d, which has no file in %s", version, m.dir),
			Hint: "go back to the branch that has it, or make the schema anew: devtool reset"}
	}
	result := Result{From: version, To: version}
	for _, f := range files[at+1:] {
		if err := ctx.Err(); err != nil {
			return result, err
		}
		began := time.Now()
		if err := m.Migrate.Migrate(f.Version); err != nil {
			return result, m.explain(f, result, err)
		}
		result.To = f.Version
		result.Applied++
		result.Steps = append(result.Steps, Step{Version: f.Version, File: f.Raw, Took: time.Since(began)})
	}
	return result, nil
}

func (m *migrator) explain(f source.Migration, done Result, err error) error {
	failed := &MigrationError{File: filepath.Join(m.dir, f.Raw), Applied: done.Applied, Cause: err}
	var failure database.Error
	if errors.As(err, &failure) && failure.OrigErr != nil {
		failed.Cause = failure.OrigErr // the library's text repeats the whole file
	}
	var answer *pgconn.PgError
	if !errors.As(failed.Cause, &answer) {
		return failed
	}
	text, readErr := os.ReadFile(failed.File)
	if readErr != nil {
		return failed
	}
	failed.Line, failed.Column = place(string(text), int(answer.Position))
	// PostgreSQL runs the statements of one message in one transaction, unless
	// they begin and end transactions of their own. So the mark that the library
	// leaves on the database is too cautious, and takes a developer who mends a
	// typing error to a full reset.
	if !ownTransactions.MatchString(string(text)) {
		before := int(done.To)
		if done.To == 0 {
			before = database.NilVersion
		}
		failed.RolledBack = m.Force(before) == nil
	}
	return failed
}

var ownTransactions = regexp.MustCompile(`(?i)\b(begin|start\s+transaction|commit|rollback|end)\b`)

// place turns the server's position, in characters from 1, into line and column.
func place(text string, position int) (line, column int) {
	runes := []rune(text)
	if position < 1 || position > len(runes)+1 {
		return 0, 0
	}
	before := string(runes[:position-1])
	return strings.Count(before, "\n") + 1, len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
}
