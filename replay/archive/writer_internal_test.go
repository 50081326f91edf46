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
