package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack/sticky"
)

const (
	redisStartTimeout = 20 * time.Second
	redisAskTimeout   = 2 * time.Second
)

// RedisOptions says what the server is for.
type RedisOptions struct {
	Name string // of the dependency: folder, port file, log
}

// Redis is a redis-server as a child of this process, or miniredis in it where
// the machine has none. Its data ends with it: what a stack needs again after
// `down` belongs elsewhere, and an empty cache at each start is what a
// deployment sees too.
type Redis struct {
	cfg     Config
	opts    RedisOptions
	program string // path of redis-server; empty: miniredis
	version string

	life sync.Mutex // Start, Stop, Flush of miniredis
	addr atomic.Pointer[string]
	run  atomic.Pointer[redisRun]
	mini *miniature // while it runs
}

type redisRun struct {
	process  *process.Process
	stopping atomic.Bool
	ended    chan struct{}
}

func (r *redisRun) alive() bool {
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

// NewRedis makes a server that does not run yet. It looks for redis-server on
// the PATH and in the folders where package managers put it.
func NewRedis(cfg Config, opts RedisOptions) *Redis {
	program, version := findRedis(os.Getenv("PATH"), "/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/usr/sbin")
	return newRedis(cfg, opts, program, version)
}

func newRedis(cfg Config, opts RedisOptions, program, version string) *Redis {
	return &Redis{cfg: cfg.withDefaults(), opts: opts, program: program, version: version}
}

var redisVersion = regexp.MustCompile(`\bv=(\d+(?:\.\d+)*)`)

// findRedis gives the first redis-server that tells its version.
func findRedis(path string, more ...string) (program, version string) {
	for _, dir := range append(filepath.SplitList(path), more...) {
		candidate := filepath.Join(dir, "redis-server")
		if !filepath.IsAbs(candidate) {
			continue
		}
		if _, err := exec.LookPath(candidate); err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), redisAskTimeout)
		cmd := exec.CommandContext(ctx, candidate, "--version")
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		cancel()
		if match := redisVersion.FindSubmatch(out); err == nil && match != nil {
			return candidate, string(match[1])
		}
	}
	return "", ""
}

// Describe says which of the two serves.
func (r *Redis) Describe() string {
	if r.program == "" {
		return "miniredis (no redis-server on this machine)"
	}
	return fmt.Sprintf("redis-server %s (%s)", r.version, r.program)
}

// Start returns when PING is answered.
func (r *Redis) Start(ctx context.Context) error {
	r.life.Lock()
	defer r.life.Unlock()
	if r.mini != nil || r.run.Load().alive() {
		return r.Probe(ctx)
	}
	if r.program == "" {
		return r.startMiniature(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, redisStartTimeout, fmt.Errorf("it did not answer within %s", redisStartTimeout))
	defer cancel()
	var last error
	for range startTries {
		log, err := r.attempt(ctx)
		if err == nil {
			return nil
		}
		var ended *endedError
		if !errors.As(err, &ended) {
			return fmt.Errorf("start redis-server: %w", err)
		}
		last = fmt.Errorf("start redis-server: it ended at once: %s", log.last(3))
		if !strings.Contains(log.text(), errPortTaken) {
			break
		}
	}
	return last
}

func (r *Redis) attempt(ctx context.Context) (*tail, error) {
	log := &tail{next: r.cfg.Output(r.opts.Name)}
	dir := filepath.Join(r.cfg.Dir, r.opts.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return log, err
	}
	port, err := r.reserve()
	if err != nil {
		return log, err
	}
	proc, err := process.Start(process.Spec{
		Name: r.opts.Name, Path: r.program, Dir: dir, Output: log,
		Args: []string{
			"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
			"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", "",
			"--loglevel", "warning", "--databases", "16",
		},
	}, r.cfg.Registry)
	if err != nil {
		return log, err
	}
	run := &redisRun{process: proc, ended: make(chan struct{})}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for r.Probe(ctx) != nil {
		select {
		case <-proc.Done():
			return log, &endedError{cause: proc.Err()}
		case <-ctx.Done():
			_ = proc.Stop(context.WithoutCancel(ctx)) // the cause says what matters
			return log, context.Cause(ctx)
		case <-tick.C:
		}
	}
	r.run.Store(run)
	go func() {
		<-proc.Done()
		if !run.stopping.Load() {
			close(run.ended)
		}
	}()
	return log, nil
}

func (r *Redis) reserve() (int, error) {
	port, moved, err := sticky.Open(r.cfg.Dir, r.opts.Name).Reserve()
	if err != nil {
		return 0, err
	}
	if moved != 0 {
		r.cfg.Progress(sticky.Moved(r.opts.Name, moved, port))
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	r.addr.Store(&addr)
	return port, nil
}

// Stop ends the server and its data.
func (r *Redis) Stop(ctx context.Context) error {
	r.life.Lock()
	defer r.life.Unlock()
	if r.mini != nil {
		r.mini.close()
		r.mini = nil
		return nil
	}
	run := r.run.Load()
	if !run.alive() {
		return nil
	}
	run.stopping.Store(true)
	return run.process.Stop(ctx)
}

// Flush removes all keys of all databases. Connections stay open.
func (r *Redis) Flush(ctx context.Context) error {
	if err := r.ask(ctx, "FLUSHALL", "+OK"); err != nil {
		return fmt.Errorf("empty Redis: %w", err)
	}
	return nil
}

// Probe sends PING.
func (r *Redis) Probe(ctx context.Context) error {
	if err := r.ask(ctx, "PING", "+PONG"); err != nil {
		return fmt.Errorf("ask Redis: %w", err)
	}
	return nil
}

// ask sends a command of one word (RESP, https://redis.io/docs/latest/develop/reference/protocol-spec/)
// and compares the one line of the answer. A client library would bring a pool,
// which is a lot for one word.
func (r *Redis) ask(ctx context.Context, command, want string) error {
	addr := r.Addr()
	if addr == "" {
		return errors.New("it has not been started")
	}
	ctx, cancel := context.WithTimeout(ctx, redisAskTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Closing is what interrupts a read when the caller gives up.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := fmt.Fprintf(conn, "*1\r\n$%d\r\n%s\r\n", len(command), command); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(conn, 512).ReadSlice('\n')
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if got := strings.TrimSpace(string(line)); got != want {
		return fmt.Errorf("%s was answered with %q", command, got)
	}
	return nil
}

// Addr is 127.0.0.1 and the port.
func (r *Redis) Addr() string {
	if addr := r.addr.Load(); addr != nil {
		return *addr
	}
	return ""
}

// PID is that of redis-server, 0 for miniredis.
func (r *Redis) PID() int {
	if run := r.run.Load(); run.alive() {
		return run.process.PID()
	}
	return 0
}

// Done is closed when redis-server ended by itself or was killed; it is nil for
// miniredis.
func (r *Redis) Done() <-chan struct{} {
	if run := r.run.Load(); run != nil {
		return run.ended
	}
	return nil
}
