// Package diff says how a response differs from the recorded one.
//
// Compared are the status, the headers that matter, the gRPC trailers and the
// body. JSON is compared as JSON: the order of the fields of an object does not
// count, and numbers are compared by their exact decimal value, so that 1, 1.0
// and 1e0 are the same, and 9007199254740992 and 9007199254740993 are not. All
// else is compared byte by byte.
//
// What changes from one run to the next is no difference but volatile. It is
// learned: a place where several replays differ from each other is volatile, if
// the recorded value is of the same kind. From a single replay nothing can be
// learned, so values are judged by shape: two UUIDs, two points in time or two
// tokens in the same place are volatile, unless the recorded value stood in the
// request, which makes it an answer and not an invention. [Options.Strict] turns
// that off. A volatile place covers itself alone and nothing below it.
//
// Elements of an array are matched by their field "id", "key" or "name" where
// each has one of its own, and by position otherwise, after what is the same at
// both ends. What was redacted in the capture cannot be compared and is volatile.
package diff

import (
	"fmt"
	"slices"
	"strings"

	"example.com/goldenpath/replay"
)

// Kinds of a [Difference].
const (
	KindStatus  = "status"
	KindHeader  = "header"
	KindValue   = "value"   // of the same type
	KindType    = "type"    // of the JSON value
	KindMissing = "missing" // only the recorded response has it
	KindAdded   = "added"   // only the replayed response has it
	KindOrder   = "order"   // of an array whose elements are the same
	KindSize    = "size"    // of an array, where its elements say no more
	KindBody    = "body"    // that is not JSON
)

// Difference is one place where the responses differ.
type Difference struct {
	// Path is "status", "header.content-type", "trailer.grpc-status", "body", or
	// where in the JSON body: "$.data.items[2].id", "$.data['a.b']".
	Path string `json:"path"`
	Kind string `json:"kind"`
	// Recorded and Replayed are nil where there is none; a JSON number is a
	// json.Number, with every digit.
	Recorded any `json:"recorded"`
	Replayed any `json:"replayed"`
}

// Volatile is a place where a difference does not count.
type Volatile struct {
	Path string `json:"path"`
	// Class is what the values are: uuid, ulid, timestamp, trace_id, token,
	// counter, number, text, redacted, other.
	Class string `json:"class"`
	Why   string `json:"why"`
}

// Result is the outcome of a comparison.
type Result struct {
	Same        bool         `json:"same"` // there are no differences
	Differences []Difference `json:"differences"`
	Volatile    []Volatile   `json:"volatile"`
	// Notes say what could not be compared, or not in full.
	Notes []string `json:"notes,omitempty"`
}

// Options adapt a comparison. The zero Options serve.
type Options struct {
	// Strict takes nothing for volatile by its shape alone.
	Strict bool
	// Request is what was sent; see the package comment.
	Request *replay.Request
	// Ignore are paths that are not compared, with what is below them. "[*]"
	// stands for any element: "$.data.items[*].etag", "header.etag".
	Ignore []string
	// Headers are compared beside the usual ones.
	Headers []string
	// MaxDifferences bounds the list; 200 if zero.
	MaxDifferences int
	// MaxValues bounds the JSON values of a body that are compared one by one;
	// larger bodies, and those nested deeper than 500 levels, are compared as
	// text. 500,000 if zero.
	MaxValues int
}

// Compare says how the replayed responses, of the same request, differ from the
// recorded one. Differences are those of the first replayed response; the others
// tell what is volatile. Without any, nothing is the same.
func Compare(recorded replay.Response, replayed []replay.Response, o Options) Result {
	if o.MaxDifferences <= 0 {
		o.MaxDifferences = 200
	}
	if o.MaxValues <= 0 {
		o.MaxValues = 500_000
	}
	if len(replayed) == 0 {
		return Result{
			Differences: []Difference{}, Volatile: []Volatile{},
			Notes: []string{"there is no replayed response to compare"},
		}
	}
	first := replayed[0]
	learned := map[string]bool{}
	for _, other := range replayed[1:] {
		c := comparison{options: o}
		c.responses(first, other)
		for _, d := range c.found {
			learned[d.Path] = true
		}
		if c.cut {
			break // the list is full; more would not make it better
		}
	}
	c := comparison{options: o}
	c.responses(recorded, first)
	return c.judge(learned, replayed)
}

// comparison compares two responses and collects all that differs.
type comparison struct {
	options Options
	found   []Difference
	notes   []string
	opaque  []Volatile // what could not be compared
	cut     bool       // there was more than fits
}

