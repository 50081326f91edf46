package archive

import (
	"os"
	"strings"
	"testing"
	"time"
)

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
		// No Writer, whose own keeper would look at the same segments meanwhile.
		mine := &output{dir: dir, options: Options{Now: at(0)}.withDefaults()}
		defer func() { _ = mine.close() }()
		var b batch
		b.add(traced(0))
		if err := mine.write(b.lines, b.entries); err != nil {
			t.Fatal(err)
		}
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
		if err := mine.write(b.lines, b.entries); err != nil {
			t.Errorf("a segment in use cannot be written any more: %v", err)
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
