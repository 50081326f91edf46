package attached

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should take moments.
const patience = 20 * time.Second

// password has characters that mean something in a URL.
const password = "se cr/et'@:%?#&é"

// server is what stack asks of every server.
type server interface {
	Start(ctx context.Context) error
	Addr() string
	PID() int
	Describe() string
	Done() <-chan struct{}
	Probe(ctx context.Context) error
	Stop(ctx context.Context) error
}

// life starts and stops a server that is attached to.
type life interface {
	Start(ctx context.Context) error
	Addr() string
	Stop(ctx context.Context) error
}

// started starts a server until the end of the test.
func started[S life](t *testing.T, make func(embedded.Config) S) S {
	t.Helper()
	// t.TempDir is not for the user that runs PostgreSQL when root tests.
	dir, err := os.MkdirTemp("", "attached-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	registry, err := process.OpenRegistry(filepath.Join(dir, "processes.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := make(embedded.Config{Dir: dir, Registry: registry})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s life) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func realPostgres(c embedded.Config) *embedded.Postgres {
	return embedded.NewPostgres(c, embedded.PostgresOptions{Name: "db", Database: "notes", User: "app", Password: password})
}

func realRedis(c embedded.Config) *embedded.Redis {
	return embedded.NewRedis(c, embedded.RedisOptions{Name: "redis"})
}

func realKafka(c embedded.Config) *embedded.Kafka {
	return embedded.NewKafka(c, embedded.KafkaOptions{Name: "kafka"})
}

// newDoor is an address at which every visitor gets what behave does: where
// servers are arranged that misbehave.
func newDoor(t *testing.T, behave func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, shut := context.WithCancel(context.Background())
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				defer conn.Close()
				behave(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		shut()
		open.Wait()
	})
	return l.Addr().String()
}

// silence takes all and answers nothing.
func silence(c net.Conn) { io.Copy(io.Discard, c) }

// slam closes at once, as Docker does for a published port where nothing
// listens yet.
func slam(net.Conn) {}

// first lets n visitors have what bad does, and those that follow what then does.
func first(n int64, bad, then func(net.Conn)) func(net.Conn) {
	var visits atomic.Int64
	return func(c net.Conn) {
		if visits.Add(1) <= n {
			bad(c)
		} else {
			then(c)
		}
	}
}

// says answers whatever comes first with text.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			io.WriteString(c, text)
		}
	}
}

// leads to the server behind, through change if that is not nil.
func leads(to string, change func([]byte) []byte) func(net.Conn) {
	return func(c net.Conn) {
		up, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer up.Close()
		go func() {
			io.Copy(up, c)
			up.Close()
		}()
		buffer := make([]byte, 32<<10)
		for {
			n, err := up.Read(buffer)
			text := buffer[:n]
			if change != nil {
				text = change(text)
			}
			if _, werr := c.Write(text); err != nil || werr != nil {
				return
			}
		}
	}
}

// freeAddr has nobody listening.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// failure asserts that err is for a person: an address, a cause, a next step.
func failure(t *testing.T, err error, parts ...string) {
	t.Helper()
	var f *console.Failure
	if !errors.As(err, &f) || f.Exit != console.ExitFailed {
		t.Fatalf("error %v", err)
	}
	text := err.Error() + "\nhint: " + console.HintOf(err)
	if console.HintOf(err) == "" {
		t.Errorf("no hint: %v", err)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in: %s", part, text)
		}
	}
}

type kind struct {
	name  string
	serve func(*testing.T) life
	open  func(addr string, patience, limit time.Duration) server
}

var kinds = []kind{
	{"PostgreSQL", func(t *testing.T) life { return started(t, realPostgres) },
		func(addr string, patience, limit time.Duration) server {
			p := NewPostgres(PostgresOptions{Name: "db", Addr: addr, Database: "notes", User: "app", Password: password, Patience: patience})
			p.limit = limit
			return p
		}},
	{"Redis", func(t *testing.T) life { return started(t, realRedis) },
		func(addr string, patience, limit time.Duration) server {
			r := NewRedis(RedisOptions{Name: "redis", Addr: addr, Patience: patience})
			r.limit = limit
			return r
		}},
	{"Kafka", func(t *testing.T) life { return started(t, realKafka) },
		func(addr string, patience, limit time.Duration) server {
			k := NewKafka(KafkaOptions{Name: "kafka", Addr: addr, Topics: []string{"notes.v1"}, Patience: patience})
			k.limit = limit
			return k
		}},
}

