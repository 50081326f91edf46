package redis_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/note/notetest"
	"example.com/goldenpath/service/internal/infra/gatetest"
	"example.com/goldenpath/service/internal/infra/redis"
	"example.com/goldenpath/service/internal/infra/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// limit is the time limit of clients whose Redis will fail them.
	limit = 300 * time.Millisecond
	// patience is that of all others: the machine may be busy with other tests.
	patience = 20 * time.Second
)

func open(t *testing.T, addr string, limit time.Duration, tp trace.TracerProvider, log *zap.Logger) *redis.Client {
	t.Helper()
	c, err := redis.Open(redis.Config{URL: "redis://" + addr, Timeout: limit}, tp, log)
	if err != nil {
		t.Fatalf("opening redis: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing redis: %v", err)
		}
	})
	return c
}

func plain(t *testing.T, addr string) *redis.Client {
	t.Helper()
	return open(t, addr, patience, noop.NewTracerProvider(), zap.NewNop())
}

// raw is a client that knows nothing of ours.
func raw(t *testing.T, addr string) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	t.Cleanup(func() { c.Close() })
	return c
}

func wantHit(t *testing.T, c note.Cache, want note.Note) {
	t.Helper()
	got, ok := c.Get(t.Context(), want.ID)
	if !ok || got.ID != want.ID || got.Title != want.Title || got.Body != want.Body || !got.CreatedAt.Equal(want.CreatedAt) {
		t.Errorf("the cache has %+v, %v, want %+v", got, ok, want)
	}
}

func wantMiss(t *testing.T, c note.Cache, id note.ID) {
	t.Helper()
	if got, ok := c.Get(t.Context(), id); ok {
		t.Errorf("the cache has %+v, want nothing", got)
	}
}

func within(t *testing.T, most time.Duration, f func()) {
	t.Helper()
	begun := time.Now()
	f()
	if took := time.Since(begun); took > most {
		t.Errorf("it took %s, want at most %s", took, most)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited too long for %s", what)
		case <-tick.C:
		}
	}
}

func TestOpen(t *testing.T) {
	t.Run("a url that cannot be read is an error", func(t *testing.T) {
		if _, err := redis.Open(redis.Config{URL: "http://nowhere"}, noop.NewTracerProvider(), zap.NewNop()); err == nil {
			t.Error("there is none")
		}
	})
	t.Run("a server that is away is none, and Ping says so in time", func(t *testing.T) {
		c := plain(t, "127.0.0.1:1")
		within(t, time.Second, func() {
			if err := c.Ping(t.Context()); err == nil {
				t.Error("ping succeeded")
			}
		})
	})
}

func TestCache(t *testing.T) {
	ctx := t.Context()
	t.Run("what was put is found, until it is forgotten", func(t *testing.T) {
		c := plain(t, redistest.Start(t)).Cache()
		n := notetest.Note(1)
		count := 7
		n.WordCount = &count
		wantMiss(t, c, n.ID)
		c.Put(ctx, n)
		wantHit(t, c, n)
		if got, _ := c.Get(ctx, n.ID); got.WordCount == nil || *got.WordCount != 7 {
			t.Errorf("the word count is %v", got.WordCount)
		}
		c.Forget(ctx, n.ID)
		wantMiss(t, c, n.ID)
	})
	t.Run("an entry expires", func(t *testing.T) {
		addr := redistest.Start(t)
		plain(t, addr).Cache().Put(ctx, notetest.Note(1))
		if ttl := raw(t, addr).PTTL(ctx, "note:v1:"+string(notetest.ID(1))).Val(); ttl <= 0 || ttl > redis.DefaultCacheTTL {
			t.Errorf("it does so in %s", ttl)
		}
	})
	t.Run("a reader who read before a change cannot put the old note after it", func(t *testing.T) {
		addr := redistest.Start(t)
		c := plain(t, addr).Cache()
		c.Forget(ctx, notetest.ID(1))
		c.Put(ctx, notetest.Note(1))
		wantMiss(t, c, notetest.ID(1))
		if ttl := raw(t, addr).PTTL(ctx, "note:v1:"+string(notetest.ID(1))).Val(); ttl <= 0 || ttl > 5*time.Second {
			t.Errorf("the mark of the change expires in %s", ttl)
		}
	})
	t.Run("an entry that cannot be read is a miss", func(t *testing.T) {
		addr := redistest.Start(t)
		c := plain(t, addr).Cache()
		for _, garbage := range []string{"", "null", "{", "[]", `{"id":"another"}`, `{"id":7}`, "\xff\x00"} {
			if err := raw(t, addr).Set(ctx, "note:v1:"+string(notetest.ID(1)), garbage, 0).Err(); err != nil {
				t.Fatal(err)
			}
			wantMiss(t, c, notetest.ID(1))
		}
		if err := raw(t, addr).Del(ctx, "note:v1:"+string(notetest.ID(1))).Err(); err != nil {
			t.Fatal(err)
		}
		if err := raw(t, addr).LPush(ctx, "note:v1:"+string(notetest.ID(1)), "a list").Err(); err != nil {
			t.Fatal(err)
		}
		wantMiss(t, c, notetest.ID(1))
	})
	t.Run("a pooled connection that was reset costs no miss", func(t *testing.T) {
		gate := gatetest.New(t, redistest.Start(t))
		c := plain(t, gate.Addr()).Cache()
		c.Put(ctx, notetest.Note(1))
		for range 5 {
			gate.Cut()
			wantHit(t, c, notetest.Note(1))
		}
	})
}

