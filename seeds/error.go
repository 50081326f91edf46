package seeds

import "fmt"

// Error is a fault in a profile, or in how it was asked for.
type Error struct {
	File         string // empty when it is in no file
	Line, Column int    // from 1; 0 when unknown
	Text         string
	Hint         string // the next thing to do; may be empty
	Cause        error  // may be nil
}

func (e *Error) Error() string {
	text := e.Text
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	switch {
	case e.File == "":
		return text
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.File, text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, text)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// NextStep is the hint.
func (e *Error) NextStep() string { return e.Hint }

// nearest finds the name that a person may have meant.
func nearest(typed string, names []string) (string, bool) {
	best, at := "", 3 // two slips of the finger, not three
	for _, name := range names {
		if d := distance(typed, name); d < at && d < len(name) {
			best, at = name, d
		}
	}
	return best, best != ""
}

// distance counts the characters to insert, delete or change (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
