package redis

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/goldenpath/service/internal/domain/note"
)

const (
	cachePrefix = "note:v1:" // v1 is the version of the entry's form

	// tombstone stands for a note that was just changed. While it is there no
	// value is put in its place, so that a reader who read the database before
	// the change cannot leave its old note in the cache after it. It is no JSON.
	tombstone = "-"
	// A statement of the database lasts five seconds at most.
	tombstoneTTL = 5 * time.Second

	// maxUnsent bounds the changes that wait for Redis to hear of them.
	maxUnsent = 10_000
)

// cache is note.Cache's. A change that Redis could not be told of is remembered
// here until the entry that it concerns has surely expired, so that a Redis
// which comes back does not serve the note as it was.
type cache struct {
	*Client
	mu     sync.Mutex
	unsent map[note.ID]time.Time // until when to distrust the entry
	flood  time.Time             // more than maxUnsent: until when to distrust all
}

func newCache(c *Client) *cache { return &cache{Client: c, unsent: map[note.ID]time.Time{}} }

// entry is a note in the cache.
type entry struct {
	ID        note.ID   `json:"id"`
	Title     string    `json:"title"`
	Body      string    `json:"body"`
	WordCount *int      `json:"word_count"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Get is note.Cache's. An entry that cannot be read is a miss.
func (c *cache) Get(ctx context.Context, id note.ID) (note.Note, bool) {
	if c.distrusts(id) {
		c.Forget(ctx, id)
		return note.Note{}, false
	}
	var raw []byte
	c.breaker.do(ctx, c.timeout, func(ctx context.Context) (err error) {
		raw, err = c.rdb.Get(ctx, cachePrefix+string(id)).Bytes()
		return err
	})
	var e entry
	if len(raw) == 0 || json.Unmarshal(raw, &e) != nil || e.ID != id {
		return note.Note{}, false
	}
	return note.Note(e), true
}

// Put is note.Cache's. An entry that is there already stays: it is as new, or
// the tombstone of a change.
func (c *cache) Put(ctx context.Context, n note.Note) {
	raw, err := json.Marshal(entry(n))
	if err != nil {
		return // a note always has a JSON form; without one it is not cached
	}
	c.breaker.do(ctx, c.timeout, func(ctx context.Context) error {
		err := c.rdb.SetArgs(ctx, cachePrefix+string(n.ID), raw, redis.SetArgs{Mode: "NX", TTL: c.ttl}).Err()
		if errors.Is(err, redis.Nil) {
			return nil // there was one
		}
		return err
	})
}

// Forget is note.Cache's. The change has been committed by now, so Redis is
// told of it even when the caller has gone.
func (c *cache) Forget(ctx context.Context, id note.ID) {
	told := c.breaker.do(context.WithoutCancel(ctx), c.timeout, func(ctx context.Context) error {
		return c.rdb.Set(ctx, cachePrefix+string(id), tombstone, tombstoneTTL).Err()
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if told {
		delete(c.unsent, id)
		return
	}
	until := c.now().Add(c.ttl)
	if _, known := c.unsent[id]; !known && len(c.unsent) >= maxUnsent {
		clear(c.unsent)
		c.flood = until
		return
	}
	c.unsent[id] = until
}

func (c *cache) distrusts(id note.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flood.IsZero() && len(c.unsent) == 0 {
		return false
	}
	now := c.now()
	if now.Before(c.flood) {
		return true
	}
	until, ok := c.unsent[id]
	if ok && !now.Before(until) {
		delete(c.unsent, id)
		return false
	}
	return ok
}
