package kafka

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"example.com/goldenpath/devtool/internal/parity"
)

// needed are the requests that clients, and the tools beside them, send.
var needed = []kmsg.Key{
	kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.Heartbeat, kmsg.LeaveGroup,
	kmsg.SyncGroup, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.SASLHandshake, kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.DeleteRecords, kmsg.InitProducerID,
	kmsg.OffsetForLeaderEpoch, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.DescribeACLs, kmsg.DescribeConfigs, kmsg.AlterConfigs,
	kmsg.DescribeLogDirs, kmsg.CreatePartitions, kmsg.CreateDelegationToken, kmsg.DeleteGroups, kmsg.ElectLeaders, kmsg.IncrementalAlterConfigs, kmsg.AlterPartitionAssignments,
	kmsg.OffsetDelete, kmsg.DescribeClientQuotas, kmsg.DescribeUserSCRAMCredentials, kmsg.DescribeCluster, kmsg.DescribeProducers, kmsg.DescribeTransactions, kmsg.ListTransactions,
	kmsg.ConsumerGroupHeartbeat, kmsg.ConsumerGroupDescribe, kmsg.DescribeTopicPartitions,
}

func topics() []parity.Behaviour {
	return []parity.Behaviour{
		behaviour("requests", "requests that clients and tools send", func(b *broker) {
			answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(b.ctx, b.admin())
			if !b.answered("ask", err) {
				return
			}
			var missing []string
			for _, key := range needed {
				if !slices.ContainsFunc(answer.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == key.Int16() }) {
					missing = append(missing, key.Name())
				}
			}
			b.say("missing: %s", strings.Join(missing, " "))
		}),
		behaviour("cluster", "what the cluster says of itself", func(b *broker) {
			m, err := b.kadm().BrokerMetadata(b.ctx)
			if !b.answered("ask", err) {
				return
			}
			b.say("%d broker, controller known: %v, cluster id: %v", len(m.Brokers), slices.Contains(m.Brokers.NodeIDs(), m.Controller), m.Cluster != "")
		}),
		behaviour("create", "topics that can and cannot be made", func(b *broker) {
			word := "x"
			for _, c := range []struct {
				what, name  string
				partitions  int32
				replication int16
				configs     map[string]*string
			}{
				{"a topic", "_a", 3, 1, nil},
				{"again", "_a", 3, 1, nil},
				{"a blank in the name", "_a b", 1, 1, nil},
				{"250 letters", strings.Repeat("x", 250), 1, 1, nil},
				{"names that differ in . and _", ".a", 1, 1, nil},
				{"no partitions", "_b", 0, 1, nil},
				{"three replicas", "_c", 1, 3, nil},
				{"no such setting", "_d", 1, 1, map[string]*string{"no.such": &word}},
				{"a bad value", "_e", 1, 1, map[string]*string{"retention.ms": &word}},
				{"defaults", "_f", -1, -1, nil},
			} {
				_, err := b.kadm().CreateTopic(b.ctx, c.partitions, c.replication, c.configs, b.name+c.name)
				b.tell(c.what, err)
			}
		}),
		behaviour("validate", "making a topic on trial", func(b *broker) {
			made, err := b.kadm().ValidateCreateTopics(b.ctx, 1, 1, nil, b.name)
			if !b.answered("try", err) {
				return
			}
			b.tell("try", made[b.name].Err)
			list, err := b.kadm().ListTopics(b.ctx, b.name)
			if b.answered("list", err) {
				b.tell("list", list[b.name].Err)
			}
		}),
		behaviour("delete", "topics deleted", func(b *broker) {
			name := b.topic("t", 1)
			b.produce(name, "a")
			_, err := b.kadm().DeleteTopic(b.ctx, name)
			b.tell("delete", err)
			err = parity.Until(b.ctx, func() (bool, error) {
				list, err := b.kadm().ListTopics(b.ctx, name)
				return list[name].Err != nil, err
			})
			b.answered("see it go", err)
			_, err = b.kadm().DeleteTopic(b.ctx, name)
			b.tell("again", err)
			b.tell("produce", b.client().ProduceSync(b.ctx, &kgo.Record{Topic: name}).FirstErr())
			b.topic("t", 1)
			ends, err := b.kadm().ListEndOffsets(b.ctx, name)
			if b.answered("list", err) {
				end, _ := ends.Lookup(name, 0)
				b.say("made again it has %d records", end.Offset)
			}
		}),
		behaviour("auto-create", "a topic that nobody made", func(b *broker) {
			b.tell("produce", b.client().ProduceSync(b.ctx, &kgo.Record{Topic: b.name + "_a"}).FirstErr())
			b.tell("produce, may create", b.client(kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(20)).ProduceSync(b.ctx, &kgo.Record{Topic: b.name + "_b"}).FirstErr())
			list, err := b.kadm().ListTopics(b.ctx, b.name+"_b")
			if b.answered("list", err) {
				b.say("%d partition", len(list[b.name+"_b"].Partitions))
			}
		}),
		behaviour("partitions", "more partitions and fewer", func(b *broker) {
			name := b.topic("t", 2)
			for _, n := range []int{4, 4, 3} {
				set, err := b.kadm().UpdatePartitions(b.ctx, n, name)
				if b.answered("set", err) {
					b.tell("set", set[name].Err)
				}
			}
			none, err := b.kadm().UpdatePartitions(b.ctx, 2, b.name+"_none")
			if b.answered("none", err) {
				b.tell("no such topic", none[b.name+"_none"].Err)
			}
		}),
		behaviour("settings", "settings of a new topic", func(b *broker) {
			name := b.topic("t", 1)
			b.settings(name, "cleanup.policy", "compression.type", "delete.retention.ms", "max.message.bytes", "message.timestamp.type", "message.timestamp.after.max.ms",
				"min.insync.replicas", "retention.bytes", "retention.ms", "segment.bytes", "unclean.leader.election.enable")
		}),
		behaviour("alter", "settings changed and taken back", func(b *broker) {
			name, hour, word := b.topic("t", 1), "3600000", "x"
			for _, c := range []kadm.AlterConfig{
				{Op: kadm.SetConfig, Name: "retention.ms", Value: &hour}, {Op: kadm.SetConfig, Name: "retention.ms", Value: &word},
				{Op: kadm.SetConfig, Name: "no.such", Value: &word}, {Op: kadm.AppendConfig, Name: "cleanup.policy", Value: &[]string{"compact"}[0]},
			} {
				done, err := b.kadm().AlterTopicConfigs(b.ctx, []kadm.AlterConfig{c}, name)
				if b.answered("alter", err) {
					b.tell(c.Name+" "+*c.Value, done[0].Err)
				}
			}
			b.settings(name, "retention.ms", "cleanup.policy")
			_, err := b.kadm().AlterTopicConfigs(b.ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "retention.ms"}}, name)
			b.answered("delete", err)
			b.settings(name, "retention.ms")
		}),
		behaviour("broker-settings", "what the broker is set to", func(b *broker) {
			m, err := b.kadm().BrokerMetadata(b.ctx)
			if !b.answered("ask", err) {
				return
			}
			all, err := b.kadm().DescribeBrokerConfigs(b.ctx, m.Brokers.NodeIDs()[0])
			if !b.answered("ask", err) {
				return
			}
			b.pick(all[0], "auto.create.topics.enable", "group.initial.rebalance.delay.ms", "group.min.session.timeout.ms",
				"log.retention.hours", "message.max.bytes", "num.partitions", "offsets.retention.minutes", "transaction.max.timeout.ms")
		}),
		behaviour("internal", "topics of the broker's own", func(b *broker) {
			name := b.topic("t", 1)
			offsets := kadm.Offsets{}
			offsets.AddOffset(name, 0, 0, -1)
			b.answered("commit", b.kadm().CommitAllOffsets(b.ctx, b.name, offsets))
			list, err := b.kadm().ListTopicsWithInternal(b.ctx)
			if b.answered("list", err) {
				b.say("__consumer_offsets: %v, marked: %v", list.Has("__consumer_offsets"), list["__consumer_offsets"].IsInternal)
			}
		}),
		behaviour("acls", "access lists where none were set up", func(b *broker) {
			found, err := b.kadm().DescribeACLs(b.ctx, kadm.NewACLs().AnyResource().Allow().AllowHosts().Operations().ResourcePatternType(kadm.ACLPatternAny))
			if b.answered("list", err) && len(found) > 0 {
				b.tell("list", found[0].Err)
			}
		}),
	}
}

// settings says what a topic is set to.
func (b *broker) settings(topic string, names ...string) {
	all, err := b.kadm().DescribeTopicConfigs(b.ctx, topic)
	if b.answered("describe", err) {
		b.pick(all[0], names...)
	}
}

func (b *broker) pick(all kadm.ResourceConfig, names ...string) {
	for _, name := range names {
		at := slices.IndexFunc(all.Configs, func(c kadm.Config) bool { return c.Key == name })
		if at < 0 {
			b.say("%s: none", name)
			continue
		}
		b.say("%s=%s", name, all.Configs[at].MaybeValue())
	}
}
