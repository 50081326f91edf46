package compose

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// sql runs statements in the live database.
func sql(t *testing.T, p *Postgres, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL("goldenpath"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
}

func TestServers(t *testing.T) {
	needsDocker(t)
	w := newWorktree(t, projectFile(t))
	x := New(w.Config).three()
	if x.db.Addr() != "" || x.db.Done() != nil || x.db.Probe(t.Context()) == nil || x.db.URL("goldenpath") != "" {
		t.Error("before the first start it has an address, an end or an answer")
	}
	began := time.Now()
	startAll(t, x.all()...)
	t.Logf("first start: %s", time.Since(began))
	addresses := []string{x.db.Addr(), x.redis.Addr(), x.kafka.Addr()}
	same := func(t *testing.T) {
		t.Helper()
		for i, s := range x.all() {
			if s.Addr() != addresses[i] {
				t.Errorf("%s at %s, was at %s", s.Describe(), s.Addr(), addresses[i])
			}
		}
	}

	t.Run("they answer on loopback and say what they are", func(t *testing.T) {
		for i, want := range []string{
			`^PostgreSQL 17\.\d+ in ` + w.container("postgres") + ` \(postgres:17\.7\)$`,
			`^Redis 8\.\d+\.\d+ in ` + w.container("redis") + ` \(redis:8\.2\.3\)$`,
			`^Kafka in ` + w.container("kafka") + ` \(apache/kafka:4\.1\.0\)$`,
		} {
			s := x.all()[i]
			if !regexp.MustCompile(want).MatchString(s.Describe()) {
				t.Errorf("%q, want %s", s.Describe(), want)
			}
			if err := s.Probe(t.Context()); err != nil || !strings.HasPrefix(s.Addr(), "127.0.0.1:") {
				t.Errorf("%s: %v", s.Addr(), err)
			}
		}
	})

	t.Run("their logs arrive", func(t *testing.T) {
		eventually(t, "PostgreSQL's log", func() bool { return w.hasLogged("ready to accept connections") })
	})

	t.Run("a second start changes nothing", func(t *testing.T) {
		sideBySide(t, x.all(), func(s lifecycle) error { return s.Start(t.Context()) })
		same(t)
	})

	t.Run("Redis and Kafka can be emptied", func(t *testing.T) {
		if err := x.redis.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if err := x.kafka.Reset(t.Context()); err != nil {
			t.Error(err)
		}
	})

	t.Run("a container that is killed closes its Done alone, and starts again with its data", func(t *testing.T) {
		sql(t, x.db, "create table kept (x int)")
		sql(t, x.db, "checkpoint") // commits of a development database wait for no disk
		cli(t, "kill", w.container("postgres"))
		awaitDone(t, x.db)
		if isDone(x.redis) || isDone(x.kafka) {
			t.Error("another one counts as ended")
		}
		began := time.Now()
		if err := x.db.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("started again in %s", time.Since(began))
		same(t)
		sql(t, x.db, "select from kept")
		if isDone(x.db) {
			t.Error("the new run counts as ended")
		}
	})

	t.Run("one can be stopped and started while the others go on", func(t *testing.T) {
		began := time.Now()
		stopAll(t, x.redis)
		t.Logf("stopped in %s", time.Since(began))
		if isDone(x.redis) {
			t.Error("a stop counts as an end by itself")
		}
		if err := x.redis.Probe(t.Context()); err == nil {
			t.Error("it answers after stop")
		}
		if err := x.db.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		began = time.Now()
		if err := x.redis.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("started in %s", time.Since(began))
		same(t)
	})

	t.Run("a container that somebody removed can be stopped and started", func(t *testing.T) {
		cli(t, "rm", "--force", w.container("redis"))
		awaitDone(t, x.redis)
		stopAll(t, x.redis)
		if err := x.redis.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t)
	})

	t.Run("the next supervisor ends the calls that a killed one left, and goes on with its containers", func(t *testing.T) {
		before := cli(t, "ps", "--quiet", "--filter", "label="+projectLabel+"="+w.Project)
		// The killed one would not write its list any more; here it does.
		list, err := os.ReadFile(filepath.Join(w.Dir, "processes.json"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(w.Dir, "next.json"), string(list))
		registry := openRegistry(t, filepath.Join(w.Dir, "next.json"))
		if left, err := registry.Reap(5 * time.Second); err != nil || len(left) != 6 {
			t.Errorf("left %v, %v", left, err)
		}
		for _, s := range x.all() { // as seen by the one that was not really killed
			awaitDone(t, s)
		}
		config := w.Config
		config.Registry = registry
		x = New(config).three()
		began := time.Now()
		sideBySide(t, x.all(), func(s lifecycle) error { return s.Start(t.Context()) })
		t.Logf("went on in %s", time.Since(began))
		if after := cli(t, "ps", "--quiet", "--filter", "label="+projectLabel+"="+w.Project); after != before {
			t.Errorf("containers\n%swere\n%s", after, before)
		}
		if !w.hasSaid("found running") {
			t.Error("nothing was said of it")
		}
		same(t)
	})

	t.Run("the last one that stops takes containers and network down and keeps the volumes", func(t *testing.T) {
		began := time.Now()
		stopAll(t, x.all()...)
		t.Logf("down in %s", time.Since(began))
		if left := strings.Fields(w.left(t)); len(left) != 3 {
			t.Errorf("left: %v, want three volumes", left)
		}
		stopAll(t, x.all()...)
		if records := x.db.engine.cfg.Registry.Records(); len(records) != 0 {
			t.Errorf("still on record: %v", records)
		}
	})

	t.Run("all start again at the same addresses with their data", func(t *testing.T) {
		c := New(w.Config)
		x = c.three()
		began := time.Now()
		startAll(t, x.all()...)
		t.Logf("warm start: %s", time.Since(began))
		same(t)
		sql(t, x.db, "select from kept")

		t.Run("and Down with volumes throws all away, as often as one likes", func(t *testing.T) {
			stopAll(t, x.all()...)
			for range 2 {
				if err := c.Down(t.Context(), true); err != nil {
					t.Error(err)
				}
			}
			if left := w.left(t); left != "" {
				t.Errorf("left: %s", left)
			}
		})
	})
}

func TestTwoProjects(t *testing.T) {
	needsDocker(t)
	one, other := newWorktree(t, redisFile), newWorktree(t, redisFile)
	a, b := one.redis(), other.redis()
	startAll(t, a, b)
	if a.Addr() == b.Addr() {
		t.Fatalf("both are at %s", a.Addr())
	}
	stopAll(t, a)
	if err := b.Probe(t.Context()); err != nil {
		t.Errorf("the other does not answer any more: %v", err)
	}
}

func TestPortTaken(t *testing.T) {
	needsDocker(t)

	t.Run("by a program while down: the next one is used and said", func(t *testing.T) {
		w := newWorktree(t, redisFile)
		r := w.redis()
		startAll(t, r)
		addr := r.Addr()
		stopAll(t, r)
		thief, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		if err := r.Start(t.Context()); err != nil || r.Addr() == addr {
			t.Errorf("at %s: %v", r.Addr(), err)
		}
		if !w.hasSaid("taken by another program") {
			t.Error("nothing was said of it")
		}
	})

	t.Run("between two lives of a container: Docker's no is understood, and the next one is used", func(t *testing.T) {
		w := newWorktree(t, redisFile)
		c := New(w.Config)
		thief, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		if err := c.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.ports["redis"] = thief.Addr().(*net.TCPAddr).Port
		err = c.run(t.Context(), "up", 0, w, "--detach", "redis")
		if service := c.takenPort(err); service != "redis" {
			t.Errorf("%v is about %q", err, service)
		}
		c.release()
		r := c.Redis(redisDependency)
		startAll(t, r)
	})

	t.Run("when the file does not let devtool choose, the line to write is told", func(t *testing.T) {
		thief, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		_, port, _ := net.SplitHostPort(thief.Addr().String())
		w := newWorktree(t, strings.ReplaceAll(redisFile, "${REDIS_PORT:-6379}", port))
		r := w.redis()
		err = r.Start(t.Context())
		fails(t, err, port, `ports: ["127.0.0.1:${REDIS_PORT:-6379}:6379"]`)
		stopAll(t, r)
	})
}
