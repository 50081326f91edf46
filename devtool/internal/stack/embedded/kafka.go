package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/devtool/internal/stack/sticky"
)

const kafkaAskTimeout = 5 * time.Second

// KafkaOptions says what the broker is for.
type KafkaOptions struct {
	Name       string   // of the dependency: folder, port file
	Topics     []string // exist after Start
	Partitions int      // of each topic, those that are created by use too; 0: 1
}

// Kafka is a broker in this process: kfake, with its log on disk. Events that
// wait to be consumed are there again after `down` and `up`, as they are in the
// outbox's books.
type Kafka struct {
	cfg  Config
	opts KafkaOptions

	life    sync.Mutex // Start, Stop, Reset
	addr    atomic.Pointer[string]
	cluster *kfake.Cluster // while it runs
}

// NewKafka makes a broker that does not run yet.
func NewKafka(cfg Config, opts KafkaOptions) *Kafka {
	if opts.Partitions < 1 {
		opts.Partitions = 1
	}
	return &Kafka{cfg: cfg.withDefaults(), opts: opts}
}

// Describe says what serves.
func (*Kafka) Describe() string { return "kfake (in this process)" }

// PID is 0.
func (*Kafka) PID() int { return 0 }

// Done is nil.
func (*Kafka) Done() <-chan struct{} { return nil }

// Addr is 127.0.0.1 and the port.
func (k *Kafka) Addr() string {
	if addr := k.addr.Load(); addr != nil {
		return *addr
	}
	return ""
}

// Start returns when the topics exist and a client sees them. A log on disk
// that cannot be read is set aside.
func (k *Kafka) Start(ctx context.Context) error {
	k.life.Lock()
	defer k.life.Unlock()
	if k.cluster != nil {
		return k.Probe(ctx)
	}
	cluster, err := k.open(k.dataDir())
	if err != nil {
		if errors.Is(err, errListen) {
			return fmt.Errorf("start kfake: %w", err)
		}
		if asideErr := k.setAside(err); asideErr != nil {
			return fmt.Errorf("start kfake: %w", errors.Join(err, asideErr))
		}
		if cluster, err = k.open(k.dataDir()); err != nil {
			return fmt.Errorf("start kfake: %w", err)
		}
	}
	for _, topic := range k.opts.Topics {
		err := cluster.CreateTopic(topic, int32(k.opts.Partitions), nil)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			cluster.Close()
			return fmt.Errorf("start kfake: create topic %s: %w", topic, err)
		}
	}
	if err := k.Probe(ctx); err != nil {
		cluster.Close()
		return fmt.Errorf("start kfake: %w", err)
	}
	k.cluster = cluster
	return nil
}

func (k *Kafka) dataDir() string { return filepath.Join(k.cfg.Dir, k.opts.Name) }

func (k *Kafka) setAside(cause error) error {
	aside := k.dataDir() + ".aside"
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(k.dataDir(), aside); err != nil {
		return err
	}
	k.cfg.Progress(fmt.Sprintf("%s starts with an empty log: the old one cannot be read (%v) and is in %s", k.opts.Name, cause, aside))
	return nil
}

// errListen is a port that cannot be had, which is not the log's fault.
var errListen = errors.New("listen")

func (k *Kafka) open(dir string) (cluster *kfake.Cluster, err error) {
	l, moved, err := sticky.Open(k.cfg.Dir, k.opts.Name).Listen()
	if err != nil {
		return nil, errors.Join(errListen, err)
	}
	// kfake reads its files as it wrote them; garbage in them must not take the
	// supervisor down.
	defer func() {
		if r := recover(); r != nil {
			l.Close()
			cluster, err = nil, fmt.Errorf("read %s: %v", dir, r)
		}
	}()
	cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("goldenpath"),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return guardListener(l), nil }),
		kfake.DataDir(dir),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(k.opts.Partitions),
		kfake.WithLogger(kfake.BasicLogger(k.cfg.Output(k.opts.Name), kfake.LogLevelWarn)),
	)
	if err != nil {
		l.Close()
		return nil, err
	}
	if moved != 0 {
		k.cfg.Progress(sticky.Moved(k.opts.Name, moved, l.Addr().(*net.TCPAddr).Port))
	}
	addr := l.Addr().String()
	k.addr.Store(&addr)
	return cluster, nil
}

// Stop closes all connections and writes the log out.
func (k *Kafka) Stop(context.Context) error {
	k.life.Lock()
	defer k.life.Unlock()
	if k.cluster != nil {
		k.cluster.Close()
		k.cluster = nil
	}
	return nil
}

// Reset empties all topics. The topics themselves stay, with their ids and
// offsets that go on from where they were: a client that is connected notices
// nothing, whereas it would refuse a topic that was deleted and created again
// until its process restarts. A group that had not read everything finds its
// position gone and goes on from the beginning of what is there, as its reset
// policy says.
func (k *Kafka) Reset(ctx context.Context) error {
	k.life.Lock()
	defer k.life.Unlock()
	if k.cluster == nil {
		return errors.New("empty Kafka's topics: it does not run")
	}
	topics, err := k.topics(ctx)
	if err != nil {
		return fmt.Errorf("empty Kafka's topics: %w", err)
	}
	for _, topic := range topics.Sorted() {
		for partition := range topic.Partitions {
			// -1 is the end of what has been written (KIP-107).
			if err := k.cluster.DeleteRecords(topic.Topic, partition, -1); err != nil {
				return fmt.Errorf("empty topic %s, partition %d: %w", topic.Topic, partition, err)
			}
		}
	}
	return nil
}

// Probe asks for the topics and is content when those of the options are there.
func (k *Kafka) Probe(ctx context.Context) error {
	topics, err := k.topics(ctx)
	if err != nil {
		return fmt.Errorf("ask Kafka: %w", err)
	}
	for _, name := range k.opts.Topics {
		if !topics.Has(name) {
			return fmt.Errorf("ask Kafka: topic %s is missing", name)
		}
	}
	return nil
}

func (k *Kafka) topics(ctx context.Context) (kadm.TopicDetails, error) {
	addr := k.Addr()
	if addr == "" {
		return nil, errors.New("it has not been started")
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaAskTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.DialTimeout(kafkaAskTimeout))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	return topics, topics.Error()
}
