package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack/embedded/binaries"
	"example.com/goldenpath/devtool/internal/stack/embedded/cluster"
)

// PostgresOptions says what the server is for. The user is the cluster's
// superuser, as POSTGRES_USER is in the official image, so that both engines
// give the same rights.
type PostgresOptions struct {
	Name     string // of the dependency: folder, port file, log
	Database string // the live database; it is the caller who makes it
	User     string
	Password string
}

// Postgres is a PostgreSQL server as a child of this process.
//
// Its data survives Stop, SIGKILL of the server and of the supervisor. It does
// not survive a crash of the machine, because fsync is off: then Start sets the
// data aside, says so, and begins with an empty cluster.
type Postgres struct {
	cfg  Config
	opts PostgresOptions

	life  sync.Mutex // Start and Stop
	place atomic.Pointer[binaries.Set]
	port  atomic.Int64
	run   atomic.Pointer[run]
}

// run is one life of the server.
type run struct {
	process  *process.Process
	cluster  *cluster.Cluster
	stopping atomic.Bool
	ended    chan struct{} // closed when it ended and was not asked to
}

func (r *run) alive() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.process.Done():
		return false
	default:
		return true
	}
}

// NewPostgres makes a server that does not run yet.
func NewPostgres(cfg Config, opts PostgresOptions) *Postgres {
	return &Postgres{cfg: cfg.withDefaults(), opts: opts}
}

// Start starts the server and returns when it answers a query in the live
// database, or in the database "postgres" as long as there is no live one.
func (p *Postgres) Start(ctx context.Context) error {
	p.life.Lock()
	defer p.life.Unlock()
	if p.run.Load().alive() {
		return p.Probe(ctx)
	}
	set, err := p.binaries(ctx)
	if err != nil {
		return err
	}
	p.place.Store(&set)
	owner, err := cluster.ServerUser(os.Getuid(), user.Lookup)
	if err != nil {
		return &console.Failure{Exit: console.ExitFailed, Text: "PostgreSQL does not run as root", Cause: err, Hint: "run devtool as an ordinary user"}
	}
	c := &cluster.Cluster{
		Home: filepath.Join(p.cfg.Dir, p.opts.Name), Binaries: set,
		Superuser: p.opts.User, Password: p.opts.Password,
		Credential: owner, Registry: p.cfg.Registry, Tell: p.cfg.Progress,
	}
	if err := c.Prepare(ctx); err != nil {
		return explainPrepare(err)
	}
	return p.serve(ctx, c)
}

func explainPrepare(err error) error {
	switch {
	case errors.Is(err, cluster.ErrUnreachable):
		return &console.Failure{Exit: console.ExitFailed, Text: "prepare PostgreSQL", Cause: err,
			Hint: "set DEVTOOL_STATE_HOME to a folder that every user may enter, such as /var/lib/devtool"}
	case errors.Is(err, cluster.ErrDiskFull), errors.Is(err, syscall.ENOSPC):
		return &console.Failure{Exit: console.ExitFailed, Text: "prepare PostgreSQL", Cause: err,
			Hint: "free about 100 MB there, or set DEVTOOL_STATE_HOME to a folder on a larger disk"}
	}
	return fmt.Errorf("prepare PostgreSQL: %w", err)
}

// binaries finds the server programs, or fetches them.
func (p *Postgres) binaries(ctx context.Context) (binaries.Set, error) {
	set, ok, err := binaries.Find(ctx, binaries.SystemPlaces(os.Getenv))
	if err != nil {
		return set, &console.Failure{Exit: console.ExitFailed, Text: "find PostgreSQL", Cause: err,
			Hint: "let PGBIN name a folder with initdb and postgres, or unset it"}
	}
	if ok {
		return set, nil
	}
	p.cfg.Progress("no PostgreSQL on this machine, so it is fetched once into the user's cache")
	cache, err := programCache(os.Getuid())
	if err == nil {
		set, err = binaries.Fetcher{Dir: cache, Repository: binaries.Repository, Progress: p.cfg.Progress}.Fetch(ctx)
	}
	if err != nil {
		return set, &console.Failure{Exit: console.ExitFailed, Text: "no PostgreSQL on this machine, and none could be fetched", Cause: err,
			Hint: "install it: apt-get install postgresql, or brew install postgresql"}
	}
	return set, nil
}

// programCache is the user's; root's is where the user that runs the server can
// read it.
func programCache(uid int) (string, error) {
	if uid == 0 {
		return "/var/cache/devtool", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "devtool"), nil
}

// Stop shuts the server down ("fast shutdown": open transactions are rolled
// back) and writes its data out to the disk.
func (p *Postgres) Stop(ctx context.Context) error {
	p.life.Lock()
	defer p.life.Unlock()
	r := p.run.Load()
	if !r.alive() {
		return nil
	}
	r.stopping.Store(true)
	if err := r.process.Stop(ctx); err != nil {
		return err
	}
	if err := r.process.Err(); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	// Without it the data is merely not trusted after the next boot.
	if err := r.cluster.MarkClean(ctx); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return nil
}

// Addr is 127.0.0.1 and the port.
func (p *Postgres) Addr() string {
	port := p.port.Load()
	if port == 0 {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.FormatInt(port, 10))
}

// PID is the postmaster's.
func (p *Postgres) PID() int {
	if r := p.run.Load(); r.alive() {
		return r.process.PID()
	}
	return 0
}

// Done is closed when the server ended by itself or was killed.
func (p *Postgres) Done() <-chan struct{} {
	if r := p.run.Load(); r != nil {
		return r.ended
	}
	return nil
}

// Describe gives the version and where its programs are.
func (p *Postgres) Describe() string {
	set := p.place.Load()
	if set == nil {
		return "PostgreSQL"
	}
	return fmt.Sprintf("PostgreSQL %s (%s)", set.Version, set.Dir)
}

// AdminURL connects to the database "postgres", which a reset leaves alone.
func (p *Postgres) AdminURL() string { return p.URL("postgres") }

// URL connects to a database of the server, as the superuser.
func (p *Postgres) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(p.opts.User, p.opts.Password),
		Host: p.Addr(), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}
