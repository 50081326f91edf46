package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func kafkaOf(w *worktree) *Kafka {
	return NewKafka(w.Config, KafkaOptions{Name: "kafka", Topics: []string{"notes.v1", "other"}, Partitions: 3})
}

func kafkaClient(t *testing.T, k *Kafka, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(k.Addr()), kgo.DefaultProduceTopic("notes.v1"),
		kgo.AllowAutoTopicCreation()}, opts...)...)
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

// inGroup waits briefly for records: a partition that is assigned while a fetch
// is under way joins the next one.
func inGroup(name string) []kgo.Opt {
	return []kgo.Opt{kgo.ConsumerGroup(name), kgo.ConsumeTopics("notes.v1"), kgo.DisableAutoCommit(),
		kgo.FetchMaxWait(100 * time.Millisecond)}
}

func TestKafka(t *testing.T) {
	w := newWorktree(t)
	k := kafkaOf(w)
	if k.Addr() != "" || k.Probe(t.Context()) == nil || k.Reset(t.Context()) == nil {
		t.Error("before the first start it has an address or an answer")
	}
	start(t, k)
	addr := k.Addr()

	t.Run("the topics are there, and others come with their first use", func(t *testing.T) {
		if err := k.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c := kafkaClient(t, k)
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: "unheard.of", Value: []byte("x")}).FirstErr(); err != nil {
			t.Error(err)
		}
		topics, err := k.topics(ctx)
		if err != nil || len(topics["notes.v1"].Partitions) != 3 || len(topics["unheard.of"].Partitions) != 3 {
			t.Errorf("topics %v, %v", topics, err)
		}
	})

	t.Run("records and a group's position are there after stop and start, at the same address", func(t *testing.T) {
		produce(t, kafkaClient(t, k), "one", "two")
		reader := kafkaClient(t, k, inGroup("durable")...)
		consume(t, reader, "two")
		if err := reader.CommitUncommittedOffsets(t.Context()); err != nil {
			t.Fatal(err)
		}
		reader.Close()
		stop(t, k)
		stop(t, k)
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if k.Addr() != addr {
			t.Fatalf("at %s, was at %s", k.Addr(), addr)
		}
		produce(t, kafkaClient(t, k), "three")
		if got := consume(t, kafkaClient(t, k, inGroup("durable")...), "three"); len(got) != 1 {
			t.Errorf("the group read %q", got)
		}
		got := consume(t, kafkaClient(t, k, inGroup("newcomer")...), "three")
		if !strings.Contains(strings.Join(got, " "), "one") {
			t.Errorf("a new group read %q", got)
		}
	})

	t.Run("reset empties the topics under running producers and consumers", func(t *testing.T) {
		producer := kafkaClient(t, k)
		reader := kafkaClient(t, k, inGroup("running")...)
		produce(t, producer, "before")
		consume(t, reader, "before")
		idle := kafkaClient(t, k, inGroup("behind")...)
		consume(t, idle, "before")
		produce(t, producer, "unread by one")
		if err := k.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		produce(t, producer, "after")
		consume(t, reader, "after")
		consume(t, idle, "after")
		if got := consume(t, kafkaClient(t, k, inGroup("late")...), "after"); len(got) != 1 {
			t.Errorf("a group that joined after the reset read %q", got)
		}
	})

	t.Run("reset while records arrive loses none that come after it", func(t *testing.T) {
		producer := kafkaClient(t, k)
		reader := kafkaClient(t, k, inGroup("busy")...)
		done := make(chan error, 1)
		go func() {
			for i := range 300 {
				if err := producer.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for range 5 {
			if err := k.Reset(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		produce(t, producer, "last")
		consume(t, reader, "last")
	})

	t.Run("a port that was taken meanwhile is left to the other program", func(t *testing.T) {
		stop(t, k)
		thief, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		if err := k.Start(t.Context()); err != nil || k.Addr() == addr {
			t.Errorf("at %s: %v", k.Addr(), err)
		}
	})
}

// frame is a request as it is on the wire, its claimed length included.
func frame(key, version int16, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 7)
	return append(b, body...)
}

func TestKafkaGarbage(t *testing.T) {
	k := kafkaOf(newWorktree(t))
	start(t, k)
	send := func(t *testing.T, data []byte) {
		t.Helper()
		conn, err := net.Dial("tcp", k.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(data) // it may be cut off in the middle
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return
		}
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		conn.Read(make([]byte, 512))
	}
	for name, data := range map[string][]byte{
		"an HTTP request":                []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"a TLS greeting":                 []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\xaa", 200)),
		"a claim of 4 GiB":               []byte("\xff\xff\xff\xff\x00\x12\x00\x00"),
		"a length below a header's":      []byte("\x00\x00\x00\x02\x00\x12\x00\x00\x00\x00\x00\x00"),
		"half a frame":                   frame(18, 3, []byte("client"))[:13],
		"an API key that does not exist": frame(999, 0, []byte{0, 0}),
		"a negative API key":             frame(-1, 0, []byte{0, 0}),
		"a negative version":             frame(18, -7, []byte{0, 0}),
		"a version of the far future":    frame(18, 32000, []byte{0, 0, 0, 0}),
		"an array of 2^31 elements":      frame(3, 9, append([]byte{0xff, 0xff, 0}, 0xff, 0xff, 0xff, 0xff, 0x07)),
		"a batch of garbage":             frame(0, 9, append([]byte{0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 2, 2, 'x', 2}, make([]byte, 300)...)),
	} {
		t.Run(name+" does not disturb it", func(t *testing.T) {
			send(t, data)
			if err := k.Probe(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("no request of any kind that is filled with zeros or ones takes it down", func(t *testing.T) {
		for key := range int16(100) {
			request := kmsg.RequestForKey(key)
			if request == nil {
				continue
			}
			for version := range request.MaxVersion() + 1 {
				send(t, frame(key, version, make([]byte, 128)))
				send(t, frame(key, version, []byte(strings.Repeat("\x01", 128))))
				// A well-formed request that asks for nothing.
				request.SetVersion(version)
				header := []byte{0xff, 0xff}
				if request.IsFlexible() {
					header = append(header, 0)
				}
				send(t, frame(key, version, request.AppendTo(header)))
			}
		}
		if err := k.Probe(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestKafkaBadLog(t *testing.T) {
	w := newWorktree(t)
	k := kafkaOf(w)
	start(t, k)
	c := kafkaClient(t, k)
	produce(t, c, "kept")
	c.Close()
	stop(t, k)
	dir := filepath.Join(w.Dir, "kafka")
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s, %v", dir, err)
	}
	for _, path := range files {
		name, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		for kind, garbage := range map[string]string{"garbage": strings.Repeat("\xfe\x00{", 500), "nothing": "", "other JSON": `{"version":1,"topics":7}`} {
			t.Run(name+" with "+kind+" in it does not keep it down", func(t *testing.T) {
				if _, err := os.Stat(path); err != nil {
					write(t, path, "") // set aside by an earlier case
				}
				write(t, path, garbage)
				if err := k.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				c := kafkaClient(t, k)
				produce(t, c, "works")
				c.Close()
				stop(t, k)
			})
		}
	}
	t.Run("a file in place of the log does not keep it down", func(t *testing.T) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		write(t, dir, "garbage")
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !w.hasSaid("empty log") {
			t.Error("nothing was said of it")
		}
		stop(t, k)
	})
}
