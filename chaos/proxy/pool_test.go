package proxy_test

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

// silent keeps go-redis from telling standard error of each failed dial.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestPool(t *testing.T) {
	redis.SetLogger(silent{})
	server := miniredis.RunT(t)
	e, p := start(t, proxy.Config{}, net.JoinHostPort(server.Host(), server.Port()))
	client := redis.NewClient(&redis.Options{
		Addr: p.Addr(), PoolSize: 8, MaxRetries: -1,
		DialTimeout: soon, ReadTimeout: 500 * time.Millisecond, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { client.Close() })
	ctx := context.Background()
	// works tells how long a command takes, and how it ends.
	works := func() (time.Duration, error) {
		begin := time.Now()
		err := client.Set(ctx, "at", strconv.FormatInt(begin.UnixNano(), 10), 0).Err()
		return time.Since(begin), err
	}
	var pooled []*redis.Conn
	for range 8 {
		conn := client.Conn()
		if err := conn.Ping(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		pooled = append(pooled, conn)
	}
	for _, conn := range pooled {
		conn.Close()
	}

	t.Run("latency acts on the whole pool and costs it no connection", func(t *testing.T) {
		f := apply(t, e, chaos.Latency, map[string]any{"latency": 150})
		for range 4 {
			if took, err := works(); err != nil || took < 150*time.Millisecond {
				t.Errorf("%v after %s", err, took)
			}
		}
		if f.Hits < 8 {
			t.Errorf("%d hits", f.Hits)
		}
		clear(t, e)
		if took, err := works(); err != nil || took >= 150*time.Millisecond {
			t.Errorf("cleared: %v after %s", err, took)
		}
		if stale := client.PoolStats().StaleConns; stale != 0 {
			t.Errorf("%d connections were lost", stale)
		}
	})

	for _, test := range []struct {
		typ   string
		least time.Duration
	}{{chaos.Down, 0}, {chaos.Reset, 0}, {chaos.Timeout, 500 * time.Millisecond}} {
		t.Run(test.typ+" fails every command, and after clear the pool works again", func(t *testing.T) {
			apply(t, e, test.typ, nil)
			for range 3 {
				if took, err := works(); err == nil || took < test.least || took > soon {
					t.Errorf("%v after %s", err, took)
				}
			}
			clear(t, e)
			eventually(t, "a command succeeds", func() bool { _, err := works(); return err == nil })
			for range 20 {
				if _, err := works(); err != nil {
					t.Errorf("cleared: %v", err)
				}
			}
		})
	}
}
