package archive_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"example.com/goldenpath/replay/archive"
)

// change rewrites the only file with a suffix.
func change(t *testing.T, dir, suffix string, edit func([]byte) []byte) {
	t.Helper()
	paths := files(t, dir, suffix)
	if len(paths) != 1 {
		t.Fatalf("files with %s: %q", suffix, paths)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths[0], edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func without(t *testing.T, dir, suffix string) {
	t.Helper()
	for _, path := range files(t, dir, suffix) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 0x40
		return b
	}
}

func TestAnIndexIsMadeAgain(t *testing.T) {
	const n = 50
	for name, harm := range map[string]func(t *testing.T, dir string){
		"where it is missing":        func(t *testing.T, dir string) { without(t, dir, ".idx") },
		"where it is empty":          func(t *testing.T, dir string) { change(t, dir, ".idx", func([]byte) []byte { return nil }) },
		"where it is garbage":        func(t *testing.T, dir string) { change(t, dir, ".idx", bytes.ToUpper) },
		"where its header is wrong":  func(t *testing.T, dir string) { change(t, dir, ".idx", flip(3)) },
		"where an entry is wrong":    func(t *testing.T, dir string) { change(t, dir, ".idx", flip(32*7+5)) },
		"where an entry is gone":     func(t *testing.T, dir string) { change(t, dir, ".idx", cutOut(32*3, 32*4)) },
		"where it is of other lines": func(t *testing.T, dir string) { change(t, dir, ".idx", cutOut(32, 64)) },
		"where it is longer than lines": func(t *testing.T, dir string) {
			change(t, dir, ".idx", func(b []byte) []byte { return append(b, b[32:64]...) })
		},
	} {
		for form, sealed := range map[string]bool{"live": false, "sealed": true} {
			t.Run(name+", "+form, func(t *testing.T) {
				dir := t.TempDir()
				fill(t, dir, n)
				if sealed {
					seal(t, dir)
				}
				harm(t, dir)
				r := open(t, dir)
				wantFound(t, r, n)
				if list, err := r.List(archive.Filter{Limit: -1}); len(list) != n || err != nil {
					t.Errorf("%d, %v", len(list), err)
				}
				if r.Damage().Indexes == 0 {
					t.Error("it was not noticed")
				}
			})
		}
	}
	t.Run("and where it stops too early only the rest is read", func(t *testing.T) {
		dir := t.TempDir()
		fill(t, dir, n)
		change(t, dir, ".idx", func(b []byte) []byte { return b[:32*10+7] })
		r := open(t, dir)
		wantFound(t, r, n)
		if d := r.Damage(); d != (archive.Damage{}) {
			t.Errorf("%+v", d)
		}
	})
}

func cutOut(from, to int) func([]byte) []byte {
	return func(b []byte) []byte { return append(b[:from:from], b[to:]...) }
}

func TestDamagedLinesAreSkippedAndCounted(t *testing.T) {
	const n = 10
	line := func(b []byte, i int) (from, to int) {
		for range i {
			from += bytes.IndexByte(b[from:], '\n') + 1
		}
		return from, from + bytes.IndexByte(b[from:], '\n')
	}
	for name, c := range map[string]struct {
		edit   func([]byte) []byte
		lost   int // which exchange, or -1
		counts bool
	}{
		"a torn last line": {func(b []byte) []byte { return b[:len(b)-40] }, n - 1, true},
		"a line of garbage": {func(b []byte) []byte {
			from, to := line(b, 4)
			copy(b[from:to], bytes.Repeat([]byte("#"), to-from))
			return b
		}, 4, true},
		"a line that lost its end": {func(b []byte) []byte { _, to := line(b, 4); return append(b[:to-30:to-30], b[to:]...) }, 4, true},
		"an empty line": {func(b []byte) []byte {
			_, to := line(b, 4)
			return append(b[:to:to], append([]byte("\n"), b[to:]...)...)
		}, -1, true},
		"zeros where the disk was": {func(b []byte) []byte { return append(b, make([]byte, 5000)...) }, -1, true},
		"a line over all bounds":   {func(b []byte) []byte { return append(bytes.Repeat([]byte("x"), 17<<20), append([]byte("\n"), b...)...) }, -1, true},
		"a line that is no object": {func(b []byte) []byte { return append([]byte("[1]\n"), b...) }, -1, true},
		"a field of a later version": {func(b []byte) []byte {
			return bytes.Replace(b, []byte(`{"v":1,`), []byte(`{"v":7,"new":{"a":[1]},`), 1)
		}, -1, false},
		"a line with the fields mixed": {func(b []byte) []byte {
			return append([]byte(`{"request":{"method":"GET"},"trace_id":"`+traceID(99)+`"}`+"\n"), b...)
		}, -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, indexed := range []bool{true, false} {
				dir := t.TempDir()
				fill(t, dir, n)
				change(t, dir, ".jsonl", c.edit)
				if !indexed {
					without(t, dir, ".idx")
				}
				r := open(t, dir)
				for i := range n {
					_, err := r.Find(traceID(i))
					if (err == nil) == (i == c.lost) {
						t.Errorf("exchange %d with index %t: %v", i, indexed, err)
					}
				}
				if _, err := r.List(archive.Filter{}); err != nil {
					t.Error(err)
				}
				if counted := r.Damage().Lines > 0; counted != c.counts {
					t.Errorf("with index %t: %+v", indexed, r.Damage())
				}
				seal(t, dir)
				if found, err := open(t, dir).Find(traceID(2)); err != nil || len(found) != 1 {
					t.Errorf("once sealed: %v", err)
				}
			}
		})
	}
}

