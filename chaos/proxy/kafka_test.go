package proxy_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

// produceFrame is a produce request with n bytes behind its header.
func produceFrame(n int) []byte {
	frame := make([]byte, 12+n)
	binary.BigEndian.PutUint32(frame, uint32(8+n))
	binary.BigEndian.PutUint16(frame[6:], 9)
	return frame
}

// kafkaEcho answers each request with as many bytes as are behind its header.
func kafkaEcho(c *net.TCPConn) {
	frame := make([]byte, 4096)
	for {
		if _, err := io.ReadFull(c, frame[:4]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(frame)
		if _, err := io.ReadFull(c, frame[4:4+n]); err != nil {
			return
		}
		answer := append(binary.BigEndian.AppendUint32(nil, n-4), frame[8:12]...)
		if _, err := c.Write(append(answer, frame[12:4+n]...)); err != nil {
			return
		}
	}
}

// cluster is a Kafka with a proxy before it, and the addresses that its
// clients dialed.
type cluster struct {
	engine *proxy.Engine
	proxy  *proxy.Proxy
	direct []string // the brokers' own addresses

	mu     sync.Mutex
	dialed map[string]bool
}

// startCluster makes one with the topic "notes", whose 60 partitions are spread over the brokers.
func startCluster(t *testing.T, brokers int) *cluster {
	t.Helper()
	k, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.SeedTopics(60, "notes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	c := &cluster{engine: proxy.New(proxy.Config{}), direct: k.ListenAddrs(), dialed: make(map[string]bool)}
	t.Cleanup(func() { c.engine.Close() })
	c.proxy, err = c.engine.Add("kafka", "kafka", listen(t), c.direct[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// client connects through the proxy.
func (c *cluster) client(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c.mu.Lock()
		c.dialed[address] = true
		c.mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.proxy.Addr()), kgo.Dialer(dial), kgo.DefaultProduceTopic("notes"),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// addresses gives what was dialed, in order.
func (c *cluster) addresses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for address := range c.dialed {
		all = append(all, address)
	}
	slices.Sort(all)
	return all
}

func TestKafka(t *testing.T) {
	for _, brokers := range []int{1, 3} {
		t.Run(fmt.Sprintf("clients of %d brokers produce and consume as a group, and dial the proxy alone", brokers), func(t *testing.T) {
			c := startCluster(t, brokers)
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			consumer := c.client(t, kgo.ConsumeTopics("notes"), kgo.ConsumerGroup("readers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			producer := c.client(t)
			want := make(map[string]bool)
			for n := range 60 {
				text := fmt.Sprintf("note %d %s", n, strings.Repeat("x", n*300))
				want[text] = true
				if err := producer.ProduceSync(ctx, kgo.StringRecord(text)).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			for len(want) > 0 {
				fetches := consumer.PollFetches(ctx)
				if err := fetches.Err0(); err != nil {
					t.Fatal(err)
				}
				fetches.EachRecord(func(r *kgo.Record) { delete(want, string(r.Value)) })
			}
			if err := consumer.CommitUncommittedOffsets(ctx); err != nil {
				t.Error(err)
			}
			dialed := c.addresses()
			if len(dialed) != brokers {
				t.Errorf("dialed %v", dialed)
			}
			for _, address := range c.direct {
				if slices.Contains(dialed, address) {
					t.Errorf("broker %s was dialed past the proxy", address)
				}
			}
			described, err := kadm.NewClient(producer).BrokerMetadata(ctx)
			if err != nil || len(described.Brokers) != brokers {
				t.Fatalf("metadata %+v, %v", described, err)
			}
			if own := described.Brokers[0]; fmt.Sprintf("%s:%d", own.Host, own.Port) != c.proxy.Addr() {
				t.Errorf("the broker behind the proxy is %s:%d, want %s", own.Host, own.Port, c.proxy.Addr())
			}
		})
	}

	t.Run("a fault acts on every broker, on open connections, and goes", func(t *testing.T) {
		c := startCluster(t, 3)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		producer := c.client(t, kgo.ProducerLinger(0))
		produce := func() time.Duration {
			t.Helper()
			begin := time.Now()
			if err := producer.ProduceSync(ctx, kgo.StringRecord("note")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			return time.Since(begin)
		}
		for range 12 {
			produce()
		}
		if _, err := c.engine.Apply(chaos.Spec{Target: "kafka", Type: chaos.Latency, Attributes: map[string]any{"latency": 200}}); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			if took := produce(); took < 200*time.Millisecond {
				t.Errorf("with latency took %s", took)
			}
		}
		if _, err := c.engine.Clear(); err != nil {
			t.Fatal(err)
		}
		if took := produce(); took >= 200*time.Millisecond {
			t.Errorf("cleared took %s", took)
		}
		if _, err := c.engine.Apply(chaos.Spec{Target: "kafka", Type: chaos.Down}); err != nil {
			t.Fatal(err)
		}
		for _, address := range c.addresses() {
			if conn, err := net.Dial("tcp", address); err == nil {
				conn.Close()
				t.Errorf("%s is open while down", address)
			}
		}
		if _, err := c.engine.Clear(); err != nil {
			t.Fatal(err)
		}
		produce()
	})

	t.Run("a broker that comes back on another port is reached by open clients", func(t *testing.T) {
		c := startCluster(t, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		producer := c.client(t)
		if err := producer.ProduceSync(ctx, kgo.StringRecord("note")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		other, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(60, "notes"))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		c.proxy.SetUpstream(other.ListenAddrs()[0])
		c.proxy.CloseConnections()
		if err := producer.ProduceSync(ctx, kgo.StringRecord("note")).FirstErr(); err != nil {
			t.Error(err)
		}
		if dialed := c.addresses(); len(dialed) != 1 {
			t.Errorf("dialed %v", dialed)
		}
	})
}

func TestGarbage(t *testing.T) {
	for _, kind := range []string{"postgres", "redis", "kafka", "tcp"} {
		t.Run("bytes without sense pass a proxy for "+kind+" as they are", func(t *testing.T) {
			e := proxy.New(proxy.Config{})
			defer e.Close()
			p, err := e.Add("x", kind, listen(t), echo(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, sent := range [][]byte{pattern(100_000), []byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 4096), []byte(strings.Repeat("\xff", 4096)), {0}} {
				c := dial(t, p)
				go func() {
					c.Write(sent)
					c.CloseWrite()
				}()
				got, err := io.ReadAll(c)
				if err != nil || string(got) != string(sent) {
					t.Errorf("%d of %d bytes came back, %v", len(got), len(sent), err)
				}
			}
		})
	}

	t.Run("a listener that is not TCP, a proxy without a name and a bad upstream are refused", func(t *testing.T) {
		e := proxy.New(proxy.Config{})
		defer e.Close()
		for _, bad := range []struct{ name, upstream string }{{"", "127.0.0.1:1"}, {"x", "nowhere"}, {"x", ":1"}} {
			l := listen(t)
			if _, err := e.Add(bad.name, "tcp", l, bad.upstream); err == nil {
				t.Errorf("%+v was taken", bad)
			}
			if _, err := l.Accept(); err == nil {
				t.Error("the listener was left open")
			}
		}
		if _, err := e.Add("x", "tcp", struct{ net.Listener }{listen(t)}, "127.0.0.1:1"); err == nil {
			t.Error("a listener of another type was taken")
		}
	})
}
