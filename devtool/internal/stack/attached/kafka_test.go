package attached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"example.com/goldenpath/devtool/internal/stack/embedded"
)

const topic = "notes.v1"

func kafkaAt(addr string) *Kafka {
	return NewKafka(KafkaOptions{Name: "kafka", Addr: addr, Topics: []string{topic, "other"}, Partitions: 3, Patience: patience})
}

func fakeCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func kafkaClient(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic),
		kgo.FetchMaxWait(100 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func produce(t *testing.T, c *kgo.Client, texts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, text := range texts {
		if err := c.ProduceSync(ctx, kgo.StringRecord(text)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// consume polls until the record with this text, and returns all texts.
func consume(t *testing.T, c *kgo.Client, until string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var texts []string
	for {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%q did not come; got %q", until, texts)
		}
		found := false
		fetches.EachRecord(func(r *kgo.Record) {
			texts = append(texts, string(r.Value))
			found = found || string(r.Value) == until
		})
		if found {
			return texts
		}
	}
}

// records is how many a newcomer would read of the topic.
func records(t *testing.T, admin *kadm.Client, topic string) (n int64) {
	t.Helper()
	starts, err := admin.ListStartOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		n += end.Offset - start.Offset
	})
	return n
}

func TestKafka(t *testing.T) {
	up := started(t, func(c embedded.Config) *embedded.Kafka {
		return embedded.NewKafka(c, embedded.KafkaOptions{Name: "kafka", Topics: []string{"other"}})
	})
	k := kafkaAt(up.Addr())
	if err := k.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "topic notes.v1 is missing") {
		t.Errorf("before the first start: %v", err)
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	t.Run("topics that were missing are made, and others left as they are", func(t *testing.T) {
		topics, err := kadm.NewClient(kafkaClient(t, up.Addr())).ListTopics(t.Context())
		if err != nil || len(topics[topic].Partitions) != 3 || len(topics["other"].Partitions) != 1 {
			t.Errorf("topics %v, %v", topics, err)
		}
	})

	t.Run("reset empties the topics under running producers and consumers", func(t *testing.T) {
		group := func(name string) *kgo.Client {
			return kafkaClient(t, up.Addr(), kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())
		}
		producer, reader, behind := kafkaClient(t, up.Addr()), group("running"), group("behind")
		produce(t, producer, "before")
		consume(t, reader, "before")
		consume(t, behind, "before")
		produce(t, producer, "unread by one")
		if err := k.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		produce(t, producer, "after")
		consume(t, reader, "after")
		consume(t, behind, "after")
		if got := consume(t, group("late"), "after"); len(got) != 1 {
			t.Errorf("a group that joined after the reset read %q", got)
		}
	})

	t.Run("a reset of what is empty already does nothing", func(t *testing.T) {
		for range 3 {
			if err := k.Reset(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// elsewhere is a listener that the broker tells its clients is at another
// address, as one in a container does.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr  { return elsewhere{} }
func (elsewhere) Network() string { return "tcp" }
func (elsewhere) String() string  { return "kafka.invalid:9092" }

func TestKafkaElsewhere(t *testing.T) {
	t.Run("the only broker is found wherever it says that it is", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		fakeCluster(t, kfake.ListenFn(func(string, string) (net.Listener, error) { return elsewhere{l}, nil }))
		k := kafkaAt(l.Addr().String())
		if err := errors.Join(k.Start(t.Context()), k.Probe(t.Context()), k.Reset(t.Context())); err != nil {
			t.Error(err)
		}
		if want := "Kafka at " + l.Addr().String() + " (1 broker)"; k.Describe() != want {
			t.Errorf("described as %q, want %q", k.Describe(), want)
		}
	})

	t.Run("of several brokers each is asked about its own partitions", func(t *testing.T) {
		c := fakeCluster(t, kfake.NumBrokers(3))
		k := kafkaAt(c.ListenAddrs()[2])
		k.opts.Partitions = 30
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		client := kafkaClient(t, c.ListenAddrs()[0], kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		for i := range 90 {
			produce(t, client, fmt.Sprint(i))
		}
		admin := kadm.NewClient(client)
		if n := records(t, admin, topic); n != 90 {
			t.Fatalf("%d records", n)
		}
		if err := k.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := records(t, admin, topic); n != 0 {
			t.Errorf("%d records are left", n)
		}
		if !strings.HasSuffix(k.Describe(), "(3 brokers)") {
			t.Errorf("described as %q", k.Describe())
		}
	})
}

// control lets the next answers to requests with this key be made by answer, as
// often as it gives one.
func control(c *kfake.Cluster, key kmsg.Key, answer func(kmsg.Request) kmsg.Response) {
	c.ControlKey(key.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		response := answer(request)
		return response, nil, response != nil
	})
}

func TestKafkaAnswers(t *testing.T) {
	t.Run("Kafka's own topics are not touched by a reset", func(t *testing.T) {
		yes := "true"
		c := fakeCluster(t)
		client := kafkaClient(t, c.ListenAddrs()[0], kgo.DefaultProduceTopic("__consumer_offsets"))
		admin := kadm.NewClient(client)
		if _, err := admin.CreateTopic(t.Context(), 1, -1, map[string]*string{"kfake.is_internal": &yes}, "__consumer_offsets"); err != nil {
			t.Fatal(err)
		}
		produce(t, client, "kept")
		k := kafkaAt(c.ListenAddrs()[0])
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := k.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := records(t, admin, "__consumer_offsets"); n != 1 {
			t.Errorf("%d records", n)
		}
	})

	t.Run("a topic of which Kafka deletes nothing is named, with what to change", func(t *testing.T) {
		c := fakeCluster(t)
		k := kafkaAt(c.ListenAddrs()[0])
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		control(c, kmsg.DeleteRecords, func(request kmsg.Request) kmsg.Response {
			response := request.ResponseKind().(*kmsg.DeleteRecordsResponse)
			for _, asked := range request.(*kmsg.DeleteRecordsRequest).Topics {
				about := kmsg.NewDeleteRecordsResponseTopic()
				about.Topic = asked.Topic
				partition := kmsg.NewDeleteRecordsResponseTopicPartition()
				partition.ErrorCode = kerr.PolicyViolation.Code
				about.Partitions = append(about.Partitions, partition)
				response.Topics = append(response.Topics, about)
			}
			return response
		})
		failure(t, k.Reset(t.Context()), "topic notes.v1 is only compacted", "cleanup.policy=compact,delete")
	})

	createWith := func(t *testing.T, code *kerr.Error, times int) (*kfake.Cluster, error) {
		t.Helper()
		c := fakeCluster(t)
		control(c, kmsg.CreateTopics, func(request kmsg.Request) kmsg.Response {
			if times--; times < 0 {
				return nil
			}
			response := request.ResponseKind().(*kmsg.CreateTopicsResponse)
			for _, asked := range request.(*kmsg.CreateTopicsRequest).Topics {
				about := kmsg.NewCreateTopicsResponseTopic()
				about.Topic, about.ErrorCode = asked.Topic, code.Code
				response.Topics = append(response.Topics, about)
			}
			return response
		})
		return c, kafkaAt(c.ListenAddrs()[0]).Start(t.Context())
	}

	for _, code := range []*kerr.Error{kerr.InvalidReplicationFactor, kerr.NotController, kerr.LeaderNotAvailable} {
		t.Run("topics are made in the end when the first answers are "+code.Message, func(t *testing.T) {
			if _, err := createWith(t, code, 3); err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("a topic that Kafka does not allow is an error at once", func(t *testing.T) {
		began := time.Now()
		_, err := createWith(t, kerr.InvalidTopicException, 1<<30)
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "create topic notes.v1: INVALID_TOPIC_EXCEPTION") || took > 3*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	})
}
