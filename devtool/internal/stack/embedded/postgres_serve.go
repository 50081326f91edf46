package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack/embedded/cluster"
	"example.com/goldenpath/devtool/internal/stack/sticky"
)

const (
	// startTimeout allows for recovery from the log after a SIGKILL.
	startTimeout = time.Minute
	// readyPoll is how often a starting server is asked: a few times in the
	// tenth of a second that a warm start takes.
	readyPoll    = 5 * time.Millisecond
	probeTimeout = 5 * time.Second
	// startTries bounds how often a start is tried again after a cause that
	// goes away: a port that was taken meanwhile, children of a killed server.
	startTries = 5
)

// SQLSTATEs (PostgreSQL documentation, appendix A).
const (
	cannotConnectNow    = "57P03" // starting up, shutting down, recovering
	noSuchDatabase      = "3D000"
	notAccepting        = "55000" // a database that a reset is exchanging
	invalidPassword     = "28P01"
	invalidRole         = "28000"
	tooManyConnections  = "53300"
	errPortTaken        = "Address already in use"
	errMemoryStillInUse = "still in use" // "pre-existing shared memory block …"
	errNoSpace          = "No space left on device"
)

// serve runs the server on a prepared cluster, again where the cause of a
// failure can be mended.
func (p *Postgres) serve(ctx context.Context, c *cluster.Cluster) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it did not answer within %s", startTimeout))
	defer cancel()
	var said string
	mended := false
	for range startTries {
		log, err := p.attempt(ctx, c)
		if err == nil {
			return nil
		}
		var ended *endedError
		if !errors.As(err, &ended) {
			return err
		}
		said = log.last(3)
		switch text := log.text(); {
		case strings.Contains(text, errNoSpace):
			return explainPrepare(fmt.Errorf("start it in %s: %w", c.Home, cluster.ErrDiskFull))
		case strings.Contains(text, errPortTaken):
			continue
		case strings.Contains(text, errMemoryStillInUse):
			if err := c.EndLeftovers(ctx); err != nil {
				return fmt.Errorf("start PostgreSQL: %w", err)
			}
			if err := pause(ctx, 200*time.Millisecond); err != nil {
				return fmt.Errorf("start PostgreSQL: %w: %s", err, said)
			}
			continue
		case damaged(text) && !mended:
			mended = true
			if err := c.SetAside("its data is damaged: " + said); err != nil {
				return fmt.Errorf("start PostgreSQL: %w", err)
			}
			if err := c.Prepare(ctx); err != nil {
				return explainPrepare(err)
			}
			continue
		}
		return &console.Failure{Exit: console.ExitFailed, Text: "start PostgreSQL: it ended at once: " + said, Cause: ended.cause,
			Hint: "devtool up --fresh starts with new data"}
	}
	return &console.Failure{Exit: console.ExitFailed, Text: fmt.Sprintf("start PostgreSQL: it ended %d times: %s", startTries, said),
		Hint: "devtool up --fresh starts with new data"}
}

// damaged knows what PostgreSQL says when files of the data directory are
// missing or hold garbage. Everything else that keeps it from starting is not a
// reason to give up data.
func damaged(log string) bool {
	for _, sign := range []string{
		"incorrect checksum in control file",
		"could not locate a valid checkpoint record",
		"could not locate required checkpoint record",
		"invalid checkpoint",
		"database files are incompatible with server",
		"database system identifier differs",
		"control file contains invalid",
		"global/pg_control\"",
		"could not open file \"global/",
		"could not open directory \"",
		"could not read file \"global/",
		"could not access status of transaction",
		"does not contain a valid",
		"is not a database cluster directory",
		"invalid data in file",
		"invalid relation map",
		"relation mapping file",
	} {
		if strings.Contains(log, sign) {
			return true
		}
	}
	return false
}

// endedError is a server that ended before it answered.
type endedError struct{ cause error }

func (e *endedError) Error() string { return "the server ended" }
func (e *endedError) Unwrap() error { return e.cause }

func (p *Postgres) attempt(ctx context.Context, c *cluster.Cluster) (*tail, error) {
	log := &tail{next: p.cfg.Output(p.opts.Name)}
	port, moved, err := sticky.Open(p.cfg.Dir, p.opts.Name).Reserve()
	if err != nil {
		return log, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if moved != 0 {
		p.cfg.Progress(sticky.Moved(p.opts.Name, moved, port))
	}
	if err := c.MarkInUse(); err != nil {
		return log, fmt.Errorf("start PostgreSQL: %w", err)
	}
	proc, err := process.Start(process.Spec{
		Name: p.opts.Name, Path: c.Binaries.Postgres(),
		Args: []string{"-D", c.Data(), "-c", "port=" + strconv.Itoa(port)},
		Dir:  c.Home, Env: cluster.Environment(), Credential: c.Credential,
		Output: log, StopSignal: syscall.SIGINT,
	}, p.cfg.Registry)
	if err != nil {
		return log, err
	}
	r := &run{process: proc, cluster: c, ended: make(chan struct{})}
	p.port.Store(int64(port))
	if err := p.awaitReady(ctx, proc); err != nil {
		_ = proc.Stop(context.WithoutCancel(ctx)) // err says what matters
		return log, err
	}
	p.run.Store(r)
	go func() {
		<-proc.Done()
		if !r.stopping.Load() {
			close(r.ended)
		}
	}()
	return log, nil
}

func (p *Postgres) awaitReady(ctx context.Context, proc *process.Process) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := p.Probe(ctx)
		if err == nil {
			return nil
		}
		if err := p.refusal(err); err != nil {
			return err
		}
		select {
		case <-proc.Done():
			return &endedError{cause: proc.Err()}
		case <-ctx.Done():
			return &console.Failure{Exit: console.ExitFailed, Text: "start PostgreSQL", Cause: context.Cause(ctx), Hint: "devtool logs " + p.opts.Name}
		case <-tick.C:
		}
	}
}

// refusal is an answer of the server that waiting will not change.
func (p *Postgres) refusal(err error) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return nil
	}
	switch answer.Code {
	case invalidPassword, invalidRole:
		return &console.Failure{Exit: console.ExitFailed, Text: "start PostgreSQL: its data was made for another user or password", Cause: err,
			Hint: "give the old user and password back, or start with new data: devtool up --fresh"}
	case cannotConnectNow, tooManyConnections:
		return nil
	}
	return fmt.Errorf("start PostgreSQL: %w", err)
}

// Probe runs a query in the live database. While there is none, or a reset is
// exchanging it, the database "postgres" answers in its place.
func (p *Postgres) Probe(ctx context.Context) error {
	if p.Addr() == "" {
		return errors.New("ask PostgreSQL: it has not been started")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := p.ask(ctx, p.opts.Database)
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == noSuchDatabase || answer.Code == notAccepting) {
		err = p.ask(ctx, "postgres")
	}
	if err != nil {
		return fmt.Errorf("ask PostgreSQL: %w", err)
	}
	return nil
}

func (p *Postgres) ask(ctx context.Context, database string) error {
	config, err := pgx.ParseConfig(p.URL(database))
	if err != nil {
		return err
	}
	// pgx reads PGHOST and the like; none of them is meant for this server. It
	// would also try again without TLS, which the URL forbids already.
	config.Fallbacks = nil
	config.DialFunc = (&net.Dialer{Timeout: probeTimeout}).DialContext
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "select 1")
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
