package attached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/goldenpath/devtool/internal/console"
)

const (
	postgresLimit = 5 * time.Second
	// oldestPostgres leaves out what has had no security fixes since November
	// 2025 (https://www.postgresql.org/support/versioning/).
	oldestPostgres = 14
	// longestMessage is above any answer to the questions asked here. What
	// speaks another protocol seems to announce gigabytes, which pgx would
	// reserve.
	longestMessage = 1 << 20 // bytes
)

// SQLSTATEs (PostgreSQL documentation, appendix A).
const (
	invalidRole        = "28000"
	invalidPassword    = "28P01"
	noSuchDatabase     = "3D000"
	uniqueViolation    = "23505"
	noPrivilege        = "42501"
	databaseExists     = "42P04"
	tooManyConnections = "53300"
	notAccepting       = "55000" // a database that a reset is exchanging
	objectInUse        = "55006" // a template that is being copied
	adminShutdown      = "57P01"
	crashShutdown      = "57P02"
	cannotConnectNow   = "57P03" // starting up, shutting down, recovering
)

// PostgresOptions says where the server is and what it is for.
type PostgresOptions struct {
	Name     string // of the dependency
	Addr     string // host:port
	Database string // the live database; Start makes it when it is missing
	User     string // may create databases
	Password string
	Patience time.Duration // how long Start waits for an answer; 0: a minute
}

// Postgres is a PostgreSQL server.
type Postgres struct {
	remote
	opts    PostgresOptions
	version atomic.Pointer[string] // what it said when it was last asked
	admin   atomic.Pointer[string] // the database for orders about others
}

// NewPostgres makes one that has not been asked anything yet.
func NewPostgres(opts PostgresOptions) *Postgres {
	p := &Postgres{remote: newRemote(opts.Name, opts.Addr, opts.Patience, postgresLimit), opts: opts}
	admin := "postgres"
	p.admin.Store(&admin)
	return p
}

// Start returns when the live database answers a query.
func (p *Postgres) Start(ctx context.Context) error { return p.await(ctx, p.prepare) }

func (p *Postgres) prepare(ctx context.Context) error {
	if err := p.inspect(ctx); err != nil {
		return refusedByPostgres(err)
	}
	return refusedByPostgres(p.Probe(ctx))
}

// inspect learns the version, and makes the live database if there is none.
func (p *Postgres) inspect(ctx context.Context) error {
	conn, err := p.connectAdmin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// Packagers add words of their own, as in "17.7 (Debian 17.7-3)".
	version, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	p.version.Store(&version)
	var major int
	if _, err := fmt.Sscanf(version, "%d", &major); err != nil || major < oldestPostgres {
		return console.Fail(console.ExitFailed, "let compose.yaml name a newer image; its volume must be made anew",
			"PostgreSQL %s is too old, %d or newer is needed", version, oldestPostgres)
	}
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", p.opts.Database).Scan(&exists)
	if err != nil {
		return err
	}
	if exists {
		return nil
	}
	return p.create(ctx, conn)
}

// connectAdmin connects to a database that a reset leaves alone: postgres, or
// template1 where there is none or the role may not enter it.
func (p *Postgres) connectAdmin(ctx context.Context) (*pgx.Conn, error) {
	var shut error
	for _, database := range []string{"postgres", "template1"} {
		conn, err := p.connect(ctx, database)
		if err == nil {
			p.admin.Store(&database)
			return conn, nil
		}
		if code := sqlState(err); code != noPrivilege && code != noSuchDatabase {
			return nil, err
		}
		shut = err
	}
	return nil, &console.Failure{Exit: console.ExitFailed, Cause: shut,
		Text: fmt.Sprintf("user %q may enter neither postgres nor template1, from where databases are made", p.opts.User),
		Hint: "as a superuser: GRANT CONNECT ON DATABASE postgres TO " + pgx.Identifier{p.opts.User}.Sanitize()}
}

func (p *Postgres) create(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{p.opts.Database}.Sanitize())
	switch sqlState(err) {
	case databaseExists, uniqueViolation: // another made it in this moment
		return nil
	case noPrivilege:
		return &console.Failure{Exit: console.ExitFailed, Text: "create database " + p.opts.Database, Cause: err,
			Hint: "as a superuser: ALTER ROLE " + pgx.Identifier{p.opts.User}.Sanitize() + " CREATEDB"}
	}
	return err
}

// refusedByPostgres makes a failure of what waiting will not change.
func refusedByPostgres(err error) error {
	var known *console.Failure
	if err == nil || errors.As(err, &known) {
		return err
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return refusedWith(answer)
	}
	if fleeting(err) {
		return err
	}
	return &console.Failure{Exit: console.ExitFailed, Text: "what answers does not speak to clients of PostgreSQL", Cause: err, Hint: strangerHint}
}

func refusedWith(answer *pgconn.PgError) error {
	switch answer.Code {
	case cannotConnectNow, adminShutdown, crashShutdown, tooManyConnections, notAccepting, objectInUse:
		return answer
	case invalidRole:
		// The code does not tell a role that is missing, as long as scripts
		// fill a new server, from one that pg_hba.conf keeps out; the place in
		// the server's source does.
		if answer.Routine == "InitializeSessionUserId" {
			return answer
		}
		fallthrough
	case invalidPassword:
		return &console.Failure{Exit: console.ExitFailed, Text: "the user or the password is not accepted", Cause: answer,
			Hint: "let devtool.yaml give those of compose.yaml; data that was made with others goes with docker compose down --volumes"}
	}
	return console.Wrap(answer, console.ExitFailed, "")
}

// Probe runs a query in the live database. While there is none, or a reset is
// exchanging it, the database of AdminURL answers in its place.
func (p *Postgres) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	err := p.ask(ctx, p.opts.Database)
	if code := sqlState(err); code == noSuchDatabase || code == notAccepting {
		err = p.ask(ctx, *p.admin.Load())
	}
	if err != nil {
		return fmt.Errorf("ask PostgreSQL at %s: %w", p.addr, err)
	}
	return nil
}

func (p *Postgres) ask(ctx context.Context, database string) error {
	conn, err := p.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "SELECT 1")
	return err
}

func (p *Postgres) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(p.URL(database))
	if err != nil {
		return nil, console.Wrap(err, console.ExitFailed, "")
	}
	// The dialer looks the name up, so that of a host with several addresses
	// there is one error.
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.DialFunc = (&net.Dialer{}).DialContext
	config.MaxProtocolMessageBodyLen = longestMessage
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, shorten(err)
	}
	return conn, nil
}

// shorten takes from an error of pgx what it repeats of the address and user.
func shorten(err error) error {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return network
	}
	return err
}

func sqlState(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// Describe gives the version, once the server has told it, and the address.
func (p *Postgres) Describe() string {
	if version := p.version.Load(); version != nil {
		return fmt.Sprintf("PostgreSQL %s at %s", *version, p.addr)
	}
	return "PostgreSQL at " + p.addr
}

// AdminURL connects to a database that a reset leaves alone.
func (p *Postgres) AdminURL() string { return p.URL(*p.admin.Load()) }

// URL connects to a database of the server.
func (p *Postgres) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(p.opts.User, p.opts.Password),
		Host: p.addr, Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}
