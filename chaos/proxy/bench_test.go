package proxy_test

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

// copyProxy is the plainest proxy there is, to measure ours against.
func copyProxy(b *testing.B, upstream string) string {
	return server(b, func(c *net.TCPConn) {
		u, err := net.Dial("tcp", upstream)
		if err != nil {
			return
		}
		defer u.Close()
		up := make(chan struct{})
		go func() {
			defer close(up)
			io.Copy(u, c)
			u.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(c, u)
		c.Close()
		<-up
	})
}

// connect opens n connections to an address.
func connect(b *testing.B, address string, n int) []net.Conn {
	b.Helper()
	all := make([]net.Conn, n)
	for i := range all {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		all[i] = c
	}
	return all
}

// requests has every client ask n times and returns how long that took.
func requests(b *testing.B, clients []net.Conn, n int) time.Duration {
	b.Helper()
	begin := time.Now()
	var tasks sync.WaitGroup
	for _, c := range clients {
		tasks.Go(func() {
			for range n {
				if _, err := ask(c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	tasks.Wait()
	return time.Since(begin)
}

// median of some figures.
func median[T ~int64 | ~float64](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// compare times ours and plain in rounds that alternate in who goes first, and
// returns the median time of ours and the median of plain's over ours'.
func compare(ours, plain func() time.Duration) (time.Duration, float64) {
	var took []time.Duration
	var ratios []float64
	for n := range 24 {
		var us, them time.Duration
		if n%2 == 0 {
			us, them = ours(), plain()
		} else {
			them, us = plain(), ours()
		}
		took = append(took, us)
		ratios = append(ratios, float64(them)/float64(us))
	}
	return median(took), median(ratios)
}

// BenchmarkNoFault compares the throughput of 8 clients that ask and wait, with
// no fault in force, with that of a plain io.Copy proxy.
func BenchmarkNoFault(b *testing.B) {
	upstream := echo(b)
	_, p := start(b, proxy.Config{}, upstream)
	ours, plain := connect(b, p.Addr(), 8), connect(b, copyProxy(b, upstream), 8)
	const each = 1000
	for b.Loop() {
		took, ratio := compare(
			func() time.Duration { return requests(b, ours, each) },
			func() time.Duration { return requests(b, plain, each) },
		)
		b.ReportMetric(ratio, "x-io.Copy")
		b.ReportMetric(8*each/took.Seconds(), "requests/s")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkKafkaNoFault is BenchmarkNoFault through the decoder for Kafka.
func BenchmarkKafkaNoFault(b *testing.B) {
	upstream := server(b, kafkaEcho)
	e := proxy.New(proxy.Config{})
	b.Cleanup(func() { e.Close() })
	p, err := e.Add("kafka", "kafka", listen(b), upstream)
	if err != nil {
		b.Fatal(err)
	}
	ours, plain := connect(b, p.Addr(), 8), connect(b, copyProxy(b, upstream), 8)
	round := func(clients []net.Conn) time.Duration {
		begin := time.Now()
		var tasks sync.WaitGroup
		for _, c := range clients {
			tasks.Go(func() {
				frame := produceFrame(200)
				for range 1000 {
					if _, err := c.Write(frame); err != nil {
						b.Error(err)
						return
					}
					if _, err := io.ReadFull(c, make([]byte, 204)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		tasks.Wait()
		return time.Since(begin)
	}
	for b.Loop() {
		_, ratio := compare(
			func() time.Duration { return round(ours) },
			func() time.Duration { return round(plain) },
		)
		b.ReportMetric(ratio, "x-io.Copy")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLatency50ms measures what 50 ms of latency come to, and how soon
// they act on a connection that was open and at rest.
func BenchmarkLatency50ms(b *testing.B) {
	e, p := start(b, proxy.Config{}, echo(b))
	clients := connect(b, p.Addr(), 8)
	requests(b, clients, 10)
	spec := chaos.Spec{Target: "db", Type: chaos.Latency, Attributes: map[string]any{"latency": 50}}
	var all, first, apply, clear []time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, err := e.Apply(spec); err != nil {
			b.Fatal(err)
		}
		apply = append(apply, time.Since(begin))
		var tasks sync.WaitGroup
		var mu sync.Mutex
		for _, c := range clients {
			tasks.Go(func() {
				for n := range 10 {
					took, err := ask(c)
					if err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					all = append(all, took)
					if n == 0 {
						first = append(first, took)
					}
					mu.Unlock()
				}
			})
		}
		tasks.Wait()
		begin = time.Now()
		if _, err := e.Clear(); err != nil {
			b.Fatal(err)
		}
		clear = append(clear, time.Since(begin))
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(median(all)), "ms-p50")
	slices.Sort(all)
	b.ReportMetric(ms(all[len(all)*99/100]), "ms-p99")
	b.ReportMetric(ms(slices.Min(first)), "ms-first-min")
	b.ReportMetric(ms(median(apply)), "ms-apply")
	b.ReportMetric(ms(median(clear)), "ms-clear")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBulk compares 64 MiB with no fault and through 50 ms of latency with
// a plain io.Copy proxy.
func BenchmarkBulk(b *testing.B) {
	const size = 64 << 20
	upstream := flood(b, size)
	e, p := start(b, proxy.Config{}, upstream)
	ours, plain := connect(b, p.Addr(), 1)[0], connect(b, copyProxy(b, upstream), 1)[0]
	download := func(c net.Conn) time.Duration {
		begin := time.Now()
		if _, err := c.Write([]byte{1}); err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, c, size); err != nil {
			b.Fatal(err)
		}
		return time.Since(begin)
	}
	var free, slow []time.Duration
	var ratios []float64
	for b.Loop() {
		for range 5 {
			took := download(ours)
			free = append(free, took)
			ratios = append(ratios, float64(download(plain))/float64(took))
			if _, err := e.Apply(chaos.Spec{Target: "db", Type: chaos.Latency, Attributes: map[string]any{"latency": 50}}); err != nil {
				b.Fatal(err)
			}
			slow = append(slow, download(ours))
			if _, err := e.Clear(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(median(ratios), "x-io.Copy")
	b.ReportMetric(64/median(free).Seconds(), "MiB/s")
	b.ReportMetric(64/median(slow).Seconds(), "MiB/s-through-50ms")
	b.ReportMetric(0, "ns/op")
}
