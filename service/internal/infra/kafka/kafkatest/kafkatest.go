// Package kafkatest runs a Kafka for one test: franz-go's kfake, one broker,
// behind a gate.
package kafkatest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/service/internal/infra/gatetest"
)

// Broker is a Kafka of one broker. Clients that start at Addr reach it through
// Gate and no other way.
type Broker struct {
	Gate    *gatetest.Gate
	Cluster *kfake.Cluster
	direct  string
}

// Start returns a broker that ends with the test, and creates topics of three
// partitions as they are asked for.
func Start(t testing.TB) *Broker {
	t.Helper()
	b := &Broker{}
	var err error
	b.Cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(3),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := net.Listen(network, "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			b.direct = l.Addr().String()
			b.Gate = gatetest.New(t, b.direct)
			return advertised{l, b.Gate.Addr()}, nil
		}))
	if err != nil {
		t.Fatalf("starting kfake: %v", err)
	}
	t.Cleanup(b.Cluster.Close)
	return b
}

// advertised is a listener that the broker tells its clients is elsewhere.
type advertised struct {
	net.Listener
	at string
}

// Addr is net.Listener's.
func (a advertised) Addr() net.Addr {
	at, _ := net.ResolveTCPAddr("tcp", a.at) // an address that a listener gave
	return at
}

// Addr is the host:port that clients start at.
func (b *Broker) Addr() string { return b.Gate.Addr() }

// Records reads a topic from its beginning until it has n records, and a moment
// longer, to see that there are no more.
func (b *Broker) Records(t testing.TB, topic string, n int) []*kgo.Record {
	t.Helper()
	const patience, moment = 20 * time.Second, 300 * time.Millisecond
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableClientMetrics(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatalf("reading %s: %v", topic, err)
	}
	defer client.Close()
	var records []*kgo.Record
	for wait := patience; ; {
		if len(records) >= n {
			wait = moment
		}
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		fetched := client.PollFetches(ctx)
		ended := ctx.Err() != nil
		cancel()
		records = append(records, fetched.Records()...)
		if ended && fetched.NumRecords() == 0 {
			return records
		}
	}
}
