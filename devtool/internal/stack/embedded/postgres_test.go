package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/devtool/internal/console"
)

func postgresOf(w *worktree) *Postgres {
	return NewPostgres(w.Config, PostgresOptions{Name: "db", Database: "notes", User: "app", Password: "se cr/et'"})
}

// dataDir of the version that runs.
func dataDir(t *testing.T, p *Postgres) string {
	t.Helper()
	return filepath.Join(p.cfg.Dir, "db", "data-"+strconv.Itoa(p.place.Load().Major))
}

func query(t *testing.T, p *Postgres, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if !strings.HasPrefix(sql, "select") {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		return ""
	}
	var answer string
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func setting(t *testing.T, p *Postgres, name string) string {
	t.Helper()
	return query(t, p, "select current_setting('"+name+"')")
}

func TestPostgresLife(t *testing.T) {
	w := newWorktree(t)
	p := postgresOf(w)
	if p.Addr() != "" || p.PID() != 0 || p.Done() != nil {
		t.Error("before the first start it has an address, a pid or an end")
	}
	if err := p.Probe(t.Context()); err == nil {
		t.Error("it answers before the first start")
	}
	start(t, p)
	addr := p.Addr()

	t.Run("it answers on loopback, in UTF-8, and says what it is", func(t *testing.T) {
		if err := p.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		if host, _, err := net.SplitHostPort(addr); err != nil || host != "127.0.0.1" {
			t.Errorf("address %q", addr)
		}
		if !strings.HasPrefix(p.Describe(), "PostgreSQL 1") || !strings.Contains(p.Describe(), "/bin)") {
			t.Errorf("described as %q", p.Describe())
		}
		for name, want := range map[string]string{"server_encoding": "UTF8", "listen_addresses": "127.0.0.1",
			"unix_socket_directories": "", "fsync": "off", "wal_level": "logical", "password_encryption": "scram-sha-256"} {
			if got := setting(t, p, name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})

	t.Run("a wrong password is refused", func(t *testing.T) {
		config, err := pgx.ParseConfig(p.AdminURL())
		if err != nil {
			t.Fatal(err)
		}
		config.Password = "guess"
		if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
			conn.Close(context.Background())
			t.Error("it was accepted")
		}
	})

	t.Run("a second start changes nothing", func(t *testing.T) {
		pid := p.PID()
		if err := p.Start(t.Context()); err != nil || p.PID() != pid {
			t.Errorf("pid %d, then %d, %v", pid, p.PID(), err)
		}
	})

	t.Run("data and port are the same after stop and start", func(t *testing.T) {
		query(t, p, "create table kept as select 'here' as word")
		done := p.Done()
		stop(t, p)
		stop(t, p)
		if p.PID() != 0 {
			t.Error("it has a pid after stop")
		}
		select {
		case <-done:
			t.Error("a stop that was asked for closed Done")
		default:
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p.Addr() != addr || query(t, p, "select word from kept") != "here" {
			t.Errorf("at %s, was at %s", p.Addr(), addr)
		}
	})

	t.Run("SIGKILL closes Done, and it starts again with what was committed", func(t *testing.T) {
		query(t, p, "insert into kept values ('before the kill')")
		if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		awaitDone(t, p)
		if p.PID() != 0 {
			t.Error("it has a pid after it was killed")
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p.Addr() != addr || query(t, p, "select count(*)::text from kept") != "2" {
			t.Errorf("rows are missing, or the address moved: %s", p.Addr())
		}
	})

	t.Run("a server whose supervisor was killed is ended before a new one starts", func(t *testing.T) {
		// Another Postgres on the same state is what the next supervisor has.
		old := p.PID()
		next := postgresOf(w)
		start(t, next)
		awaitDone(t, p)
		if next.PID() == old || query(t, next, "select count(*)::text from kept") != "2" {
			t.Errorf("pid %d, was %d", next.PID(), old)
		}
		if next.Addr() != addr {
			t.Errorf("the address moved from %s to %s", addr, next.Addr())
		}
		if !w.hasSaid("left behind") {
			t.Error("nothing was said of it")
		}
		stop(t, next)
	})

	t.Run("a postmaster.pid with the pid of another program is removed", func(t *testing.T) {
		write(t, filepath.Join(dataDir(t, p), "postmaster.pid"), fmt.Sprintf("%d\n%s\n", os.Getpid(), dataDir(t, p)))
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop(t, p)
	})

	t.Run("a port that was taken meanwhile is left to the other program", func(t *testing.T) {
		thief, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p.Addr() == addr || !w.hasSaid("taken by another program") {
			t.Errorf("address %s", p.Addr())
		}
		stop(t, p)
	})

	t.Run("another password than the data's is an error with a next step", func(t *testing.T) {
		other := NewPostgres(w.Config, PostgresOptions{Name: "db", Database: "notes", User: "app", Password: "another"})
		err := other.Start(t.Context())
		var failure *console.Failure
		if !errors.As(err, &failure) || !strings.Contains(failure.NextStep(), "--fresh") {
			t.Errorf("error %v", err)
		}
		if other.PID() != 0 {
			t.Error("the server was left running")
		}
	})
}

func TestPostgresBadData(t *testing.T) {
	w := newWorktree(t)
	p := postgresOf(w)
	start(t, p)
	data := dataDir(t, p)
	aside := data + ".aside"
	stop(t, p)

	for _, damage := range []struct {
		name  string
		do    func(t *testing.T)
		fresh bool
		says  string
	}{
		{"garbage in postgresql.conf and pg_hba.conf is overwritten", func(t *testing.T) {
			write(t, filepath.Join(data, "postgresql.conf"), "\x00garbage = = \n")
			write(t, filepath.Join(data, "pg_hba.conf"), "nobody may\n")
		}, false, ""},
		{"what a killed initdb left is removed", func(t *testing.T) {
			write(t, filepath.Join(filepath.Dir(data), "initdb-123", "data", "PG_VERSION"), "15")
		}, false, ""},
		{"garbage in the control file means new data", func(t *testing.T) {
			write(t, filepath.Join(data, "global", "pg_control"), strings.Repeat("garbage ", 1024))
			give(t, filepath.Join(data, "global", "pg_control"), data)
		}, true, "damaged"},
		{"a data directory that is none means new data", func(t *testing.T) {
			write(t, filepath.Join(data, "PG_VERSION"), "garbage")
		}, true, "not one"},
		{"a file in place of the data directory means new data", func(t *testing.T) {
			if err := os.RemoveAll(data); err != nil {
				t.Fatal(err)
			}
			write(t, data, "garbage")
		}, true, "not one"},
		{"lost log files mean new data", func(t *testing.T) {
			logs, err := filepath.Glob(filepath.Join(data, "pg_wal", "0*"))
			if err != nil || len(logs) == 0 {
				t.Fatalf("no log files, %v", err)
			}
			for _, log := range logs {
				if err := os.Remove(log); err != nil {
					t.Fatal(err)
				}
			}
		}, true, "damaged"},
		{"a crash of the machine means new data", func(t *testing.T) {
			write(t, data+".in-use", "00000000-another-boot\n")
		}, true, "machine went down"},
	} {
		t.Run(damage.name, func(t *testing.T) {
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			query(t, p, "create table if not exists kept (word text)")
			stop(t, p)
			if err := os.RemoveAll(aside); err != nil {
				t.Fatal(err)
			}
			damage.do(t)
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			fresh := query(t, p, "select coalesce(to_regclass('kept')::text, 'gone')") == "gone"
			if fresh != damage.fresh || !w.hasSaid(damage.says) {
				t.Errorf("new data: %v, want %v; said %q", fresh, damage.fresh, w.said)
			}
			if _, err := os.Lstat(aside); fresh != (err == nil) {
				t.Errorf("the old data: %v", err)
			}
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(data), "initdb-*")); err != nil || len(left) > 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
			stop(t, p)
		})
	}

	t.Run("after a clean stop another boot changes nothing", func(t *testing.T) {
		if _, err := os.Stat(data + ".in-use"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the data is noted as in use: %v", err)
		}
	})

	t.Run("data of another major version stays where it is", func(t *testing.T) {
		other := filepath.Join(filepath.Dir(data), "data-11")
		write(t, filepath.Join(other, "PG_VERSION"), "11\n")
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop(t, p)
		if _, err := os.Stat(filepath.Join(other, "PG_VERSION")); err != nil || !w.hasSaid("version 11 is kept") {
			t.Errorf("%v; said %q", err, w.said)
		}
	})
}

// give makes the owner of like the owner of path.
func give(t *testing.T, path, like string) {
	t.Helper()
	info, err := os.Stat(like)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresInterrupted(t *testing.T) {
	t.Run("a start that is given up leaves nothing running and nothing half done", func(t *testing.T) {
		for _, after := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
			w := newWorktree(t)
			p := postgresOf(w)
			ctx, cancel := context.WithTimeout(t.Context(), after)
			err := p.Start(ctx)
			cancel()
			if err == nil {
				t.Errorf("no error although %s cannot be enough for initdb", after)
				stop(t, p)
			}
			if p.PID() != 0 || len(w.Registry.Records()) != 0 {
				t.Errorf("after %s: pid %d, on record %v", after, p.PID(), w.Registry.Records())
			}
			if left, err := filepath.Glob(filepath.Join(w.Dir, "db", "*")); err != nil || len(left) > 0 {
				t.Errorf("after %s, left over: %v, %v", after, left, err)
			}
		}
	})

	t.Run("start, stop and probe may meet", func(t *testing.T) {
		w := newWorktree(t)
		p := postgresOf(w)
		start(t, p)
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				for range 2 {
					switch i % 3 {
					case 0:
						if err := p.Start(t.Context()); err != nil {
							t.Error(err)
						}
					case 1:
						_ = p.Stop(t.Context()) // a stop while another one runs is fine
					default:
						_ = p.Probe(t.Context()) // it may be down
						_ = p.Addr() + p.Describe() + strconv.Itoa(p.PID())
						_ = p.Done()
					}
				}
			})
		}
		all.Wait()
		if err := p.Start(t.Context()); err != nil {
			t.Error(err)
		}
	})

	t.Run("a state directory that the server's user cannot enter is an error with a next step", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("only root runs the server as another user")
		}
		w := newWorktree(t)
		w.Dir = filepath.Join(w.Dir, "private", "state")
		if err := os.MkdirAll(w.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		err := postgresOf(w).Start(t.Context())
		var failure *console.Failure
		if !errors.As(err, &failure) || !strings.Contains(failure.NextStep(), "DEVTOOL_STATE_HOME") {
			t.Errorf("error %v", err)
		}
	})
}
