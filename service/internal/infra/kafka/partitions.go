package kafka

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

type partition struct {
	topic string
	id    int32
}

// partitions are those that the group has given to this member, each with the
// number of the assignment that gave it: one that went away and came back is
// read again from its commit, and what was read before must not count.
type partitions struct {
	mu    sync.Mutex
	last  int
	owned map[partition]int
}

func newPartitions() *partitions { return &partitions{owned: map[partition]int{}} }

func (p *partitions) assigned(_ context.Context, _ *kgo.Client, more map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	for topic, ids := range more {
		for _, id := range ids {
			p.owned[partition{topic, id}] = p.last
		}
	}
}

func (p *partitions) revoked(_ context.Context, _ *kgo.Client, fewer map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, ids := range fewer {
		for _, id := range ids {
			delete(p.owned, partition{topic, id})
		}
	}
}

// holding returns what is owned now, to see later whether it still is.
func (p *partitions) holding() holding {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := make(map[partition]int, len(p.owned))
	for k, v := range p.owned {
		since[k] = v
	}
	return holding{p, since}
}

type holding struct {
	partitions *partitions
	since      map[partition]int
}

// keeps says whether the record's partition was owned then and has been ever since.
func (h holding) keeps(r *kgo.Record) bool {
	k := partition{r.Topic, r.Partition}
	since, held := h.since[k]
	h.partitions.mu.Lock()
	defer h.partitions.mu.Unlock()
	now, owned := h.partitions.owned[k]
	return held && owned && now == since
}
