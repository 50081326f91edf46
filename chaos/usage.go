package chaos

import (
	"strconv"
	"strings"
)

// UsageError says that a fault was asked for in a way that cannot be carried
// out. Nothing was changed.
type UsageError struct {
	What string // what is wrong: `db-latency: "500" needs a unit`
	Hint string // what to type instead
}

// Error gives what is wrong. The hint is for whoever prints it.
func (e *UsageError) Error() string { return e.What }

func usage(what, hint string) *UsageError { return &UsageError{What: what, Hint: hint} }

// nearest returns the candidate with the fewest edits from word, when there is
// one near enough to be a slip of the fingers: one edit for each three letters,
// and at least one.
func nearest(word string, candidates []string) (string, bool) {
	if len(word) > longestName {
		return "", false
	}
	best, bestAt := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if d := edits(strings.ToLower(word), c); d < bestAt {
			best, bestAt = c, d
		}
	}
	return best, best != ""
}

// longestName bounds the work on input that nobody typed.
const longestName = 64

// quoted is a word as a message shows it.
func quoted(word string) string {
	if len(word) > longestName {
		word = word[:longestName] + "…"
	}
	return strconv.Quote(word)
}

// edits is the number of insertions, deletions, substitutions and swaps of
// neighbours between two words (optimal string alignment).
func edits(a, b string) int {
	older, before, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range before {
		before[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(before[j]+1, row[j-1]+1, before[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, before, row = before, row, older
	}
	return before[len(b)]
}
