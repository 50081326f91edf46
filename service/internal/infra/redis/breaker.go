package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// breakerPause is how long a failing Redis is left alone: at most one use in
// that time pays a time limit for nothing.
const breakerPause = time.Second

// breaker keeps a Redis that is away or slow from costing every request its
// time limit. Closed, it lets all through. After a failure it is open: nothing
// goes through for breakerPause, then one use tries, and its outcome decides.
type breaker struct {
	now func() time.Time
	log *zap.Logger

	mu    sync.Mutex
	open  bool
	until time.Time // open: nothing before this time
}

func newBreaker(now func() time.Time, log *zap.Logger) *breaker {
	return &breaker{now: now, log: log}
}

// do runs f within limit if the breaker lets it, and says whether Redis
// answered: an answer is no error, or an error reply of the server's.
func (b *breaker) do(ctx context.Context, limit time.Duration, f func(context.Context) error) bool {
	if !b.enter() {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(limited)
	var reply redis.Error
	answered := err == nil || errors.As(err, &reply) && !unwell(err)
	if !answered && ctx.Err() != nil {
		return false // the caller left: this says nothing about Redis
	}
	b.leave(answered, err)
	return answered
}

// enter says whether a use may go through. It takes the slot of the next try.
func (b *breaker) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true
	}
	if b.now().Before(b.until) {
		return false
	}
	b.until = b.now().Add(breakerPause)
	return true
}

func (b *breaker) leave(answered bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case answered && b.open:
		b.log.Info("redis answers again: the cache and the rate limit are back")
	case !answered && !b.open:
		b.log.Warn("redis does not answer: reads go to the database, and the rate limit lets everybody through", zap.Error(err))
	}
	b.open = !answered
	if !answered {
		b.until = b.now().Add(breakerPause)
	}
}

// unwell says that the server answered, but cannot serve: it loads its data, is
// a replica that takes no writes, or has no room.
func unwell(err error) bool {
	for _, prefix := range []string{"LOADING", "READONLY", "OOM", "MASTERDOWN", "CLUSTERDOWN", "MISCONF", "NOAUTH", "WRONGPASS", "ERR max number of clients"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}