func TestRedisAway(t *testing.T) {
	ctx := t.Context()
	faults := []struct {
		name   string
		breaks func(*gatetest.Gate)
	}{
		{"refuses", (*gatetest.Gate).Refuse},
		{"is silent", (*gatetest.Gate).Silence},
	}
	for _, fault := range faults {
		t.Run("a redis that "+fault.name+" costs a request one limit a second at most, and comes back", func(t *testing.T) {
			gate := gatetest.New(t, redistest.Start(t))
			logs, seen := observer.New(zap.InfoLevel)
			client := open(t, gate.Addr(), limit, noop.NewTracerProvider(), zap.New(logs))
			c, l := client.Cache(), client.Limiter(1000, 1000)
			c.Put(ctx, notetest.Note(1))
			fault.breaks(gate)
			within(t, limit+500*time.Millisecond, func() {
				for range 1000 {
					wantMiss(t, c, notetest.ID(1))
					c.Put(ctx, notetest.Note(2))
					c.Forget(ctx, notetest.ID(3))
					if !l.Allow(ctx, "key").Allowed {
						t.Fatal("the rate limit closed")
					}
				}
			})
			gate.Open(t)
			eventually(t, "the cache to be back", func() bool {
				_, ok := c.Get(ctx, notetest.ID(1))
				return ok
			})
			var lines []string
			for _, e := range seen.All() {
				lines = append(lines, e.Message)
			}
			if len(lines) != 2 || !strings.Contains(lines[0], "does not answer") || !strings.Contains(lines[1], "answers again") {
				t.Errorf("the log says %q, want one line for each turn", lines)
			}
		})
	}
	t.Run("a note that changed meanwhile is not served as it was", func(t *testing.T) {
		gate := gatetest.New(t, redistest.Start(t))
		c := open(t, gate.Addr(), limit, noop.NewTracerProvider(), zap.NewNop()).Cache()
		c.Put(ctx, notetest.Note(1))
		c.Put(ctx, notetest.Note(2))
		gate.Refuse()
		c.Forget(ctx, notetest.ID(1))
		gate.Open(t)
		eventually(t, "the cache to be back", func() bool {
			wantMiss(t, c, notetest.ID(1))
			_, ok := c.Get(ctx, notetest.ID(2))
			return ok
		})
		wantMiss(t, c, notetest.ID(1))
	})
	t.Run("more changes than can be remembered make every entry suspect", func(t *testing.T) {
		gate := gatetest.New(t, redistest.Start(t))
		c := open(t, gate.Addr(), limit, noop.NewTracerProvider(), zap.NewNop()).Cache()
		c.Put(ctx, notetest.Note(1))
		gate.Refuse()
		for n := range 10_002 {
			c.Forget(ctx, notetest.ID(n+100))
		}
		gate.Open(t)
		eventually(t, "redis to hear of the change", func() bool {
			wantMiss(t, c, notetest.ID(1))
			return raw(t, gate.Addr()).Get(ctx, "note:v1:"+string(notetest.ID(1))).Val() == "-"
		})
		wantMiss(t, c, notetest.ID(1))
	})
	t.Run("a caller that leaves does not count against redis", func(t *testing.T) {
		client := plain(t, redistest.Start(t))
		c := client.Cache()
		c.Put(ctx, notetest.Note(1))
		gone, leave := context.WithCancel(ctx)
		leave()
		if _, ok := c.Get(gone, notetest.ID(1)); ok {
			t.Error("there was an answer for nobody")
		}
		wantHit(t, c, notetest.Note(1))
		c.Forget(gone, notetest.ID(1)) // a change that was committed is told all the same
		wantMiss(t, c, notetest.ID(1))
	})
	t.Run("a server that takes no writes lets everybody through", func(t *testing.T) {
		addr := redistest.Start(t)
		l := plain(t, addr).Limiter(1, 1)
		if err := raw(t, addr).Set(ctx, "rate:v1:key", "garbage", 0).Err(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if !l.Allow(ctx, "key").Allowed {
				t.Error("the rate limit closed")
			}
		}
	})
}

