// Package redis is what the service keeps in Redis: a cache of notes, the
// counters of the rate limit, and the queue of tasks. The first two are
// comforts: without them every request still gets its answer.
package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/domain/note"
)

// Defaults of Config.
const (
	DefaultTimeout  = 150 * time.Millisecond
	DefaultCacheTTL = time.Minute
)

// The queue of tasks is no comfort: it gets the time that it needs.
const (
	queueTimeout = 2 * time.Second
	// asynq asks again at once when Redis fails it. Waiting inside the client
	// is what keeps that from spinning.
	queuePause = 250 * time.Millisecond
)

// Config says where Redis is and how long to wait for it. A zero field but URL
// takes its default.
type Config struct {
	URL      string        // redis://user:password@host:port/db
	Timeout  time.Duration // of one use of the cache or the rate limit, connecting included
	CacheTTL time.Duration // how long a note stays in the cache
}

// Client is a pool of connections. Safe for concurrent use.
type Client struct {
	rdb     *redis.Client
	breaker *breaker
	timeout time.Duration
	ttl     time.Duration
	queue   redis.Options
	tracing trace.TracerProvider
	now     func() time.Time
}

// Open returns the client of the Redis behind c.URL. It connects when it is
// first used, so it fails on a URL that cannot be read, and not on a server that
// is away. Commands run as spans of tp inside a trace, and leave none outside of
// one. The caller closes the Client.
//
// go-redis has one logger for the process; Open sends it to log, at debug level.
func Open(c Config, tp trace.TracerProvider, log *zap.Logger) (*Client, error) {
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the redis url: %w", err)
	}
	redis.SetLogger(driverLog{log})
	o.Protocol = 2 // no HELLO, and nothing of RESP3 is used
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1

	queue := *o
	queue.DialTimeout, queue.ReadTimeout, queue.WriteTimeout = queueTimeout, queueTimeout, queueTimeout
	queue.MaxRetries, queue.MinRetryBackoff, queue.MaxRetryBackoff = 1, queuePause, 2*queuePause

	timeout := orDefault(c.Timeout, DefaultTimeout)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	// One retry, at once: it is for the pooled connection that the server
	// closed while it was idle. The time limit is the context's, over both.
	o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff = 1, -1, -1
	rdb := redis.NewClient(o)
	if err := instrument(rdb, tp); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	return &Client{
		rdb: rdb, breaker: newBreaker(time.Now, log), timeout: timeout, ttl: orDefault(c.CacheTTL, DefaultCacheTTL),
		queue: queue, tracing: tp, now: time.Now,
	}, nil
}

// Close closes every connection of the cache and the rate limit. The clients
// that asynq made of Asynq are asynq's to close.
func (c *Client) Close() error { return c.rdb.Close() }

// Ping says whether Redis answers, whatever the breaker thinks.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("pinging redis: %w", err)
	}
	return nil
}

// Cache is the cache of notes.
func (c *Client) Cache() note.Cache { return newCache(c) }

// Asynq is how asynq's clients and servers reach the same Redis, each with
// connections of its own.
func (c *Client) Asynq() asynq.RedisConnOpt { return queueConn{c} }

type queueConn struct{ c *Client }

// MakeRedisClient is asynq.RedisConnOpt's; asynq wants a redis.UniversalClient.
func (q queueConn) MakeRedisClient() any {
	o := q.c.queue
	rdb := redis.NewClient(&o)
	if err := instrument(rdb, q.c.tracing); err != nil {
		// It refuses types other than go-redis's own, and this is one.
		panic(err)
	}
	return rdb
}

// instrument gives the commands of rdb their spans, without the statement:
// it would carry whole notes into the trace.
func instrument(rdb *redis.Client, tp trace.TracerProvider) error {
	err := redisotel.InstrumentTracing(rdb,
		redisotel.WithTracerProvider(insideTraces{TracerProvider: tp}),
		redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false), redisotel.WithDialFilter(true))
	if err != nil {
		return fmt.Errorf("tracing redis: %w", err)
	}
	return nil
}

func orDefault(v, otherwise time.Duration) time.Duration {
	if v > 0 {
		return v
	}
	return otherwise
}
