package embedded

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisKinds are miniredis and, where the machine has one, the real server.
func redisKinds(t *testing.T) map[string]func(*worktree) *Redis {
	t.Helper()
	kinds := map[string]func(*worktree) *Redis{
		"miniredis": func(w *worktree) *Redis { return newRedis(w.Config, RedisOptions{Name: "redis"}, "", "") },
	}
	if program, version := findRedis(os.Getenv("PATH")); program != "" {
		kinds["redis-server"] = func(w *worktree) *Redis { return newRedis(w.Config, RedisOptions{Name: "redis"}, program, version) }
	} else {
		t.Log("no redis-server on the PATH: miniredis alone is tested")
	}
	return kinds
}

func client(t *testing.T, r *Redis) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: r.Addr()})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRedis(t *testing.T) {
	for kind, open := range redisKinds(t) {
		t.Run(kind, func(t *testing.T) {
			w := newWorktree(t)
			r := open(w)
			if r.Addr() != "" || r.PID() != 0 || r.Probe(t.Context()) == nil {
				t.Error("before the first start it has an address, a pid or an answer")
			}
			start(t, r)
			addr := r.Addr()
			c := client(t, r)

			t.Run("it answers on loopback and says what it is", func(t *testing.T) {
				if err := r.Probe(t.Context()); err != nil {
					t.Error(err)
				}
				if !strings.HasPrefix(addr, "127.0.0.1:") || !strings.HasPrefix(r.Describe(), kind) {
					t.Errorf("%s at %s", r.Describe(), addr)
				}
				if inProcess := r.PID() == 0; inProcess != (kind == "miniredis") || inProcess != (r.Done() == nil) {
					t.Errorf("pid %d, done %v", r.PID(), r.Done())
				}
			})

			t.Run("a key expires when its time is up", func(t *testing.T) {
				began := time.Now()
				if err := c.Set(t.Context(), "short", "life", 150*time.Millisecond).Err(); err != nil {
					t.Fatal(err)
				}
				if err := c.Get(t.Context(), "short").Err(); err != nil {
					t.Error(err)
				}
				for c.Get(t.Context(), "short").Err() == nil && time.Since(began) < patience {
				}
				if took := time.Since(began); took < 100*time.Millisecond || took > 5*time.Second {
					t.Errorf("it lived for %s instead of 150 ms", took)
				}
			})

			t.Run("flush empties all databases and keeps connections", func(t *testing.T) {
				if err := c.Set(t.Context(), "kept", "no", 0).Err(); err != nil {
					t.Fatal(err)
				}
				if err := r.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n, err := c.DBSize(t.Context()).Result(); err != nil || n != 0 {
					t.Errorf("%d keys, %v", n, err)
				}
			})

			t.Run("garbage on its port does not disturb it", func(t *testing.T) {
				for _, garbage := range []string{"\x00\x01\x02\r\n", "*99999999\r\n", "$-5\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("x", 100_000)} {
					conn, err := net.Dial("tcp", addr)
					if err != nil {
						t.Fatal(err)
					}
					conn.Write([]byte(garbage))
					conn.Close()
				}
				if err := r.Probe(t.Context()); err != nil {
					t.Error(err)
				}
			})

			t.Run("the port is the same after stop and start", func(t *testing.T) {
				stop(t, r)
				stop(t, r)
				if err := r.Probe(t.Context()); err == nil {
					t.Error("it answers after stop")
				}
				if err := r.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if r.Addr() != addr {
					t.Errorf("at %s, was at %s", r.Addr(), addr)
				}
			})

			t.Run("a second start changes nothing", func(t *testing.T) {
				pid := r.PID()
				if err := r.Start(t.Context()); err != nil || r.PID() != pid {
					t.Errorf("pid %d, then %d, %v", pid, r.PID(), err)
				}
			})

			if kind == "redis-server" {
				t.Run("SIGKILL closes Done, and it starts again", func(t *testing.T) {
					if err := syscall.Kill(r.PID(), syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
					awaitDone(t, r)
					if err := r.Start(t.Context()); err != nil || r.Addr() != addr {
						t.Errorf("at %s, was at %s: %v", r.Addr(), addr, err)
					}
				})
			}

			t.Run("a port that was taken meanwhile is left to the other program", func(t *testing.T) {
				stop(t, r)
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
		})
	}
}

func TestRedisThatFails(t *testing.T) {
	program := func(t *testing.T, w *worktree, script string) *Redis {
		t.Helper()
		path := filepath.Join(w.Dir, "redis-server")
		write(t, path, "#!/bin/sh\n"+script+"\n")
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return newRedis(w.Config, RedisOptions{Name: "redis"}, path, "7.0")
	}

	t.Run("one that ends at once is quoted", func(t *testing.T) {
		w := newWorktree(t)
		err := program(t, w, "echo 'Fatal: cannot allocate memory'; exit 1").Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), "cannot allocate memory") {
			t.Errorf("error %v", err)
		}
	})

	t.Run("one that never answers is given up with its context", func(t *testing.T) {
		w := newWorktree(t)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := program(t, w, "while :; do sleep 0.05; done").Start(ctx); err == nil {
			t.Error("no error")
		}
		if records := w.Registry.Records(); len(records) > 0 {
			t.Errorf("left running: %v", records)
		}
	})

	t.Run("a program of that name that tells no version is passed over", func(t *testing.T) {
		w := newWorktree(t)
		program(t, w, "echo hello")
		if found, _ := findRedis(w.Dir); found != "" {
			t.Errorf("found %s", found)
		}
	})

	t.Run("a server that says no is not ready", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		served := make(chan struct{})
		go func() {
			defer close(served)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.Write([]byte("-LOADING Redis is loading the dataset in memory\r\n"))
			conn.Read(make([]byte, 64))
		}()
		r := newRedis(newWorktree(t).Config, RedisOptions{Name: "redis"}, "", "")
		addr := l.Addr().String()
		r.addr.Store(&addr)
		if err := r.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "LOADING") {
			t.Errorf("error %v", err)
		}
		<-served
	})
}
