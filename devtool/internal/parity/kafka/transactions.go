package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/devtool/internal/parity"
)

// committed is what a reader of finished transactions asks for.
var committed = kgo.FetchIsolationLevel(kgo.ReadCommitted())

func transactions() []parity.Behaviour {
	return []parity.Behaviour{
		behaviour("transaction", "records of transactions that are committed and aborted", func(b *broker) {
			name := b.topic("t", 1)
			c := b.client(kgo.TransactionalID(b.name))
			b.transact(c, name, kgo.TryCommit, "a", "b")
			b.transact(c, name, kgo.TryAbort, "c", "d")
			b.transact(c, name, kgo.TryCommit, "e")
			b.say("committed: %s", written(b.all(name, 3, committed)))
			b.say("all: %s", written(b.all(name, 5)))
			list, err := b.kadm().ListEndOffsets(b.ctx, name)
			b.offset("end", name, list, err)
		}),
		behaviour("open-transaction", "a transaction under way holds readers of committed records back", func(b *broker) {
			name := b.topic("t", 1)
			c := b.client(kgo.TransactionalID(b.name))
			b.answered("begin", c.BeginTransaction())
			b.answered("produce", c.ProduceSync(b.ctx, &kgo.Record{Topic: name, Value: []byte("a")}).FirstErr())
			b.produce(name, "b")
			list, err := b.kadm().ListEndOffsets(b.ctx, name)
			b.offset("end", name, list, err)
			list, err = b.kadm().ListCommittedOffsets(b.ctx, name)
			b.offset("committed end", name, list, err)
			b.say("all: %s", written(b.all(name, 2)))
			short, cancel := context.WithTimeout(b.ctx, 600*time.Millisecond)
			defer cancel()
			reader := b.client(kgo.ConsumeTopics(name), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), committed)
			b.say("committed: %d", len(reader.PollFetches(short).Records()))
			described, err := b.kadm().DescribeTransactions(b.ctx, b.name)
			if b.answered("describe", err) {
				b.say("state %s", described[b.name].State)
			}
			b.answered("abort", c.EndTransaction(b.ctx, kgo.TryAbort))
			b.say("after the abort: %s", written(b.read(reader, 1)))
		}),
		behaviour("fencing", "a second producer with the same transactional id", func(b *broker) {
			name := b.topic("t", 1)
			first := b.client(kgo.TransactionalID(b.name))
			b.answered("begin", first.BeginTransaction())
			b.answered("produce", first.ProduceSync(b.ctx, &kgo.Record{Topic: name, Value: []byte("first")}).FirstErr())
			b.transact(b.client(kgo.TransactionalID(b.name)), name, kgo.TryCommit, "second")
			b.tell("the first commits", first.EndTransaction(b.ctx, kgo.TryCommit))
			b.say("%s", written(b.all(name, 1, committed)))
		}),
		behaviour("transaction-timeout", "a transaction that may last too long", func(b *broker) {
			c := b.client(kgo.TransactionalID(b.name), kgo.TransactionTimeout(time.Hour))
			_, _, err := c.ProducerID(b.ctx)
			b.tell("an hour", err)
		}),
		behaviour("exactly-once", "records read and written in one transaction", func(b *broker) {
			in, out := b.topic("in", 1), b.topic("out", 1)
			b.produce(in, "a", "b", "c")
			s, err := kgo.NewGroupTransactSession(b.options(kgo.TransactionalID(b.name), kgo.ConsumerGroup(b.name), kgo.ConsumeTopics(in), committed,
				kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))...)
			if !b.answered("open", err) {
				return
			}
			defer s.Close()
			if !b.answered("begin", s.Begin()) {
				return
			}
			for n := 0; n < 3 && b.err == nil; {
				fetched := s.PollFetches(b.ctx)
				b.answered("read", fetched.Err())
				for _, r := range fetched.Records() {
					n++
					b.answered("write", s.ProduceSync(b.ctx, &kgo.Record{Topic: out, Value: append([]byte("+"), r.Value...)}).FirstErr())
				}
			}
			done, err := s.End(b.ctx, kgo.TryCommit)
			if !b.answered("end", err) {
				return
			}
			b.say("committed: %v; %s", done, written(b.all(out, 3, committed)))
			offsets, err := b.kadm().FetchOffsets(b.ctx, b.name)
			if b.answered("offsets", err) {
				at, _ := offsets.Lookup(in, 0)
				b.say("the group is at %d", at.At)
			}
		}),
	}
}

// transact writes values in one transaction.
func (b *broker) transact(c *kgo.Client, topic string, how kgo.TransactionEndTry, values ...string) {
	if !b.answered("begin", c.BeginTransaction()) {
		return
	}
	for _, v := range values {
		b.answered("produce "+v, c.ProduceSync(b.ctx, &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr())
	}
	b.answered("end", c.EndTransaction(b.ctx, how))
}
