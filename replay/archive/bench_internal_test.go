package archive

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkRecord is the cost of an exchange of 1.8 KiB from Record to the file.
func BenchmarkRecord(b *testing.B) {
	const queue = 4096
	w, err := Create(b.TempDir(), Options{QueueSize: queue, QueueBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	ex := traced(1)
	ex.Request.Header = map[string][]string{"Content-Type": {"application/json"}, "User-Agent": {"bench"}, "Accept": {"*/*"}}
	ex.Response.Body.Bytes = []byte(strings.Repeat(`{"title":"a note"}`, 70))
	b.ReportAllocs()
	for n := 1; b.Loop(); n++ {
		w.Record(ex)
		if n%queue == 0 {
			_ = w.Flush(b.Context())
		}
	}
	_ = w.Flush(b.Context())
	s := w.Stats()
	b.ReportMetric(float64(s.Written)/b.Elapsed().Seconds(), "written/s")
	b.ReportMetric(float64(s.Dropped+s.Lost), "lost")
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFind is a one-shot look-up, as a command does it: open, find one of
// 50,000 exchanges, close.
func BenchmarkFind(b *testing.B) {
	const n = 50_000
	for name, segment := range map[string]int64{"live": 1 << 40, "sealed": 8 << 20} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			o := Options{QueueSize: n, QueueBytes: 1 << 30, MaxBytes: 1 << 42, MaxSegmentBytes: segment}
			w, err := Create(dir, o)
			if err != nil {
				b.Fatal(err)
			}
			trace := func(i int) string { return fmt.Sprintf("%016x%016x", i+1, i+1) }
			for i := range n {
				ex := traced(i)
				ex.TraceID = trace(i)
				ex.Response.Body.Bytes = []byte(strings.Repeat(`{"title":"a note"}`, 30))
				w.Record(ex)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			if name == "live" {
				// It stays as its process left it.
			} else if err := (&keeper{dir: dir, options: o.withDefaults()}).maintain(b.Context()); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				r, err := Open(dir)
				if err != nil {
					b.Fatal(err)
				}
				if found, err := r.Find(trace(i * 7919 % n)); err != nil || len(found) != 1 {
					b.Fatalf("%d, %v", len(found), err)
				}
			}
		})
	}
}