func TestServers(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			up := kind.serve(t)
			const whole = 5 * time.Second // for one question

			t.Run("it is described by its address before and after the first start", func(t *testing.T) {
				s := kind.open(up.Addr(), patience, whole)
				before := s.Describe()
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, text := range []string{before, s.Describe()} {
					if !strings.HasPrefix(text, kind.name) || !strings.Contains(text, " at "+up.Addr()) {
						t.Errorf("described as %q", text)
					}
				}
				if s.Addr() != up.Addr() || s.PID() != 0 || s.Done() != nil {
					t.Errorf("at %s, pid %d", s.Addr(), s.PID())
				}
				t.Log(s.Describe())
			})

			t.Run("a second start and a stop change nothing", func(t *testing.T) {
				s := kind.open(up.Addr(), patience, whole)
				for range 2 {
					if err := errors.Join(s.Start(t.Context()), s.Probe(t.Context()), s.Stop(t.Context()), s.Stop(t.Context())); err != nil {
						t.Error(err)
					}
				}
			})

			t.Run("where nothing listens start waits and then says where, why and what next", func(t *testing.T) {
				addr := freeAddr(t)
				began := time.Now()
				failure(t, kind.open(addr, 300*time.Millisecond, whole).Start(t.Context()),
					addr, "no answer within 300ms", "refused", "devtool up --engine embedded")
				if took := time.Since(began); took < 300*time.Millisecond || took > 3*time.Second {
					t.Errorf("it took %s", took)
				}
			})

			t.Run("a name that nobody knows is waited for, then named", func(t *testing.T) {
				failure(t, kind.open("server.invalid:5432", 300*time.Millisecond, whole).Start(t.Context()),
					"server.invalid:5432", "rebuild the dev container")
			})

			t.Run("one that takes connections and says nothing is given up in time", func(t *testing.T) {
				d := newDoor(t, silence)
				began := time.Now()
				failure(t, kind.open(d, 300*time.Millisecond, whole).Start(t.Context()), d, "no answer within 300ms")
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("it took %s", took)
				}
			})

			t.Run("a question that is not answered is put again", func(t *testing.T) {
				d := newDoor(t, first(2, silence, leads(up.Addr(), nil)))
				if err := kind.open(d, patience, 250*time.Millisecond).Start(t.Context()); err != nil {
					t.Error(err)
				}
			})

			t.Run("one that closes connections at first is waited for", func(t *testing.T) {
				d := newDoor(t, first(4, slam, leads(up.Addr(), nil)))
				if err := kind.open(d, patience, whole).Start(t.Context()); err != nil {
					t.Error(err)
				}
			})

			for name, text := range map[string]string{
				"an HTTP server": "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
				"an SSH server":  "SSH-2.0-OpenSSH_9.6\r\n",
				"a mail server":  "220 mail.example ESMTP\r\n",
			} {
				t.Run(name+" in its place is noticed at once", func(t *testing.T) {
					d := newDoor(t, says(text))
					began := time.Now()
					failure(t, kind.open(d, patience, whole).Start(t.Context()), d, "does not speak", "another program")
					if took := time.Since(began); took > 5*time.Second {
						t.Errorf("it took %s", took)
					}
				})
			}

			t.Run("a start that is cancelled returns at once", func(t *testing.T) {
				for name, behave := range map[string]func(net.Conn){"silent": silence, "closing": slam} {
					ctx, cancel := context.WithCancel(t.Context())
					d := newDoor(t, func(c net.Conn) {
						time.AfterFunc(20*time.Millisecond, cancel) // in the middle of the question
						behave(c)
					})
					began := time.Now()
					err := kind.open(d, patience, whole).Start(ctx)
					if took := time.Since(began); !errors.Is(err, context.Canceled) || took > time.Second {
						t.Errorf("%s: %v after %s", name, err, took)
					}
					streams, _, _ := console.Buffers()
					if code := console.Report(streams, err); code != 130 {
						t.Errorf("%s: exit code %d", name, code)
					}
				}
			})

			t.Run("the caller's deadline counts when it comes first", func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				began := time.Now()
				failure(t, kind.open(freeAddr(t), patience, whole).Start(ctx), "deadline", "refused")
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %s", took)
				}
			})

			t.Run("a probe sees it go away and come back", func(t *testing.T) {
				s := kind.open(up.Addr(), patience, whole)
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				stop(t, up)
				if err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), up.Addr()) {
					t.Errorf("without a server: %v", err)
				}
				back := make(chan error, 1)
				go func() { back <- up.Start(t.Context()) }()
				if err := s.Start(t.Context()); err != nil {
					t.Error(err)
				}
				if err := <-back; err != nil {
					t.Fatal(err)
				}
				if err := s.Probe(t.Context()); err != nil {
					t.Error(err)
				}
			})

			t.Run("a probe of one that is silent ends in time", func(t *testing.T) {
				d := newDoor(t, silence)
				began := time.Now()
				if err := kind.open(d, patience, 200*time.Millisecond).Probe(t.Context()); err == nil {
					t.Error("it is content")
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
