package link

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tcpPair gives the two ends of a connection.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); other.Close() })
	return c.(*net.TCPConn), other.(*net.TCPConn)
}

func TestOutlet(t *testing.T) {
	t.Run("bytes keep their order through every hold and release", func(t *testing.T) {
		near, far := tcpPair(t)
		near.SetWriteBuffer(4096)
		o := newOutlet(near)
		random := rand.New(rand.NewPCG(1, 1))
		sent := make([]byte, 4<<20)
		for i := range sent {
			sent[i] = byte(random.Uint32())
		}
		toggled := make(chan struct{})
		written := make(chan struct{})
		go func() {
			defer close(toggled)
			for {
				o.hold()
				o.release()
				select {
				case <-written:
					return
				default:
				}
			}
		}()
		go func() {
			defer close(written)
			for rest := sent; len(rest) > 0; {
				n := min(1+random.IntN(9000), len(rest))
				if _, err := o.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		}()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
		<-toggled
		o.finish()
		o.drain()
		if rest, err := io.ReadAll(far); len(rest) != 0 || err != nil {
			t.Errorf("%d bytes more, %v", len(rest), err)
		}
		if !bytes.Equal(got, sent) {
			t.Error("other bytes arrived than were written")
		}
	})

	t.Run("giving up ends the sending to a client that does not read", func(t *testing.T) {
		near, _ := tcpPair(t)
		o := newOutlet(near)
		o.hold()
		if _, err := o.Write(make([]byte, 32<<20)); err != nil {
			t.Fatal(err)
		}
		o.release()
		o.giveUp(ErrAborted)
		o.drain()
		if _, err := o.Write([]byte("more")); err == nil {
			t.Error("it takes more")
		}
	})
}

// run sends one chunk through a toxic and returns the sizes of what comes out,
// with the time that each took.
func run(toxic toxics.Toxic, data []byte) (sizes []int, took []time.Duration) {
	in, out := make(chan *stream.StreamChunk, 1), make(chan *stream.StreamChunk)
	stub := toxics.NewToxicStub(in, out)
	if s, ok := toxic.(toxics.StatefulToxic); ok {
		stub.State = s.NewState()
	}
	begin := time.Now()
	in <- &stream.StreamChunk{Data: data, Timestamp: begin}
	close(in)
	go toxic.Pipe(stub)
	for c := range out {
		sizes = append(sizes, len(c.Data))
		took = append(took, time.Since(begin))
	}
	return sizes, took
}

func TestToxics(t *testing.T) {
	data := make([]byte, 1000)

	t.Run("a slicer cuts the same for the same seed, within its variation", func(t *testing.T) {
		cut := func(seed uint64) []int {
			sizes, _ := run(&slicerToxic{AverageSize: 20, SizeVariation: 10, Seed: seed}, data)
			return sizes
		}
		first := cut(1)
		if !slices.Equal(first, cut(1)) || slices.Equal(first, cut(2)) {
			t.Error("the seed does not decide")
		}
		total := 0
		for i, n := range first {
			total += n
			if n > 30 || n < 10 && i < len(first)-1 {
				t.Errorf("a slice of %d bytes", n)
			}
		}
		if total != len(data) {
			t.Errorf("%d bytes came out", total)
		}
	})

	t.Run("jitter stays within its bounds", func(t *testing.T) {
		for seed := range uint64(10) {
			_, took := run(&latencyToxic{Latency: 20, Jitter: 10, Seed: seed}, data)
			if len(took) != 1 || took[0] < 10*time.Millisecond {
				t.Errorf("seed %d took %v", seed, took)
			}
		}
	})

	t.Run("a limit of data takes what comes behind it, so that nothing hangs", func(t *testing.T) {
		sizes, _ := run(&limitToxic{Bytes: 300}, data)
		if !slices.Equal(sizes, []int{300}) {
			t.Errorf("let through %v", sizes)
		}
	})
}
