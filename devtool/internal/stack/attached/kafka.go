package attached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/devtool/internal/console"
)

const (
	kafkaLimit = 5 * time.Second
	// emptyLimit is for a cluster that drops the files of many partitions.
	emptyLimit = 30 * time.Second
)

// KafkaOptions says where the cluster is and what it is for.
type KafkaOptions struct {
	Name       string        // of the dependency
	Addr       string        // host:port of one broker
	Topics     []string      // exist after Start
	Partitions int           // of each topic that Start makes; 0: 1
	Patience   time.Duration // how long Start waits for an answer; 0: a minute
}

// Kafka is a cluster of one broker or more.
type Kafka struct {
	remote
	opts    KafkaOptions
	brokers atomic.Int64 // as it was last told
}

// NewKafka makes one that has not been asked anything yet.
func NewKafka(opts KafkaOptions) *Kafka {
	if opts.Partitions < 1 {
		opts.Partitions = 1
	}
	return &Kafka{remote: newRemote(opts.Name, opts.Addr, opts.Patience, kafkaLimit), opts: opts}
}

// Start returns when the topics exist and have leaders. Topics that exist stay
// as they are.
func (k *Kafka) Start(ctx context.Context) error { return k.await(ctx, k.prepare) }

func (k *Kafka) prepare(ctx context.Context) error {
	var missing []string
	err := k.withCluster(ctx, func(admin *kadm.Client, cluster kadm.Metadata) error {
		for _, topic := range k.opts.Topics {
			if !cluster.Topics.Has(topic) {
				missing = append(missing, topic)
			}
		}
		if len(missing) == 0 {
			return k.ready(cluster.Topics)
		}
		return k.create(ctx, admin, missing)
	})
	if err == nil && len(missing) > 0 {
		err = k.Probe(ctx)
	}
	return refusedByKafka(err)
}

func (k *Kafka) create(ctx context.Context, admin *kadm.Client, topics []string) error {
	const replicas = -1 // as many as the cluster gives by default (KIP-464)
	answers, err := admin.CreateTopics(ctx, int32(k.opts.Partitions), replicas, nil, topics...)
	if err != nil {
		return err
	}
	for _, answer := range answers.Sorted() {
		if answer.Err != nil && !errors.Is(answer.Err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", answer.Topic, answer.Err)
		}
	}
	return nil
}

// ready is an error as long as a topic of the options cannot be written to.
func (k *Kafka) ready(topics kadm.TopicDetails) error {
	for _, name := range k.opts.Topics {
		topic, ok := topics[name]
		if !ok {
			return fmt.Errorf("topic %s is missing", name)
		}
		if topic.Err != nil {
			return fmt.Errorf("topic %s: %w", name, topic.Err)
		}
		for _, partition := range topic.Partitions.Sorted() {
			if partition.Leader < 0 {
				return fmt.Errorf("topic %s, partition %d has no leader", name, partition.Partition)
			}
		}
	}
	return nil
}

// refusedByKafka makes a failure of what waiting will not change.
func refusedByKafka(err error) error {
	var answer *kerr.Error
	// Too few brokers for a replica each: the others may be on their way.
	if !errors.As(err, &answer) || answer.Retriable || errors.Is(err, kerr.InvalidReplicationFactor) {
		return err
	}
	return console.Wrap(err, console.ExitFailed, "")
}

// Probe asks for the topics and is content when those of the options are there.
func (k *Kafka) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.limit)
	defer cancel()
	err := k.withCluster(ctx, func(_ *kadm.Client, cluster kadm.Metadata) error { return k.ready(cluster.Topics) })
	if err != nil {
		return fmt.Errorf("ask Kafka at %s: %w", k.addr, err)
	}
	return nil
}