func TestLimiter(t *testing.T) {
	ctx := t.Context()
	t.Run("a burst goes through, and no more", func(t *testing.T) {
		l := plain(t, redistest.Start(t)).Limiter(0.1, 3)
		for want := 2; want >= 0; want-- {
			if d := l.Allow(ctx, "key"); !d.Allowed || d.Remaining != want || d.RetryAfter != 0 {
				t.Errorf("the decision is %+v, want it allowed with %d remaining", d, want)
			}
		}
		d := l.Allow(ctx, "key")
		if d.Allowed || d.Remaining != 0 || d.RetryAfter <= 0 || d.RetryAfter > 10*time.Second {
			t.Errorf("the decision is %+v, want it refused for at most 10s", d)
		}
		if !l.Allow(ctx, "another key").Allowed {
			t.Error("one key counts against another")
		}
	})
	t.Run("after the wait that it asks for, one more goes through", func(t *testing.T) {
		l := plain(t, redistest.Start(t)).Limiter(20, 1)
		if !l.Allow(ctx, "key").Allowed {
			t.Fatal("the first was refused")
		}
		d := l.Allow(ctx, "key")
		if d.Allowed {
			t.Fatal("the second was allowed")
		}
		<-time.After(d.RetryAfter)
		if !l.Allow(ctx, "key").Allowed {
			t.Error("it was refused")
		}
	})
	t.Run("many at once get no more than the burst, over all instances", func(t *testing.T) {
		addr := redistest.Start(t)
		const burst = 20
		var allowed sync.Map
		var done sync.WaitGroup
		for instance := range 4 {
			l := plain(t, addr).Limiter(0.01, burst)
			done.Go(func() {
				for n := range burst {
					if l.Allow(ctx, "key").Allowed {
						allowed.Store(fmt.Sprint(instance, n), true)
					}
				}
			})
		}
		done.Wait()
		n := 0
		allowed.Range(func(any, any) bool { n++; return true })
		if n != burst {
			t.Errorf("%d were allowed, want %d", n, burst)
		}
	})
	t.Run("a rate or burst that is not positive limits nothing", func(t *testing.T) {
		c := plain(t, "127.0.0.1:1")
		for _, l := range []*redis.Limiter{c.Limiter(0, 5), c.Limiter(5, 0), c.Limiter(-1, -1)} {
			if !l.Allow(ctx, "key").Allowed {
				t.Error("it was refused")
			}
		}
	})
}

func TestSpans(t *testing.T) {
	t.Run("commands inside a trace are spans of it, without values, and others leave none", func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		c := open(t, redistest.Start(t), patience, tp, zap.NewNop()).Cache()
		n := notetest.Note(1)
		n.Body = "a secret"
		c.Put(t.Context(), n)
		traced, request := tp.Tracer("test").Start(t.Context(), "request")
		c.Forget(traced, n.ID)
		c.Put(traced, n)
		c.Get(traced, n.ID)
		request.End()
		var names []string
		for _, s := range spans.GetSpans() {
			names = append(names, s.Name)
			if s.SpanContext.TraceID() != request.SpanContext().TraceID() {
				t.Errorf("span %s is of another trace", s.Name)
			}
			for _, a := range s.Attributes {
				if strings.Contains(a.Value.String(), "a secret") {
					t.Errorf("span %s shows a value: %s", s.Name, a.Value.String())
				}
			}
		}
		if want := []string{"set", "set", "get", "request"}; !slices.Equal(names, want) {
			t.Errorf("the spans are %v, want %v", names, want)
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	addr := redistest.Start(b)
	c, err := redis.Open(redis.Config{URL: "redis://" + addr}, noop.NewTracerProvider(), zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	l := c.Limiter(1e6, 1000)
	for b.Loop() {
		l.Allow(b.Context(), "key")
	}
}
