package kafka

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/devtool/internal/parity"
)

// longAgo is the time of records whose time matters.
var longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func records() []parity.Behaviour {
	return []parity.Behaviour{
		behaviour("acks", "offsets of records, by what is waited for", func(b *broker) {
			name := b.topic("t", 1)
			for _, c := range []struct {
				what string
				opts []kgo.Opt
			}{
				{"all, idempotent", nil},
				{"all", []kgo.Opt{kgo.DisableIdempotentWrite()}},
				{"leader", []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck())}},
				{"none", []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.NoAck())}},
			} {
				r := &kgo.Record{Topic: name, Value: []byte(c.what)}
				if b.answered(c.what, b.client(c.opts...).ProduceSync(b.ctx, r).FirstErr()) {
					b.say("%s: %d", c.what, r.Offset)
				}
			}
			b.say("%s", written(b.all(name, 4)))
		}),
		behaviour("order", "order in a partition", func(b *broker) {
			const n = 2000
			name, c := b.topic("t", 1), b.client()
			var list []*kgo.Record
			for i := range n {
				list = append(list, &kgo.Record{Topic: name, Value: fmt.Append(nil, i)})
			}
			b.answered("produce", c.ProduceSync(b.ctx, list...).FirstErr())
			for i, r := range b.all(name, n) {
				if string(r.Value) != fmt.Sprint(i) || r.Offset != int64(i) {
					b.say("record %d is %s at %d", i, r.Value, r.Offset)
					return
				}
			}
			b.say("%d in order", n)
		}),
		behaviour("keys", "which partition a key goes to", func(b *broker) {
			name, c := b.topic("t", 7), b.client()
			for _, key := range []string{"a", "b", "note-1", "ä"} {
				r := &kgo.Record{Topic: name, Key: []byte(key)}
				b.answered("produce", c.ProduceSync(b.ctx, r).FirstErr())
				b.say("%s %d", key, r.Partition)
			}
		}),
		behaviour("contents", "keys, values and headers, empty ones and none", func(b *broker) {
			name := b.topic("t", 1)
			b.answered("produce", b.admin().ProduceSync(b.ctx,
				&kgo.Record{Topic: name},
				&kgo.Record{Topic: name, Key: []byte{}, Value: []byte{}},
				&kgo.Record{Topic: name, Key: []byte("k"), Value: []byte{0, 255},
					Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}, {Key: "", Value: []byte{}}}},
			).FirstErr())
			for _, r := range b.all(name, 3) {
				b.say("key nil %v %q, value nil %v %q, headers %q", r.Key == nil, r.Key, r.Value == nil, r.Value, r.Headers)
			}
		}),
		behaviour("timestamps", "times of records", func(b *broker) {
			name := b.topic("t", 1)
			b.answered("produce", b.admin().ProduceSync(b.ctx, &kgo.Record{Topic: name, Timestamp: longAgo.Add(1234567 * time.Microsecond)}).FirstErr())
			for _, r := range b.all(name, 1) {
				b.say("%s, type %d", r.Timestamp.UTC().Format(time.RFC3339Nano), r.Attrs.TimestampType())
			}
			appended := b.topic("u", 1, "message.timestamp.type=LogAppendTime")
			b.answered("produce", b.admin().ProduceSync(b.ctx, &kgo.Record{Topic: appended, Timestamp: longAgo}).FirstErr())
			for _, r := range b.all(appended, 1) {
				b.say("by the broker: now %v, type %d", time.Since(r.Timestamp).Abs() < time.Minute, r.Attrs.TimestampType())
			}
		}),
		behaviour("future", "a record from two hours ahead", func(b *broker) {
			b.tell("produce", b.admin().ProduceSync(b.ctx, &kgo.Record{Topic: b.topic("t", 1), Timestamp: time.Now().Add(2 * time.Hour)}).FirstErr())
		}),
		behaviour("too-large", "records over the limit", func(b *broker) {
			name, small := b.topic("t", 1), b.topic("u", 1, "max.message.bytes=1000")
			c := b.client(kgo.ProducerBatchMaxBytes(8<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
			for _, try := range []struct {
				topic string
				size  int
			}{{name, 1_000_000}, {name, 1_048_588}, {name, 5_000_000}, {small, 800}, {small, 1100}} {
				b.tell(fmt.Sprint(try.size), c.ProduceSync(b.ctx, &kgo.Record{Topic: try.topic, Value: make([]byte, try.size)}).FirstErr())
			}
		}),
		behaviour("compression", "codecs", func(b *broker) {
			name, text := b.topic("t", 1), strings.Repeat("goldenpath ", 200)
			for _, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
				b.answered("produce", b.client(kgo.ProducerBatchCompression(codec)).ProduceSync(b.ctx, &kgo.Record{Topic: name, Value: []byte(text)}).FirstErr())
			}
			for _, r := range b.all(name, 4) {
				b.say("codec %d, as it was: %v", r.Attrs.CompressionType(), string(r.Value) == text)
			}
		}),
		behaviour("compacted", "a compacted topic and a record without a key", func(b *broker) {
			name := b.topic("t", 1, "cleanup.policy=compact")
			b.tell("with a key", b.client().ProduceSync(b.ctx, &kgo.Record{Topic: name, Key: []byte("k")}).FirstErr())
			b.tell("without", b.client().ProduceSync(b.ctx, &kgo.Record{Topic: name, Value: []byte("v")}).FirstErr())
		}),
		behaviour("offsets", "offsets by time", func(b *broker) {
			name := b.topic("t", 1)
			for i := range 3 {
				b.answered("produce", b.admin().ProduceSync(b.ctx, &kgo.Record{Topic: name, Timestamp: longAgo.Add(time.Duration(i) * time.Hour)}).FirstErr())
			}
			for _, at := range []time.Duration{-time.Hour, 0, time.Minute, 2 * time.Hour, 3 * time.Hour} {
				list, err := b.kadm().ListOffsetsAfterMilli(b.ctx, longAgo.Add(at).UnixMilli(), name)
				b.offset(at.String(), name, list, err)
			}
			list, err := b.kadm().ListMaxTimestampOffsets(b.ctx, name)
			b.offset("latest time", name, list, err)
			list, err = b.kadm().ListStartOffsets(b.ctx, name)
			b.offset("start", name, list, err)
			list, err = b.kadm().ListEndOffsets(b.ctx, name)
			b.offset("end", name, list, err)
			list, err = b.kadm().ListEndOffsets(b.ctx, name+"_none")
			b.offset("no such topic", name+"_none", list, err)
		}),
		behaviour("delete-records", "records deleted, and reading where they were", func(b *broker) {
			name := b.topic("t", 1)
			b.produce(name, "a", "b", "c", "d")
			for _, at := range []int64{2, 1, 9} {
				offsets := kadm.Offsets{}
				offsets.AddOffset(name, 0, at, -1)
				gone, err := b.kadm().DeleteRecords(b.ctx, offsets)
				if !b.answered("delete", err) {
					return
				}
				r, _ := gone.Lookup(name, 0)
				if b.answered(fmt.Sprint("before ", at), r.Err) {
					b.say("before %d: %d is the first", at, r.LowWatermark)
				}
			}
			b.say("%s", written(b.all(name, 2)))
			from := map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(1)}}
			b.say("from 1: %s", written(b.read(b.client(kgo.ConsumePartitions(from)), 2)))
			b.read(b.client(kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NoResetOffset())), 1)
		}),
		behaviour("beyond-the-end", "reading from an offset that is not there yet", func(b *broker) {
			name := b.topic("t", 1)
			b.produce(name, "a")
			b.read(b.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(7)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset())), 1)
		}),
	}
}

func (b *broker) offset(what, topic string, list kadm.ListedOffsets, err error) {
	if !b.answered(what, err) {
		return
	}
	found, ok := list.Lookup(topic, 0)
	if !ok {
		b.say("%s: none", what)
	} else if b.answered(what, found.Err) {
		b.say("%s: %d", what, found.Offset)
	}
}
