package redis

import (
	"context"
	"math"
	"time"

	"github.com/redis/go-redis/v9"
)

// gcra is the generic cell rate algorithm (ITU-T I.371, as "leaky bucket as a
// meter"): one number for each key, the theoretical arrival time of the next
// request, in microseconds on Redis's own clock, so that instances of the
// service need not agree on the time.
//
// KEYS[1] the key; ARGV[1] microseconds a request costs; ARGV[2] burst.
// Returns allowed (0 or 1), what remains of the burst, microseconds to wait.
const gcra = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost = tonumber(ARGV[1])
local burst = tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
local next = tat + cost
local early = next - burst * cost - now
if early > 0 then
  return {0, 0, math.ceil(early)}
end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000))
return {1, math.floor(-early / cost), 0}
`

const limitPrefix = "rate:v1:"

// Decision is the answer of a Limiter.
type Decision struct {
	Allowed    bool
	Remaining  int           // requests that would be allowed right now
	RetryAfter time.Duration // until the next one is allowed; zero when this one was
}

// Limiter allows each key a rate of requests, and a burst of them at once.
type Limiter struct {
	c      *Client
	cost   int64 // microseconds
	burst  int
	script *redis.Script
}

// Limiter returns a limiter of rate requests a second and of burst at once, over
// all instances of the service. A rate or a burst that is not positive limits
// nothing.
func (c *Client) Limiter(rate float64, burst int) *Limiter {
	l := &Limiter{c: c, burst: burst, script: redis.NewScript(gcra)}
	if rate > 0 && burst > 0 {
		l.cost = max(1, int64(math.Min(1e6/rate, math.MaxInt32*1e3)))
	}
	return l
}

// Allow says whether the key may send one more request now. When Redis does not
// answer within the time limit everybody may.
func (l *Limiter) Allow(ctx context.Context, key string) Decision {
	open := Decision{Allowed: true, Remaining: max(l.burst, 0)}
	if l.cost == 0 {
		return open
	}
	var got []int64
	answered := l.c.breaker.do(ctx, l.c.timeout, func(ctx context.Context) (err error) {
		got, err = l.script.Run(ctx, l.c.rdb, []string{limitPrefix + key}, l.cost, l.burst).Int64Slice()
		return err
	})
	if !answered || len(got) != 3 {
		return open
	}
	return Decision{Allowed: got[0] == 1, Remaining: int(got[1]), RetryAfter: time.Duration(got[2]) * time.Microsecond}
}
