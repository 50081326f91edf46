package archive

import (
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/goldenpath/replay"
)

// disk is a disk that fills up: it takes room bytes, and then half of a write.
type disk struct {
	room     atomic.Int64
	noUndo   atomic.Bool
	truncate atomic.Int64 // how often
}

type diskFile struct {
	file
	disk *disk
}

func (d *disk) create(path string) (file, error) {
	f, err := createFile(path)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d}, nil
}

func (f *diskFile) Write(p []byte) (int, error) {
	left := f.disk.room.Add(-int64(len(p)))
	if left >= 0 {
		return f.file.Write(p)
	}
	n, err := f.file.Write(p[:len(p)/2])
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f *diskFile) Truncate(size int64) error {
	f.disk.truncate.Add(1)
	if f.disk.noUndo.Load() {
		return syscall.EIO
	}
	return f.file.Truncate(size)
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func traced(i int) *replay.Exchange {
	return &replay.Exchange{TraceID: strings.Repeat(string("123456789abcdef"[i%15]), 32), Time: time.Now(),
		Response: replay.Response{Body: replay.Body{State: replay.Full, Bytes: []byte(strings.Repeat("x", 100))}}}
}

func flushed(t *testing.T, w *Writer, ex *replay.Exchange) Stats {
	t.Helper()
	w.Record(ex)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w.Stats()
}

func TestAFullDisk(t *testing.T) {
	for name, noUndo := range map[string]bool{"that can be undone": false, "that cannot even be undone": true} {
		t.Run(name+" costs captures, is counted, and is over when there is room", func(t *testing.T) {
			d := &disk{}
			d.room.Store(1 << 20)
			d.noUndo.Store(noUndo)
			c := &clock{now: time.Now()}
			dir := t.TempDir()
			w, err := Create(dir, Options{create: d.create, Now: c.Now, RetryAfter: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if s := flushed(t, w, traced(0)); s.Written != 1 {
				t.Fatalf("%+v", s)
			}
			d.room.Store(10)
			s := flushed(t, w, traced(1))
			if s.Written != 1 || s.Lost != 1 || !errors.Is(s.LastError, syscall.ENOSPC) {
				t.Errorf("when it fills up: %+v", s)
			}
			d.room.Store(1 << 20)
			tries := d.truncate.Load()
			if s := flushed(t, w, traced(2)); s.Lost != 2 || d.truncate.Load() != tries {
				t.Errorf("during the pause: %+v", s)
			}
			c.advance(2 * time.Minute)
			if s := flushed(t, w, traced(3)); s.Written != 2 || s.Lost != 2 {
				t.Errorf("when there is room again: %+v", s)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			list, err := r.List(Filter{})
			if err != nil || len(list) != 2 {
				t.Errorf("%d, %v", len(list), err)
			}
			if lines := r.Damage().Lines; !noUndo && lines != 0 {
				t.Errorf("%d damaged lines were left behind", lines)
			}
		})
	}
	t.Run("from the start is no error either", func(t *testing.T) {
		d := &disk{}
		w, err := Create(t.TempDir(), Options{create: d.create})
		if err != nil {
			t.Fatal(err)
		}
		if s := flushed(t, w, traced(0)); s.Lost != 1 {
			t.Errorf("%+v", s)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// slowFile blocks the writer until it is released.
type slowFile struct {
	file
	reached chan<- struct{}
	release <-chan struct{}
}

func (f slowFile) Write(p []byte) (int, error) {
	select {
	case f.reached <- struct{}{}:
	default:
	}
	<-f.release
	return f.file.Write(p)
}

func TestADiskThatHangs(t *testing.T) {
	for name, o := range map[string]Options{
		"many":  {QueueSize: 10},
		"large": {QueueBytes: 10 * weight(traced(0))},
	} {
		t.Run("does not hold up the service, and what is too "+name+" is dropped", func(t *testing.T) {
			reached, release := make(chan struct{}), make(chan struct{})
			o.create = func(path string) (file, error) {
				f, err := createFile(path)
				return slowFile{f, reached, release}, err
			}
			w, err := Create(t.TempDir(), o)
			if err != nil {
				t.Fatal(err)
			}
			w.Record(traced(0))
			<-reached // the writer hangs now
			for i := range 999 {
				w.Record(traced(i))
			}
			if s := w.Stats(); s.Dropped != 989 {
				t.Errorf("%+v", s)
			}
			close(release)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if s := w.Stats(); s.Written != 11 || s.Dropped != 989 {
				t.Errorf("%+v", s)
			}
			if left := w.waiting.Load(); left != 0 {
				t.Errorf("%d bytes are still counted as queued", left)
			}
		})
	}
}

func TestFilesThatAreTakenAway(t *testing.T) {
	t.Run("come back with the next write", func(t *testing.T) {
		dir := t.TempDir() + "/captures"
		c := &clock{now: time.Now()}
		w, err := Create(dir, Options{Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		flushed(t, w, traced(0))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		c.advance(2 * time.Second)
		if s := flushed(t, w, traced(1)); s.Written != 2 || s.LastError != nil {
			t.Errorf("%+v", s)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Find(traced(1).TraceID); err != nil {
			t.Error(err)
		}
	})
}

func TestKeeping(t *testing.T) {
	listed := func(t *testing.T, dir string) []segment {
		t.Helper()
		list, _, err := segments(dir)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	// left makes segments as processes leave them that ended, each a second later.
	left := func(t *testing.T, dir string, n int, from time.Time) {
		t.Helper()
		c := &clock{now: from}
		for i := range n {
			w, err := Create(dir, Options{Now: c.Now, MaxAge: 1 << 60})
			if err != nil {
				t.Fatal(err)
			}
			flushed(t, w, traced(i))
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			for _, s := range listed(t, dir) {
				for _, path := range []string{s.live(), s.done()} {
					if strings.HasPrefix(s.name, c.Now().UTC().Format("20060102T150405")) {
						_ = os.Chtimes(path, c.Now(), c.Now()) // one of them is there
					}
				}
			}
			c.advance(time.Second)
		}
	}
	keep := func(dir string, o Options) *keeper {
		return &keeper{dir: dir, options: o.withDefaults()}
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) func() time.Time { return func() time.Time { return now.Add(d) } }

	t.Run("segments of processes that ended are sealed, those of others are not", func(t *testing.T) {
		dir := t.TempDir()
		w, err := Create(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Close() }()
		flushed(t, w, traced(0))
		left(t, dir, 3, now)
		if err := keep(dir, Options{Now: at(0)}).maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		sealed := 0
		for _, s := range listed(t, dir) {
			if s.sealed {
				sealed++
			}
		}
		if sealed != 3 {
			t.Errorf("%d are sealed", sealed)
		}
		if s := flushed(t, w, traced(1)); s.Written != 2 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a segment keeps its age when it is sealed", func(t *testing.T) {
		dir := t.TempDir()
		left(t, dir, 1, now)
		if err := keep(dir, Options{Now: at(0)}).maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := listed(t, dir); len(s) != 1 || !s[0].sealed || !s[0].modified.Equal(now) {
			t.Errorf("%+v", s)
		}
	})
	t.Run("what is too old goes", func(t *testing.T) {
		dir := t.TempDir()
		left(t, dir, 5, now)
		if err := keep(dir, Options{Now: at(time.Hour + 2500*time.Millisecond), MaxAge: time.Hour}).maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := listed(t, dir); len(s) != 2 {
			t.Errorf("%d are left", len(s))
		}
	})
	t.Run("what is too much goes, the oldest first", func(t *testing.T) {
		dir := t.TempDir()
		left(t, dir, 5, now)
		k := keep(dir, Options{Now: at(0)})
		if err := k.maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := listed(t, dir)
		k.options.MaxBytes = before[3].size + before[4].size
		if err := k.maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := listed(t, dir); len(after) != 2 || after[0].name != before[3].name {
			t.Errorf("%+v", after)
		}
	})
	t.Run("a segment that is being written is never removed", func(t *testing.T) {
		dir := t.TempDir()
		w, err := Create(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Close() }()
		flushed(t, w, traced(0))
		if err := keep(dir, Options{MaxBytes: 1, Now: func() time.Time { return time.Now().Add(1e6 * time.Hour) }}).maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := listed(t, dir); len(s) != 1 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("what a killed process left half sealed is tidied up", func(t *testing.T) {
		dir := t.TempDir()
		left(t, dir, 1, now)
		s := listed(t, dir)[0]
		for _, path := range []string{s.done() + tempSuffix, s.index() + tempSuffix,
			dir + "/20250102T030405.000000000Z-9.jsonl.zst.tmp", dir + "/20250102T030405.000000000Z-9.idx.tmp"} {
			if err := os.WriteFile(path, []byte("half"), fileMode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(s.done(), []byte("half"), fileMode); err != nil {
			t.Fatal(err)
		}
		if err := keep(dir, Options{Now: at(0)}).maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 {
			t.Errorf("%v, %v", entries, err)
		}
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Find(traced(0).TraceID); err != nil || r.Damage() != (Damage{}) {
			t.Errorf("%v, %+v", err, r.Damage())
		}
	})
	t.Run("readers find everything while segments are sealed under them", func(t *testing.T) {
		dir := t.TempDir()
		w, err := Create(dir, Options{MaxSegmentBytes: 1000, Pace: time.Microsecond})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			flushed(t, w, traced(i))
			if i%10 == 0 {
				if _, err := r.Find(traced(0).TraceID); err != nil {
					t.Fatalf("after %d: %v", i, err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if list, err := r.List(Filter{Limit: -1}); err != nil || len(list) != 200 {
			t.Errorf("%d, %v", len(list), err)
		}
	})
}

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