// Reset empties all topics but Kafka's own. The topics themselves stay, with
// their ids and offsets that go on from where they were: a client that is
// connected notices nothing. A group that had not read everything finds its
// position gone and goes on as its reset policy says.
func (k *Kafka) Reset(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, emptyLimit)
	defer cancel()
	err := k.withCluster(ctx, func(admin *kadm.Client, cluster kadm.Metadata) error {
		cluster.Topics.FilterInternal()
		if err := cluster.Topics.Error(); err != nil {
			return err
		}
		var ends kadm.Offsets
		cluster.Topics.EachPartition(func(p kadm.PartitionDetail) {
			ends.AddOffset(p.Topic, p.Partition, -1, -1) // the end of what has been written (KIP-107)
		})
		answers, err := admin.DeleteRecords(ctx, ends)
		if err != nil {
			return err
		}
		for _, answer := range answers.Sorted() {
			if err := emptied(answer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("empty the topics of Kafka at %s: %w", k.addr, err)
	}
	return nil
}

func emptied(answer kadm.DeleteRecordsResponse) error {
	switch {
	case answer.Err == nil, errors.Is(answer.Err, kerr.UnknownTopicOrPartition): // deleted since it was listed
		return nil
	case errors.Is(answer.Err, kerr.PolicyViolation):
		return console.Wrap(fmt.Errorf("topic %s is only compacted, and of such Kafka deletes nothing: %w", answer.Topic, answer.Err),
			console.ExitFailed, "give topic "+answer.Topic+" cleanup.policy=compact,delete")
	}
	return fmt.Errorf("topic %s, partition %d: %w", answer.Topic, answer.Partition, answer.Err)
}

// withCluster opens a client for the time of do, which gets the cluster as it is
// now. The client is a new one each time because it would remember topics for
// seconds.
func (k *Kafka) withCluster(ctx context.Context, do func(*kadm.Client, kadm.Metadata) error) error {
	dialer := &brokerDialer{addr: k.addr}
	client, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.Dialer(dialer.dial), kgo.RequestRetries(0),
		kgo.WithContext(ctx),       // else a new connection that hears nothing is waited for, whatever ctx says
		kgo.DisableClientMetrics()) // else they are sent unasked
	if err != nil {
		return console.Wrap(err, console.ExitFailed, "")
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	cluster, err := admin.Metadata(ctx)
	err = closedBy(ctx, err)
	switch {
	case err == nil:
	case fleeting(err), kgo.IsRetryableBrokerErr(err), errors.As(err, new(*kerr.Error)):
		return err
	default:
		return &console.Failure{Exit: console.ExitFailed, Text: "what answers does not speak to clients of Kafka", Cause: err, Hint: strangerHint}
	}
	if len(cluster.Brokers) == 0 {
		return errors.New("the cluster has no broker yet")
	}
	dialer.alone.Store(len(cluster.Brokers) == 1)
	k.brokers.Store(int64(len(cluster.Brokers)))
	return closedBy(ctx, do(admin, cluster))
}

// closedBy gives the end of ctx as the cause of what failed by it.
func closedBy(ctx context.Context, err error) error {
	if errors.Is(err, kgo.ErrClientClosed) {
		return ctx.Err()
	}
	return err
}

// brokerDialer dials the brokers at the addresses that they advertise. The only
// broker of a cluster is dialed at addr instead: what it advertises may be meant
// for others, as kafka:9092 is for containers alone.
type brokerDialer struct {
	addr  string
	alone atomic.Bool
}

func (d *brokerDialer) dial(ctx context.Context, network, advertised string) (net.Conn, error) {
	if d.alone.Load() {
		advertised = d.addr
	}
	return (&net.Dialer{}).DialContext(ctx, network, advertised)
}

// Describe gives the address and, once the cluster has told it, its size.
func (k *Kafka) Describe() string {
	switch n := k.brokers.Load(); n {
	case 0:
		return "Kafka at " + k.addr
	case 1:
		return "Kafka at " + k.addr + " (1 broker)"
	default:
		return fmt.Sprintf("Kafka at %s (%d brokers)", k.addr, n)
	}
}