func TestASealedSegmentThatIsDamaged(t *testing.T) {
	const n = 50
	for name, edit := range map[string]func([]byte) []byte{
		"without its table":   func(b []byte) []byte { return b[:len(b)-9] },
		"with a wrong table":  flip(-15),
		"with a wrong footer": flip(-8),
	} {
		t.Run(name+" is still read", func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, n)
			seal(t, dir)
			change(t, dir, ".zst", edit)
			r := open(t, dir)
			wantFound(t, r, n)
		})
	}
	for name, edit := range map[string]func([]byte) []byte{
		"in the middle": flip(60),
		"everywhere":    func(b []byte) []byte { return []byte(strings.Repeat("garbage ", len(b)/8)) },
		"to nothing":    func([]byte) []byte { return nil },
	} {
		t.Run(name+" costs its own lines alone", func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, n)
			seal(t, dir)
			change(t, dir, ".zst", edit)
			w := create(t, dir, archive.Options{})
			w.Record(exchange(1000))
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r := open(t, dir)
			if _, err := r.Find(traceID(1000)); err != nil {
				t.Error(err)
			}
			if _, err := r.Find(traceID(1)); !errors.Is(err, archive.ErrNotFound) {
				t.Errorf("%v", err)
			}
			if list, err := r.List(archive.Filter{}); err != nil || len(list) != 1 {
				t.Errorf("%d, %v", len(list), err)
			}
			if r.Damage() == (archive.Damage{}) {
				t.Error("it was not noticed")
			}
		})
	}
	t.Run("a segment that cannot be opened does not hide the others", func(t *testing.T) {
		dir := t.TempDir()
		fill(t, dir, 3)
		// A link into nowhere is no segment; a directory with its name neither.
		if err := os.Symlink("/nonexistent", dir+"/20260102T030405.000000000Z-1.jsonl"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir+"/20260102T030405.000000000Z-2.jsonl", 0o700); err != nil {
			t.Fatal(err)
		}
		wantFound(t, open(t, dir), 3)
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("{\"v\":1,\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"request\":{}}\n"), []byte("rplyidx1"), false)
	f.Add([]byte("\n\n{}\n[]\nnull\n{"), []byte{}, false)
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\x00"), []byte{}, true)
	f.Add([]byte("\x5e\x2a\x4d\x18\x09\x00\x00\x00\x00\x00\x00\x00\x00\xb1\xea\x92\x8f"), []byte{}, true)
	f.Fuzz(func(t *testing.T, lines, index []byte, sealed bool) {
		dir := t.TempDir()
		name, suffix := dir+"/20260102T030405.000000000Z-1", ".jsonl"
		if sealed {
			suffix = ".jsonl.zst"
		}
		if err := errors.Join(os.WriteFile(name+suffix, lines, 0o600), os.WriteFile(name+".idx", index, 0o600)); err != nil {
			t.Fatal(err)
		}
		r := open(t, dir)
		list, err := r.List(archive.Filter{Limit: -1})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if len(s.TraceID) != 32 {
				continue
			}
			if _, err := r.Find(s.TraceID); err != nil && !errors.Is(err, archive.ErrInvalidID) && !errors.Is(err, archive.ErrNotFound) {
				t.Errorf("%s is listed but cannot be found: %v", s.TraceID, err)
			}
		}
		if _, err := r.Find("4bf92f35"); err != nil && !errors.Is(err, archive.ErrNotFound) && !errors.Is(err, archive.ErrAmbiguous) {
			t.Error(err)
		}
	})
}
