package archive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"example.com/goldenpath/replay"
)

// What may be wrong with the id that was looked up. They come in a [LookupError].
var (
	ErrInvalidID = errors.New("no trace id, which has 32 hex digits, nor the first 4 or more of one")
	ErrNotFound  = errors.New("no capture has this trace id")
	ErrAmbiguous = errors.New("more than one trace id starts like this")
)

// LookupError is why a look-up found no trace. It wraps one of the errors above.
type LookupError struct {
	ID     string // as it was given
	Reason error
	// Nearest are trace ids that may have been meant, the likeliest first: of an
	// ambiguous start those that it could be, otherwise the most similar among
	// the recent ones.
	Nearest []string
}

func (e *LookupError) Error() string {
	return fmt.Sprintf("finding capture %q: %v", e.ID, e.Reason)
}

// Unwrap returns the reason.
func (e *LookupError) Unwrap() error { return e.Reason }

var (
	traceStart  = regexp.MustCompile(`^[0-9a-f]{4,32}$`)
	exchangeID  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{8}$`)
	traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$`)
)

// lookup is what an id asks for.
type lookup struct {
	start    string // of the trace id, in hex
	exchange string // the id of one exchange, or empty
}

func parseLookup(text string) (lookup, bool) {
	id := strings.ToLower(strings.TrimSpace(text))
	if parts := traceparent.FindStringSubmatch(id); parts != nil {
		id = parts[1]
	}
	if exchangeID.MatchString(id) {
		return lookup{start: id[:8], exchange: id}, true
	}
	ok := traceStart.MatchString(id) && strings.Trim(id, "0") != ""
	return lookup{start: id}, ok
}

func (l lookup) matches(trace [16]byte) bool {
	var digits [32]byte
	hex.Encode(digits[:], trace[:])
	return string(digits[:len(l.start)]) == l.start
}

// Find returns the exchanges of a trace, the first first. It takes a trace id,
// the start of one that is the only one to start so, a traceparent header, or
// the id of an exchange, which gives that one alone. Its error is a
// [*LookupError], or that of the disk.
func (r *Reader) Find(id string) ([]*replay.Exchange, error) {
	l, ok := parseLookup(id)
	var found []*replay.Exchange
	err := r.sources(func(sources []*source) error {
		if !ok {
			return &LookupError{ID: id, Reason: ErrInvalidID, Nearest: nearest(sources, strings.ToLower(id))}
		}
		traces := l.traces(sources)
		switch {
		case len(traces) == 0:
			return &LookupError{ID: id, Reason: ErrNotFound, Nearest: nearest(sources, l.start)}
		case len(traces) > 1 && l.exchange == "":
			return &LookupError{ID: id, Reason: ErrAmbiguous, Nearest: traces}
		}
		found = nil
		for _, s := range sources {
			matches, err := r.matches(s, l)
			if err != nil {
				return err
			}
			found = append(found, matches...)
		}
		if len(found) == 0 {
			return &LookupError{ID: id, Reason: ErrNotFound, Nearest: nearest(sources, l.start)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b *replay.Exchange) int { return a.Time.Compare(b.Time) })
	return found, nil
}

// traces returns up to ten trace ids of the indexes that match, sorted. An
// exchange without a trace counts as one of the zero id.
func (l lookup) traces(sources []*source) []string {
	var ids []string
	for _, s := range sources {
		for _, e := range s.entries {
			if !l.matches(e.trace) {
				continue
			}
			if id := hex.EncodeToString(e.trace[:]); len(ids) < 10 && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// matches reads what a segment has. Where its index proves wrong, it is made
// again, once.
func (r *Reader) matches(s *source, l lookup) ([]*replay.Exchange, error) {
	found, skipped, fits := read(s, l)
	if !fits && !s.rebuilt {
		if err := s.rebuild(); err != nil {
			return nil, fmt.Errorf("reading segment %s: %w", s.name, err)
		}
		r.note(s)
		found, skipped, _ = read(s, l)
	}
	r.skipped.Add(skipped)
	return found, nil
}

// read returns the exchanges that match, how many of them cannot be read, and
// whether the index fits the lines.
func read(s *source, l lookup) (found []*replay.Exchange, skipped int64, fits bool) {
	fits = true
	for _, e := range s.entries {
		if !l.matches(e.trace) {
			continue
		}
		line, err := s.line(e)
		ex := new(replay.Exchange)
		if err != nil || json.Unmarshal(line, ex) != nil || traceKey(ex.TraceID) != e.trace {
			skipped++
			fits = false
			continue
		}
		if l.exchange == "" || ex.ID == l.exchange {
			found = append(found, ex)
		}
	}
	return found, skipped, fits
}

// nearest returns up to three recent trace ids, the most similar first and the
// newer of two that are as similar.
func nearest(sources []*source, id string) []string {
	const most, recent = 3, 5000
	id = id[:min(len(id), 64)]
	type candidate struct {
		trace [16]byte
		apart int
	}
	var candidates []candidate
	seen := map[[16]byte]bool{}
	for _, s := range slices.Backward(sources) {
		for _, e := range slices.Backward(s.entries) {
			if len(seen) == recent {
				break
			}
			if seen[e.trace] || e.trace == [16]byte{} {
				continue
			}
			seen[e.trace] = true
			candidates = append(candidates, candidate{e.trace, distance(id, hex.EncodeToString(e.trace[:]))})
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return a.apart - b.apart })
	var ids []string
	for _, c := range candidates[:min(len(candidates), most)] {
		ids = append(ids, hex.EncodeToString(c.trace[:]))
	}
	return ids
}

// distance is the edit distance between an id and a trace id, of which only as
// much counts as the id is long: the start of an id is not far from it.
func distance(id, trace string) int {
	a, b := []byte(id), []byte(trace)
	if len(a) < len(b) {
		b = b[:len(a)]
	}
	if bytes.Equal(a, b) {
		return 0
	}
	var room [65]int
	row := room[:len(b)+1]
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
