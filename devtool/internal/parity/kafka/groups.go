package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"example.com/goldenpath/devtool/internal/parity"
)

// member is a client in the behaviour's group that commits when it is told to.
type member struct {
	*kgo.Client
	followed chan struct{} // closed when follow has returned

	mu   sync.Mutex
	held int            // partitions
	seen map[string]int // values that follow has read
	err  error          // the end of follow
}

func (b *broker) member(topic string, opts ...kgo.Opt) *member {
	m := &member{seen: map[string]int{}}
	change := func(sign int) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.held += sign * len(partitions[topic])
		}
	}
	m.Client = b.client(append([]kgo.Opt{
		kgo.ConsumerGroup(b.name), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(1)), kgo.OnPartitionsRevoked(change(-1)), kgo.OnPartitionsLost(change(-1)),
	}, opts...)...)
	return m
}

// follow reads until the member is closed or told off.
func (b *broker) follow(m *member) {
	m.followed = make(chan struct{})
	go func() {
		defer close(m.followed)
		for {
			fetched := m.PollFetches(b.ctx)
			m.mu.Lock()
			for _, r := range fetched.Records() {
				m.seen[string(r.Value)]++
			}
			m.err = fetched.Err()
			m.mu.Unlock()
			if fetched.Err() != nil {
				return
			}
		}
	}()
}

// saw says whether follow has read one of the values.
func (m *member) saw(values ...string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(values, func(v string) bool { return m.seen[v] > 0 })
}

// await waits until the members, which follow, are as yes says.
func (b *broker) await(what string, yes func() bool, members ...*member) {
	err := parity.Until(b.ctx, func() (bool, error) {
		for _, m := range members {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.err != nil {
				return false, m.err
			}
		}
		return yes(), nil
	})
	b.answered(what, err)
}

func groups() []parity.Behaviour {
	return []parity.Behaviour{
		behaviour("resume", "a group goes on where it committed", func(b *broker) { b.resume() }),
		behaviour("resume-next", "the same with the group protocol of KIP-848", func(b *broker) { b.resume(kgo.ServerSideBalancer()) }),
		behaviour("reset", "a new group at the end, and one that committed nothing", func(b *broker) {
			name := b.topic("t", 1)
			b.produce(name, "a", "b")
			first := b.member(name)
			b.say("first: %s", written(b.read(first.Client, 2)))
			first.Close()
			b.say("again: %s", written(b.read(b.member(name).Client, 2)))
			late := b.member(name, kgo.ConsumerGroup(b.name+"_late"), kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()))
			b.follow(late)
			b.await("join", func() bool { return late.held == 1 }, late)
			// It holds the partition, and is asking where its end is: what is
			// written meanwhile may be before it.
			for b.err == nil {
				b.produce(name, "late")
				if late.saw("late") {
					break
				}
			}
			b.say("late: old ones %v", late.saw("a", "b"))
		}),
		behaviour("share-range", "two members, range", func(b *broker) { b.share(kgo.Balancers(kgo.RangeBalancer())) }),
		behaviour("share-cooperative", "two members, cooperative-sticky", func(b *broker) { b.share(kgo.Balancers(kgo.CooperativeStickyBalancer())) }),
		behaviour("static", "a second member with the same instance id", func(b *broker) {
			name := b.topic("t", 1)
			first := b.member(name, kgo.InstanceID("one"))
			b.follow(first)
			b.await("join", func() bool { return first.held == 1 }, first)
			second := b.member(name, kgo.InstanceID("one"))
			b.follow(second)
			select {
			case <-first.followed:
				b.answered("the first", first.err)
				b.await("join", func() bool { return second.held == 1 }, second)
			case <-time.After(3 * time.Second): // fifteen heartbeats
				b.say("the first goes on")
			}
			// By itself a static member leaves when its session ends.
			second.Close()
			_, err := b.kadm().LeaveGroup(b.ctx, kadm.LeaveGroup(b.name).InstanceIDs("one"))
			b.answered("leave", err)
		}),
		behaviour("session-timeout", "session timeouts that are too short and too long", func(b *broker) {
			name := b.topic("t", 1)
			for _, timeout := range []time.Duration{time.Second, 6 * time.Second, 31 * time.Minute} {
				req := kmsg.NewPtrJoinGroupRequest()
				req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = b.name, "consumer", int32(timeout.Milliseconds()), 1000
				protocol := kmsg.NewJoinGroupRequestProtocol()
				protocol.Name, protocol.Metadata = "range", subscription(name)
				req.Protocols = append(req.Protocols, protocol)
				answer, err := req.RequestWith(b.ctx, b.admin())
				if b.answered(timeout.String(), err) {
					b.tell(timeout.String(), code(answer.ErrorCode))
				}
			}
		}),
		behaviour("group-admin", "groups looked at, changed and deleted from outside", func(b *broker) { b.administer() }),
		behaviour("stale-commit", "commits of members that are none", func(b *broker) {
			name := b.topic("t", 1)
			versions := kversion.Stable()
			versions.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), 8) // later ones name topics by their ids
			old := b.client(kgo.MaxVersions(versions))
			for _, c := range []struct {
				what, member string
				generation   int32
			}{{"nobody, no generation", "", -1}, {"a stranger", "stranger", 3}, {"nobody, a generation", "", 3}} {
				req := kmsg.NewPtrOffsetCommitRequest()
				req.Group, req.MemberID, req.Generation = b.name, c.member, c.generation
				topic := kmsg.NewOffsetCommitRequestTopic()
				topic.Topic = name
				partition := kmsg.NewOffsetCommitRequestTopicPartition()
				topic.Partitions = append(topic.Partitions, partition)
				req.Topics = append(req.Topics, topic)
				answer, err := req.RequestWith(b.ctx, old)
				if b.answered(c.what, err) {
					b.tell(c.what, code(answer.Topics[0].Partitions[0].ErrorCode))
				}
			}
		}),
	}
}

