package proxy_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/chaos/proxy"
)

// advertised is a listener that calls itself by another host, which is what
// kfake advertises.
type advertised struct {
	net.Listener
	host string
}

func (a advertised) Addr() net.Addr {
	return hostname{net.JoinHostPort(a.host, fmt.Sprint(a.Listener.Addr().(*net.TCPAddr).Port))}
}

// hostname is an address by name.
type hostname struct{ string }

func (hostname) Network() string  { return "tcp" }
func (h hostname) String() string { return h.string }

// network dials the names of containers where they are on this machine, and
// remembers what was dialed.
type network struct {
	mu     sync.Mutex
	names  map[string]string // host: host on this machine
	dialed []string
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = append(n.dialed, address)
	n.mu.Unlock()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	there, ok := n.names[host]
	if !ok {
		return nil, fmt.Errorf("dial %s: no such host", address)
	}
	return new(net.Dialer).DialContext(ctx, kind, net.JoinHostPort(there, port))
}

// strangers gives what was dialed but the names that are known.
func (n *network) strangers() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.dialed), func(address string) bool {
		host, _, _ := net.SplitHostPort(address)
		return n.names[host] != ""
	})
}

// openPublic opens a proxy that is known as toxiproxy before a cluster whose
// brokers advertise a name that nobody can look up.
func openPublic(t *testing.T, brokers int) (public string, n *network) {
	t.Helper()
	var first string
	cluster, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.SeedTopics(12, "notes"),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			if err != nil {
				return nil, err
			}
			if first == "" {
				first = l.Addr().String()
			}
			return advertised{l, "broker.invalid"}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	e := proxy.New(proxy.Config{})
	t.Cleanup(func() { e.Close() })
	// The port is the same at the public name, as between containers.
	l := listen(t)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	public = net.JoinHostPort("toxiproxy", port)
	if _, err := e.Open(proxy.Definition{
		Name: "kafka", Listen: "0.0.0.0:" + port, Upstream: first, Protocol: "kafka", Public: public,
	}); err != nil {
		t.Fatal(err)
	}
	return public, &network{names: map[string]string{"toxiproxy": "127.0.0.1"}}
}

func TestKafkaPublic(t *testing.T) {
	client := func(t *testing.T, public string, n *network, options ...kgo.Opt) *kgo.Client {
		t.Helper()
		c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(public), kgo.Dialer(n.dial), kgo.DefaultProduceTopic("notes")}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}

	t.Run("a client produces and consumes as a group, and dials the public address alone", func(t *testing.T) {
		public, n := openPublic(t, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		producer := client(t, public, n)
		if err := producer.ProduceSync(ctx, kgo.StringRecord("a note")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		consumer := client(t, public, n, kgo.ConsumeTopics("notes"), kgo.ConsumerGroup("readers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil || fetches.NumRecords() != 1 {
			t.Errorf("%d records, %v", fetches.NumRecords(), err)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, address := range n.dialed {
			if address != public {
				t.Errorf("dialed %s, not %s alone", address, public)
			}
		}
	})

	t.Run("a client whose first question is for the coordinator dials the public address alone", func(t *testing.T) {
		public, n := openPublic(t, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		admin := kadm.NewClient(client(t, public, n))
		found := admin.FindGroupCoordinators(ctx, "readers")["readers"]
		if found.Err != nil || fmt.Sprintf("%s:%d", found.Host, found.Port) != public {
			t.Errorf("coordinator %s:%d, %v", found.Host, found.Port, found.Err)
		}
		var offsets kadm.Offsets
		offsets.AddOffset("notes", 0, 7, -1)
		if err := admin.CommitAllOffsets(ctx, "readers", offsets); err != nil {
			t.Errorf("commit to the coordinator: %v", err)
		}
		if strangers := n.strangers(); len(strangers) > 0 {
			t.Errorf("dialed %v", strangers)
		}
	})

	t.Run("every broker of several is told by the public host", func(t *testing.T) {
		public, n := openPublic(t, 3)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		described, err := kadm.NewClient(client(t, public, n)).BrokerMetadata(ctx)
		if err != nil || len(described.Brokers) != 3 {
			t.Fatalf("%+v, %v", described, err)
		}
		for _, b := range described.Brokers {
			if b.Host != "toxiproxy" {
				t.Errorf("broker %d is at %s", b.NodeID, b.Host)
			}
		}
	})

	t.Run("a public host that is an IPv6 address is told without its brackets", func(t *testing.T) {
		c := startCluster(t, 1)
		p, err := c.engine.Open(proxy.Definition{Name: "six", Upstream: c.direct[0], Protocol: "kafka", Public: "[2001:db8::1]:9092"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		admin, err := kgo.NewClient(kgo.SeedBrokers(p.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		described, err := kadm.NewClient(admin).BrokerMetadata(ctx)
		if err != nil || len(described.Brokers) != 1 || described.Brokers[0].Host != "2001:db8::1" || described.Brokers[0].Port != 9092 {
			t.Errorf("%+v, %v", described, err)
		}
	})
}
