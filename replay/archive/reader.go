package archive

import (
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"example.com/goldenpath/replay"
)

// Reader reads an archive, also while others write it. It holds nothing open
// between calls and sees what was written up to each. It is safe for use by
// several goroutines.
type Reader struct {
	dir     string
	skipped atomic.Int64
	rebuilt atomic.Int64
	refused atomic.Int64
}

// Damage says what a reader met and read past; each call that meets it counts
// it again.
type Damage struct {
	Lines   int64 // lines and frames that could not be read
	Indexes int64 // indexes that were missing or did not fit
	// Segments that could not be opened or read at all.
	Segments int64
}

// Open opens the archive in dir. Where there is none yet the error is
// [fs.ErrNotExist].
func Open(dir string) (*Reader, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the capture archive: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("opening the capture archive: %s is not a directory", dir)
	}
	return &Reader{dir: dir}, nil
}

// Close ends the reader.
func (r *Reader) Close() error { return nil }

// Damage returns what was read past since Open.
func (r *Reader) Damage() Damage {
	return Damage{Lines: r.skipped.Load(), Indexes: r.rebuilt.Load(), Segments: r.refused.Load()}
}

// Filter says what to list. The zero Filter lists the newest 50.
type Filter struct {
	Limit  int // 50 if zero, all if negative
	Since  time.Time
	Method string // in any case
	Path   string // the start of the path
	// Status is a status, or its class: 5 stands for 500 to 599.
	Status  int
	Service string
}

// Summary is an exchange without its headers and bodies.
type Summary struct {
	ID        string        `json:"id"`
	TraceID   string        `json:"trace_id"`
	RequestID string        `json:"request_id,omitempty"`
	Time      time.Time     `json:"time"`
	Duration  time.Duration `json:"duration_ns"`
	Service   string        `json:"service,omitempty"`
	Method    string        `json:"method"`
	URL       string        `json:"url"`
	Route     string        `json:"route,omitempty"`
	Status    int           `json:"status"`
	// RequestBody and ResponseBody have no bytes, only state and size.
	RequestBody  BodySummary `json:"request_body"`
	ResponseBody BodySummary `json:"response_body"`
}

// BodySummary is a body without its bytes.
type BodySummary struct {
	State replay.BodyState `json:"state"`
	Size  int64            `json:"size"`
}

// summaryLine reads from a line what a Summary needs.
type summaryLine struct {
	ID        string        `json:"id"`
	TraceID   string        `json:"trace_id"`
	RequestID string        `json:"request_id"`
	Time      time.Time     `json:"time"`
	Duration  time.Duration `json:"duration_ns"`
	Service   string        `json:"service"`
	Request   struct {
		Method string      `json:"method"`
		URL    string      `json:"url"`
		Route  string      `json:"route"`
		Body   BodySummary `json:"body"`
	} `json:"request"`
	Response struct {
		Status int         `json:"status"`
		Body   BodySummary `json:"body"`
	} `json:"response"`
}

func (l summaryLine) summary() Summary {
	return Summary{
		ID: l.ID, TraceID: l.TraceID, RequestID: l.RequestID, Time: l.Time, Duration: l.Duration, Service: l.Service,
		Method: l.Request.Method, URL: l.Request.URL, Route: l.Request.Route, Status: l.Response.Status,
		RequestBody: l.Request.Body, ResponseBody: l.Response.Body,
	}
}

func (s Summary) finished() time.Time { return s.Time.Add(s.Duration) }

func (f Filter) matches(s Summary) bool {
	path, _, _ := strings.Cut(s.URL, "?")
	status := f.Status == 0 || f.Status == s.Status || f.Status < 10 && f.Status == s.Status/100
	return status &&
		(f.Method == "" || strings.EqualFold(f.Method, s.Method)) &&
		strings.HasPrefix(path, f.Path) &&
		(f.Service == "" || f.Service == s.Service) &&
		!s.Time.Before(f.Since)
}

// List returns what the filter lets through, the exchange that finished last
// first.
func (r *Reader) List(f Filter) ([]Summary, error) {
	if f.Limit == 0 {
		f.Limit = 50
	}
	var found []Summary
	err := r.sources(func(sources []*source) error {
		found = found[:0]
		var newest cursors
		for _, s := range sources {
			c := &cursor{reader: r, source: s, left: len(s.entries)}
			if c.next() {
				newest = append(newest, c)
			}
		}
		heap.Init(&newest)
		for len(newest) > 0 && len(found) != f.Limit {
			c := newest[0]
			if f.matches(c.current) {
				found = append(found, c.current)
			}
			if c.next() {
				heap.Fix(&newest, 0)
			} else {
				heap.Pop(&newest)
			}
		}
		return nil
	})
	return found, err
}

// sources opens all segments, oldest first, for the time of use. One that is
// sealed in between is opened in its other form; one that is removed is left
// out.
func (r *Reader) sources(use func([]*source) error) error {
	list, _, err := segments(r.dir)
	if err != nil {
		return fmt.Errorf("listing segments: %w", err)
	}
	var sources []*source
	defer func() {
		for _, s := range sources {
			s.close()
		}
	}()
	for _, s := range list {
		src, err := openSource(s)
		if errors.Is(err, fs.ErrNotExist) && !s.sealed {
			s.sealed = true
			src, err = openSource(s)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			r.refused.Add(1) // such as one of another user: the others can still be read
		default:
			sources = append(sources, src)
		}
	}
	for _, s := range sources {
		r.note(s)
	}
	return use(sources)
}

func (r *Reader) note(s *source) {
	r.skipped.Add(int64(s.skipped))
	if s.rebuilt {
		r.rebuilt.Add(1)
	}
}

// cursor goes through a segment from its end.
type cursor struct {
	reader  *Reader
	source  *source
	left    int
	current Summary
}

// next moves to the exchange before, past lines that cannot be read.
func (c *cursor) next() bool {
	for c.left > 0 {
		c.left--
		line, err := c.source.line(c.source.entries[c.left])
		var l summaryLine
		if err == nil {
			err = json.Unmarshal(line, &l)
		}
		if err == nil {
			c.current = l.summary()
			return true
		}
		if !c.source.rebuilt && c.source.rebuild() == nil { // perhaps the index is at fault
			c.reader.note(c.source)
			c.left = min(c.left+1, len(c.source.entries))
			continue
		}
		c.reader.skipped.Add(1)
	}
	return false
}

// cursors is a heap with the cursor whose exchange finished last on top.
type cursors []*cursor

func (c cursors) Len() int { return len(c) }
func (c cursors) Less(i, j int) bool {
	return c[i].current.finished().After(c[j].current.finished())
}
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(x any)   { *c = append(*c, x.(*cursor)) }
func (c *cursors) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	*c = (*c)[:last]
	return x
}