// limit bounds what is collected before it is judged: of many differences most
// may be volatile.
func (c *comparison) limit() int { return 20 * c.options.MaxDifferences }

func (c *comparison) add(path, kind string, recorded, replayed any) {
	if c.ignored(path) {
		return
	}
	if len(c.found) >= c.limit() {
		c.cut = true
		return
	}
	c.found = append(c.found, Difference{Path: path, Kind: kind, Recorded: recorded, Replayed: replayed})
}

// redacted notes a place whose value the capture does not hold.
func (c *comparison) redacted(path string) {
	if !c.ignored(path) && len(c.opaque) < c.limit() {
		c.opaque = append(c.opaque, Volatile{path, classRedacted, "the capture does not hold the value"})
	}
}

func (c *comparison) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

func (c *comparison) responses(recorded, replayed replay.Response) {
	if recorded.Status != replayed.Status {
		if recorded.Status == 0 {
			c.note("the recorded handler failed before it answered")
		}
		c.add("status", KindStatus, recorded.Status, replayed.Status)
	}
	c.headers(recorded.Header, replayed.Header)
	c.trailers(recorded.Trailer, replayed.Trailer)
	c.bodies(recorded, replayed)
}

// judge tells differences from what is volatile.
func (c *comparison) judge(learned map[string]bool, replayed []replay.Response) Result {
	r := Result{Differences: []Difference{}, Volatile: slices.Clone(c.opaque), Notes: c.notes}
	if r.Volatile == nil {
		r.Volatile = []Volatile{}
	}
	dropped := 0
	for _, d := range c.found {
		v, volatile := c.volatile(d, learned, len(replayed))
		switch {
		case volatile:
			r.Volatile = append(r.Volatile, v)
		case len(r.Differences) < c.options.MaxDifferences:
			r.Differences = append(r.Differences, d)
		default:
			dropped++
		}
	}
	if dropped > 0 || c.cut {
		r.Notes = append(r.Notes, fmt.Sprintf("only the first %d differences are listed", len(r.Differences)))
	}
	r.Volatile = slices.Compact(r.Volatile)
	r.Same = len(r.Differences) == 0 && !c.cut
	return r
}

// volatile decides about one difference.
func (c *comparison) volatile(d Difference, learned map[string]bool, replays int) (Volatile, bool) {
	if d.Kind == KindStatus || d.Kind == KindType {
		return Volatile{}, false
	}
	was, is := classify(d.Path, d.Recorded), classify(d.Path, d.Replayed)
	switch {
	case learned[d.Path] && (was == is || plainClass(was) && plainClass(is)):
		return Volatile{d.Path, is, fmt.Sprintf("differs between the %d replays", replays)}, true
	case c.options.Strict || d.Kind != KindValue && d.Kind != KindHeader:
		return Volatile{}, false
	case was == is && shaped(was) && !c.asked(d.Recorded):
		return Volatile{d.Path, is, "both values have this shape"}, true
	}
	if class, ok := alikeButFor(d.Recorded, d.Replayed); ok && !c.asked(d.Recorded) {
		return Volatile{d.Path, class, "the values are the same but for parts of this shape"}, true
	}
	return Volatile{}, false
}

// asked reports whether the value stood in the request.
func (c *comparison) asked(value any) bool {
	s, ok := value.(string)
	if !ok || c.options.Request == nil || len(s) < 8 {
		return false
	}
	r := c.options.Request
	if strings.Contains(r.URL, s) || strings.Contains(string(r.Body.Bytes), s) {
		return true
	}
	for _, id := range uuidPattern.FindAllString(s, 4) { // a link with the id that was asked for
		if strings.Contains(r.URL, id) {
			return true
		}
	}
	return false
}

// ignored reports whether a path, or one above it, is in Options.Ignore.
func (c *comparison) ignored(path string) bool {
	for _, pattern := range c.options.Ignore {
		if matchesPath(pattern, path) {
			return true
		}
	}
	return false
}

// matchesPath reports whether path is what the pattern names or is below it.
func matchesPath(pattern, path string) bool {
	for {
		before, after, more := strings.Cut(pattern, "[*]")
		rest, ok := strings.CutPrefix(path, before)
		if !ok {
			return false
		}
		if !more {
			return rest == "" || rest[0] == '.' || rest[0] == '['
		}
		end := strings.IndexByte(rest, ']')
		if !strings.HasPrefix(rest, "[") || end < 0 {
			return false
		}
		pattern, path = after, rest[end+1:]
	}
}
