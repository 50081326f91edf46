package schema

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	pgxmigrate "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// turn is the advisory lock of the Up whose turn it is ("notesddl").
	turn = 0x6e6f74657364646c
	// turnPause is the wait between two looks at that lock.
	turnPause = 200 * time.Millisecond
	// farewell is what a cancelled statement gets to end, and its migration to be
	// marked as undone, before the line is cut.
	farewell = 3 * time.Second
)

// db is a database whose connections end with a context, which golang-migrate
// does not know.
type db struct {
	name   string
	pool   *sql.DB
	lines  *lines
	stop   func() bool
	turn   *sql.Conn       // holds the lock; nil before
	driver database.Driver // nil until the lock is held
}

func open(ctx context.Context, c Config) (*db, error) {
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, &Failure{err, "mend DATABASE_URL"}
	}
	config.ConnectTimeout = c.ConnectTimeout
	lines := &lines{}
	d := &db{name: config.Database, pool: stdlib.OpenDB(*config, stdlib.OptionAfterConnect(lines.add)), lines: lines}
	d.pool.SetMaxOpenConns(2) // the lock's and golang-migrate's
	d.stop = context.AfterFunc(ctx, lines.end)
	if err := d.pool.PingContext(ctx); err != nil {
		d.close()
		return nil, failed(err)
	}
	return d, nil
}

// lock waits for this Up's turn, and keeps it until the connection ends.
//
// golang-migrate has such a lock too, and waits for it inside a statement. CREATE
// INDEX CONCURRENTLY of the one that holds the lock waits for all statements
// that are under way, this one included, and PostgreSQL ends both waits as a
// deadlock. Asking again and again leaves nothing under way.
func (d *db) lock(ctx context.Context, out io.Writer) error {
	var err error
	if d.turn, err = d.pool.Conn(ctx); err != nil {
		return failed(err)
	}
	tick := time.NewTicker(turnPause)
	defer tick.Stop()
	for told := false; ; {
		var mine bool
		if err := d.turn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(turn)).Scan(&mine); err != nil {
			return failed(err)
		}
		if mine {
			break
		}
		if !told {
			told = true
			fmt.Fprintln(out, "waiting for another migration to end")
		}
		select {
		case <-ctx.Done():
			return failed(fmt.Errorf("waiting for another migration to end: %w", ctx.Err()))
		case <-tick.C:
		}
	}
	// The name goes into the key of golang-migrate's own lock, and golang-migrate's
	// command takes it from the path of a URL, slash and all. With the same key,
	// the two take turns as well.
	config := pgxmigrate.Config{DatabaseName: "/" + d.name}
	if d.driver, err = pgxmigrate.WithInstance(d.pool, &config); err != nil {
		return failed(err)
	}
	return failed(d.driver.Lock())
}

// close ends every connection, and the locks with them.
func (d *db) close() {
	d.stop()
	// What was to be read is read, and what was written is committed.
	if d.driver != nil {
		_ = d.driver.Close()
	}
	if d.turn != nil {
		_ = d.turn.Close()
	}
	_ = d.pool.Close()
	d.lines.cut()
}

// lines are the connections of a pool.
type lines struct {
	mu   sync.Mutex
	open []*pgx.Conn
	late *time.Timer
}

func (l *lines) add(_ context.Context, c *pgx.Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, c)
	return nil
}

// end cancels the statements under way, and soon after closes the connections.
func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	limited, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	l.late = time.AfterFunc(farewell, l.cut)
	for _, c := range l.open {
		_ = c.PgConn().CancelRequest(limited) // the line is cut in any case
	}
}

// cut closes what is still open.
func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.late != nil {
		l.late.Stop()
	}
	for _, c := range l.open {
		_ = c.PgConn().Conn().Close() // most have been closed in good order
	}
	l.open = nil
}