func (b *broker) resume(opts ...kgo.Opt) {
	name := b.topic("t", 1)
	b.produce(name, "a", "b", "c", "d", "e")
	first := b.member(name, opts...)
	got := b.read(first.Client, 5)
	if len(got) < 5 {
		return
	}
	b.say("first: %s", written(got))
	b.answered("commit", first.CommitRecords(b.ctx, got[:3]...))
	first.Close()
	b.say("then: %s", written(b.read(b.member(name, opts...).Client, 2)))
}

// share lets two members share four partitions, and one of them leave.
func (b *broker) share(opts ...kgo.Opt) {
	name := b.topic("t", 4)
	write := func(kind string) {
		for i := range 40 {
			b.answered("produce", b.admin().ProduceSync(b.ctx, &kgo.Record{Topic: name, Partition: int32(i % 4), Value: fmt.Append(nil, kind, i)}).FirstErr())
		}
	}
	first := b.member(name, opts...)
	b.follow(first)
	b.await("join", func() bool { return first.held == 4 }, first)
	second := b.member(name, opts...)
	b.follow(second)
	b.await("join", func() bool { return first.held == 2 && second.held == 2 }, first, second)
	write("shared ")
	var each [2]int
	b.await("read", func() bool {
		each = [2]int{len(first.seen), len(second.seen)}
		return each[0]+each[1] == 40
	}, first, second)
	if b.err != nil {
		return
	}
	b.say("%d and %d of 40", each[0], each[1])
	b.answered("commit", first.CommitUncommittedOffsets(b.ctx))
	b.answered("commit", second.CommitUncommittedOffsets(b.ctx))
	second.Close()
	<-second.followed
	b.await("take over", func() bool { return first.held == 4 }, first)
	write("alone ")
	b.await("read", func() bool {
		return first.seen["alone 39"] > 0 && first.seen["alone 38"] > 0 && first.seen["alone 37"] > 0 && first.seen["alone 36"] > 0
	}, first)
	if b.err != nil {
		return
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	var twice []string
	for value, n := range first.seen {
		if n > 1 || second.seen[value] > 0 {
			twice = append(twice, value)
		}
	}
	b.say("then all of 40; read twice: %d", len(twice))
}

// administer is what kafka-consumer-groups.sh does.
func (b *broker) administer() {
	admin, name := b.kadm(), b.topic("t", 1)
	b.produce(name, "a", "b")
	state := func(what string) {
		described, err := admin.DescribeGroups(b.ctx, b.name)
		if b.answered(what, err) && b.answered(what, described[b.name].Err) {
			b.say("%s: %s", what, described[b.name].State)
		}
	}
	state("none")
	_, err := admin.DeleteGroup(b.ctx, b.name)
	b.tell("delete none", err)
	first := b.member(name, kgo.Balancers(kgo.RangeBalancer()))
	b.follow(first)
	b.await("join", func() bool { return first.held == 1 && len(first.seen) == 2 }, first)
	state("with a member")
	offsets := kadm.Offsets{}
	offsets.AddOffset(name, 0, 1, -1)
	b.tell("commit for it", b.kadm().CommitAllOffsets(b.ctx, b.name, offsets))
	_, err = admin.DeleteGroup(b.ctx, b.name)
	b.tell("delete it", err)
	first.Close()
	state("without")
	b.tell("commit", admin.CommitAllOffsets(b.ctx, b.name, offsets))
	lag, err := admin.Lag(b.ctx, b.name)
	if b.answered("lag", err) {
		b.say("lag %d", lag[b.name].Lag.Total())
	}
	gone, err := admin.DeleteOffsets(b.ctx, b.name, kadm.TopicsSet{name: {0: {}}})
	if b.answered("delete offsets", err) {
		b.tell("delete offsets", gone.Error())
	}
	_, err = admin.DeleteGroup(b.ctx, b.name)
	b.tell("delete", err)
	state("deleted")
}

func subscription(topic string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{topic}
	return m.AppendTo(nil)
}

func code(c int16) error { return kerr.ErrorForCode(c) }
