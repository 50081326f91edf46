package parity

import "slices"

// Verdict is what became of a behaviour.
type Verdict string

// The verdicts.
const (
	Same     Verdict = "same"
	Known    Verdict = "known"    // they differ as differences.yaml says
	New      Verdict = "new"      // they differ and nobody has said so
	Vanished Verdict = "vanished" // differences.yaml says that they differ, and they do not
	Broken   Verdict = "broken"   // one of them could not be observed
)

// Verdicts are all of them, the worst last.
var Verdicts = []Verdict{Same, Known, Vanished, New, Broken}

// Comparison is one behaviour on two servers.
type Comparison struct {
	ID      string  `json:"id"`
	What    string  `json:"what"`
	Verdict Verdict `json:"verdict"`
	Seen    [2]Seen `json:"seen"`
	Means   string  `json:"means,omitempty"` // known and vanished: what it means for a user
}

// Seen is one side of a comparison.
type Seen struct {
	Server      string `json:"server"`
	Observation string `json:"observation"`
	Error       string `json:"error,omitempty"`
}

// Compare goes through a and b, which are the results of the same suites.
func Compare(a, b []Result, known []Difference) []Comparison {
	var list []Comparison
	for _, left := range a {
		at := slices.IndexFunc(b, func(r Result) bool { return r.ID == left.ID })
		if at < 0 {
			continue
		}
		list = append(list, compare(left, b[at], known))
	}
	return list
}

func compare(a, b Result, known []Difference) Comparison {
	c := Comparison{ID: a.ID, What: a.What, Verdict: Same, Seen: [2]Seen{seen(a), seen(b)}}
	var entry Difference
	if at := slices.IndexFunc(known, func(d Difference) bool { return d.ID == a.ID }); at >= 0 {
		entry = known[at]
	}
	switch {
	case a.Err != nil || b.Err != nil:
		c.Verdict = Broken
	case a.Observation != b.Observation && entry.lists(a) && entry.lists(b):
		c.Verdict, c.Means = Known, entry.Means
	case a.Observation != b.Observation:
		c.Verdict = New
	case entry.separates(a.Server, b.Server):
		c.Verdict, c.Means = Vanished, entry.Means
	}
	return c
}

func seen(r Result) Seen {
	s := Seen{Server: r.Server, Observation: r.Observation}
	if r.Err != nil {
		s.Error = r.Err.Error()
	}
	return s
}

// Count says how many comparisons have the verdict.
func Count(list []Comparison, v Verdict) int {
	n := 0
	for _, c := range list {
		if c.Verdict == v {
			n++
		}
	}
	return n
}
