// Package postgres keeps notes, their outbox and the ledger of handled keys in
// PostgreSQL.
package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"example.com/goldenpath/service/internal/domain/note"
)

// Defaults of Config.
const (
	DefaultTimeout        = 5 * time.Second
	DefaultConnectTimeout = 3 * time.Second
	DefaultMaxConns       = 10
)

// Config says where the database is and how long to wait for it. A zero field
// but URL takes its default.
type Config struct {
	URL            string        // postgres://user:password@host:port/database?options
	Timeout        time.Duration // of one statement or transaction step, connecting included
	MaxConns       int32         // the pool's size
	ConnectTimeout time.Duration // of one connection attempt
}

// DB is a pool of connections. Safe for concurrent use.
type DB struct {
	pool     *pgxpool.Pool
	sockets  *sockets
	timeout  time.Duration
	attempts int // connections that may turn out dead before one is surely fresh
}

// Open returns the database behind c.URL. It connects when it is first used, so
// it fails on a URL that cannot be read, and not on a server that is away.
// Statements run as spans of tp inside a trace, and leave none outside of one.
// The caller closes the DB.
func Open(ctx context.Context, c Config, tp trace.TracerProvider) (*DB, error) {
	conf, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the database url: %w", err)
	}
	timeout := orDefault(c.Timeout, DefaultTimeout)
	conf.MaxConns = orDefault(c.MaxConns, DefaultMaxConns)
	conf.ConnConfig.ConnectTimeout = orDefault(c.ConnectTimeout, DefaultConnectTimeout)
	for name, value := range serverLimits(timeout) {
		if _, set := conf.ConnConfig.RuntimeParams[name]; !set {
			conf.ConnConfig.RuntimeParams[name] = value
		}
	}
	sockets := newSockets()
	conf.ConnConfig.DialFunc = sockets.watch(conf.ConnConfig.DialFunc)
	// Looking at the socket costs no round trip, where pgx's ping of a
	// connection that was idle for a second would double a request's latency.
	conf.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	conf.PrepareConn = func(_ context.Context, c *pgx.Conn) (bool, error) { return alive(c.PgConn().Conn()), nil }
	// Statements alone have spans. Connecting and preparing depend on the state
	// of the pool, and would make two traces of the same request differ.
	conf.ConnConfig.Tracer = struct{ pgx.QueryTracer }{otelpgx.NewTracer(
		otelpgx.WithTracerProvider(tp),
		otelpgx.WithSpanNameCtxFunc(statementName),
	)}
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("opening the database pool: %w", err)
	}
	return &DB{pool: pool, sockets: sockets, timeout: timeout, attempts: int(conf.MaxConns) + 1}, nil
}

// serverLimits are settings of a session that end, on the server's side, what we
// have given up on, locks included: a statement when its time is up, and a
// session within a minute when its client has fallen off the network. The URL
// may set them otherwise.
func serverLimits(timeout time.Duration) map[string]string {
	return map[string]string{
		"statement_timeout":       strconv.FormatInt(timeout.Milliseconds(), 10), // milliseconds
		"tcp_keepalives_idle":     "30",                                          // seconds, as the next
		"tcp_keepalives_interval": "10",
		"tcp_keepalives_count":    "3",
	}
}

// farewell is how long Close waits for statements to end and for the server to
// take its leave.
const farewell = time.Second

// Close closes every connection, after a moment also those that are in use.
func (db *DB) Close() {
	late := time.AfterFunc(farewell, db.sockets.closeAll)
	defer late.Stop()
	db.pool.Close()
}

// Ping says whether the database answers a query.
func (db *DB) Ping(ctx context.Context) error {
	return db.read(ctx, "pinging the database", func(ctx context.Context, c conn) error {
		_, err := c.Exec(ctx, "SELECT 1")
		return err
	})
}

// Notes is the repository of notes.
func (db *DB) Notes() note.Repository { return &notes{db} }

// Outbox is the writing end of the outbox.
func (db *DB) Outbox() note.Outbox { return &outbox{db} }

// Ledger is the ledger of handled keys.
func (db *DB) Ledger() note.Ledger { return &ledger{db} }

// Tx runs functions in transactions.
func (db *DB) Tx() note.Transactor { return &transactor{db} }

// Relay is the reading end of the outbox.
func (db *DB) Relay() *OutboxQueue { return &OutboxQueue{db} }

func orDefault[T int32 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}
