package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/archive"
	"example.com/goldenpath/replay/record"
	"example.com/goldenpath/replay/redact"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}

var _ record.Sink = (*archive.Writer)(nil)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// traceID is the trace id of the i-th exchange; they differ from the first digit on.
func traceID(i int) string { return fmt.Sprintf("%08x%024x", uint32(i+1)*2654435761, i+1) }

func exchange(i int) *replay.Exchange {
	method, status := "GET", 200
	if i%3 == 0 {
		method, status = "POST", 503
	}
	return &replay.Exchange{
		ID: traceID(i)[:8] + "-00000001", TraceID: traceID(i), Time: start.Add(time.Duration(i) * time.Second),
		Duration: time.Millisecond, Service: "notes",
		Request: replay.Request{Method: method, URL: fmt.Sprintf("/api/v1/notes/%d?x=1", i), Header: http.Header{"A": {"b"}},
			Body: replay.Body{State: replay.Full}},
		Response: replay.Response{Status: status, Body: replay.Body{State: replay.Full, Size: 20, Bytes: []byte(strings.Repeat("x", 20))}},
	}
}

func create(t *testing.T, dir string, o archive.Options) *archive.Writer {
	t.Helper()
	w, err := archive.Create(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil && !errors.Is(err, archive.ErrClosed) {
			t.Error(err)
		}
	})
	return w
}

func open(t *testing.T, dir string) *archive.Reader {
	t.Helper()
	r, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// fill writes n exchanges and closes the writer.
func fill(t *testing.T, dir string, n int) {
	t.Helper()
	w := create(t, dir, archive.Options{})
	for i := range n {
		w.Record(exchange(i))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-timeout:
			t.Fatalf("it never came to this: %s", what)
		case <-tick.C:
		}
	}
}

// seal makes a writer seal what others left.
func seal(t *testing.T, dir string) {
	t.Helper()
	w := create(t, dir, archive.Options{})
	eventually(t, "all segments are sealed", func() bool {
		return len(files(t, dir, ".jsonl")) == 0 && len(files(t, dir, ".tmp")) == 0
	})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantFound(t *testing.T, r *archive.Reader, n int) {
	t.Helper()
	for i := range n {
		found, err := r.Find(traceID(i))
		if err != nil || len(found) != 1 || found[0].Request.URL != exchange(i).Request.URL {
			t.Fatalf("exchange %d: %v, %v", i, found, err)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	t.Run("an exchange is there for another reader as soon as it is flushed", func(t *testing.T) {
		dir := t.TempDir()
		w, r := create(t, dir, archive.Options{}), open(t, dir)
		for i := range 20 {
			w.Record(exchange(i))
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantFound(t, r, i+1)
		}
	})
	t.Run("and without a flush within moments", func(t *testing.T) {
		dir := t.TempDir()
		w, r := create(t, dir, archive.Options{}), open(t, dir)
		w.Record(exchange(0))
		eventually(t, "it is found", func() bool { _, err := r.Find(traceID(0)); return err == nil })
	})
	t.Run("files are for their owner alone", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new", "captures")
		fill(t, dir, 3)
		seal(t, dir)
		fill(t, dir, 3)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			want := fs.FileMode(0o600)
			if d.IsDir() {
				want = 0o700
			}
			if err == nil && info.Mode().Perm() != want {
				t.Errorf("%s has mode %s", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("what was recorded by many goroutines is all there", func(t *testing.T) {
		dir := t.TempDir()
		w := create(t, dir, archive.Options{MaxSegmentBytes: 20_000})
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for i := range 100 {
					w.Record(exchange(g*100 + i))
				}
			})
		}
		all.Wait()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if s := w.Stats(); s.Written != 800 || s.Dropped != 0 || s.Lost != 0 || s.LastError != nil {
			t.Errorf("%+v", s)
		}
		wantFound(t, open(t, dir), 800)
	})
	t.Run("after Close everything is refused, and nothing breaks", func(t *testing.T) {
		w := create(t, t.TempDir(), archive.Options{})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.Record(exchange(0))
		if s := w.Stats(); s.Dropped != 1 {
			t.Errorf("%+v", s)
		}
		if err := w.Flush(context.Background()); !errors.Is(err, archive.ErrClosed) {
			t.Errorf("Flush: %v", err)
		}
		if err := w.Close(); !errors.Is(err, archive.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	t.Run("an archive that is not there is not there", func(t *testing.T) {
		if _, err := archive.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
	t.Run("an empty one has nothing", func(t *testing.T) {
		r := open(t, t.TempDir())
		if list, err := r.List(archive.Filter{}); len(list) != 0 || err != nil {
			t.Errorf("%v, %v", list, err)
		}
		if _, err := r.Find(traceID(1)); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
	t.Run("no secret is in any file", func(t *testing.T) {
		const canary = "canarybird"
		dir := t.TempDir()
		w := create(t, dir, archive.Options{})
		ex := exchange(1)
		ex.Request.URL += "&token=" + canary
		ex.Request.Header.Set("Authorization", "Bearer "+canary)
		ex.Request.Body = replay.Body{State: replay.Truncated, Bytes: []byte(`{"title":"x","password":"` + canary)}
		ex.Response.Header = http.Header{"Set-Cookie": {"s=" + canary}}
		ex.Response.Body.Bytes = []byte(`{"data":[{"apiKey":"` + canary + `"}]}`)
		redact.New(redact.Options{}).Exchange(ex)
		w.Record(ex)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, path := range files(t, dir, "") {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), canary) {
				t.Errorf("%s holds the secret: %s", path, data)
			}
		}
	})
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	// Two processes at the same time, and one segment that is sealed.
	even, odd := create(t, dir, archive.Options{MaxSegmentBytes: 2000}), create(t, dir, archive.Options{})
	for i := range 60 {
		if i%2 == 0 {
			even.Record(exchange(i))
		} else {
			odd.Record(exchange(i))
		}
		if err := errors.Join(even.Flush(t.Context()), odd.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, dir)
	list := func(f archive.Filter) []archive.Summary {
		t.Helper()
		found, err := r.List(f)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	t.Run("the newest come first, across segments and processes", func(t *testing.T) {
		found := list(archive.Filter{Limit: -1})
		if len(found) != 60 {
			t.Fatalf("%d", len(found))
		}
		for i, s := range found {
			if s.TraceID != traceID(59-i) {
				t.Fatalf("place %d has %s", i, s.URL)
			}
		}
	})
	t.Run("a summary has what a line of a list needs", func(t *testing.T) {
		s := list(archive.Filter{Limit: 1})[0]
		if s.Method != "GET" || s.Status != 200 || s.URL != "/api/v1/notes/59?x=1" || s.Service != "notes" ||
			s.ResponseBody.Size != 20 || s.ResponseBody.State != replay.Full || s.Duration != time.Millisecond {
			t.Errorf("%+v", s)
		}
	})
	for name, c := range map[string]struct {
		filter archive.Filter
		want   int
	}{
		"50 unless it is told":     {archive.Filter{}, 50},
		"a limit":                  {archive.Filter{Limit: 7}, 7},
		"a method in any case":     {archive.Filter{Limit: -1, Method: "post"}, 20},
		"a status":                 {archive.Filter{Limit: -1, Status: 503}, 20},
		"a class of statuses":      {archive.Filter{Limit: -1, Status: 2}, 40},
		"the start of a path":      {archive.Filter{Limit: -1, Path: "/api/v1/notes/5"}, 11},
		"a time":                   {archive.Filter{Limit: -1, Since: start.Add(50 * time.Second)}, 10},
		"a service that is not it": {archive.Filter{Limit: -1, Service: "other"}, 0},
	} {
		t.Run("filters by "+name, func(t *testing.T) {
			if found := list(c.filter); len(found) != c.want {
				t.Errorf("%d, want %d", len(found), c.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, archive.Options{})
	for i := range 20 {
		w.Record(exchange(i))
	}
	second := exchange(5)
	second.ID, second.Time = traceID(5)[:8]+"-00000002", start
	w.Record(second)
	twin := exchange(6)
	twin.TraceID = traceID(6)[:12] + strings.Repeat("f", 20)
	w.Record(twin)
	untraced := exchange(7)
	untraced.TraceID, untraced.ID = "", "00000000-01020304"
	w.Record(untraced)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	for name, c := range map[string]struct {
		id   string
		want int
	}{
		"a trace id":                    {traceID(1), 1},
		"a trace id in capitals":        {strings.ToUpper(traceID(1)), 1},
		"the start of one":              {traceID(1)[:6], 1},
		"a traceparent":                 {"00-" + traceID(1) + "-00f067aa0ba902b7-01", 1},
		"a trace of two exchanges":      {traceID(5), 2},
		"an exchange id":                {traceID(5)[:8] + "-00000002", 1},
		"an exchange without a trace":   {"00000000-01020304", 1},
		"an id with space around it":    {" " + traceID(1) + "\n", 1},
		"an exchange id of a twin":      {traceID(6)[:8] + "-00000001", 2},
		"the longer start of one twin":  {traceID(6)[:12] + "ffff", 1},
		"the start of a trace of two":   {traceID(5)[:10], 2},
		"a trace id with its own twins": {traceID(6), 1},
	} {
		t.Run("finds "+name, func(t *testing.T) {
			found, err := r.Find(c.id)
			if err != nil || len(found) != c.want {
				t.Errorf("%d, %v", len(found), err)
			}
		})
	}
	t.Run("the exchanges of a trace come in the order of time", func(t *testing.T) {
		if found, _ := r.Find(traceID(5)); !found[0].Time.Equal(start) {
			t.Errorf("%s", found[0].Time)
		}
	})
	for name, c := range map[string]struct {
		id      string
		reason  error
		nearest string
	}{
		"text that is no id":       {"zz", archive.ErrInvalidID, ""},
		"nothing":                  {"", archive.ErrInvalidID, ""},
		"too short a start":        {traceID(1)[:3], archive.ErrInvalidID, traceID(1)},
		"too long an id":           {traceID(1) + "0", archive.ErrInvalidID, traceID(1)},
		"zeros":                    {strings.Repeat("0", 32), archive.ErrInvalidID, ""},
		"a huge text":              {strings.Repeat("x", 1<<20), archive.ErrInvalidID, ""},
		"an id with a wrong digit": {"f" + traceID(1)[1:], archive.ErrNotFound, traceID(1)},
		"an id with two swapped":   {traceID(2)[:4] + traceID(2)[5:6] + traceID(2)[4:5] + traceID(2)[6:], archive.ErrNotFound, traceID(2)},
		"an unknown exchange":      {traceID(1)[:8] + "-99999999", archive.ErrNotFound, traceID(1)},
		"a start of two":           {traceID(6)[:10], archive.ErrAmbiguous, traceID(6)},
	} {
		t.Run(name+" is an error with what may have been meant", func(t *testing.T) {
			_, err := r.Find(c.id)
			var lookup *archive.LookupError
			if !errors.Is(err, c.reason) || !errors.As(err, &lookup) {
				t.Fatalf("%v", err)
			}
			if len(lookup.Nearest) == 0 || c.nearest != "" && lookup.Nearest[0] != c.nearest {
				t.Errorf("nearest %q, want %q first", lookup.Nearest, c.nearest)
			}
		})
	}
}
