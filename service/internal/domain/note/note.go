// Package note is the note and its rules. It imports the standard library and
// the service's error type alone.
package note

import (
	"strings"
	"time"
	"unicode/utf8"

	"example.com/goldenpath/service/internal/domain/problem"
)

// Limits of a note, in characters.
const (
	MaxTitle = 200
	MaxBody  = 20_000
)

// ID names a note: a UUID in its canonical lower-case text form.
type ID string

// ParseID refuses whatever is not a canonical UUID, so that garbage in a path
// never reaches the database.
func ParseID(s string) (ID, error) {
	if len(s) == 36 {
		ok := true
		for i := 0; i < len(s) && ok; i++ {
			c := s[i]
			if i == 8 || i == 13 || i == 18 || i == 23 {
				ok = c == '-'
			} else {
				ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
			}
		}
		if ok {
			return ID(s), nil
		}
	}
	return "", problem.Invalid(problem.Field{Name: "id", Reason: "must be a UUID in lower case"})
}

// Note is a titled text. WordCount is nil until the worker has counted the
// present body.
type Note struct {
	ID        ID
	Title     string
	Body      string
	WordCount *int
	CreatedAt time.Time // UTC, microseconds, as the database keeps it
	UpdatedAt time.Time
}

// New makes a note, or says which fields are not valid.
func New(id ID, title, body string, now time.Time) (Note, error) {
	n := Note{ID: id, Title: strings.TrimSpace(title), Body: body, CreatedAt: stamp(now), UpdatedAt: stamp(now)}
	return n, n.validate()
}

// Edit changes what is not nil and stamps the note. The word count is unknown
// again when the body changed.
func (n *Note) Edit(title, body *string, now time.Time) error {
	if title != nil {
		n.Title = strings.TrimSpace(*title)
	}
	if body != nil && *body != n.Body {
		n.Body = *body
		n.WordCount = nil
	}
	n.UpdatedAt = stamp(now)
	return n.validate()
}

// CountWords is the number of words in the body, separated by white space.
func (n *Note) CountWords() int { return len(strings.Fields(n.Body)) }

func (n *Note) validate() error {
	var bad []problem.Field
	switch {
	case n.Title == "":
		bad = append(bad, problem.Field{Name: "title", Reason: "must not be empty"})
	case utf8.RuneCountInString(n.Title) > MaxTitle:
		bad = append(bad, problem.Field{Name: "title", Reason: "must be at most 200 characters"})
	}
	if utf8.RuneCountInString(n.Body) > MaxBody {
		bad = append(bad, problem.Field{Name: "body", Reason: "must be at most 20000 characters"})
	}
	for _, f := range []struct{ name, text string }{{"title", n.Title}, {"body", n.Body}} {
		// PostgreSQL's text type holds no NUL; JSON can carry one.
		if strings.ContainsRune(f.text, 0) || !utf8.ValidString(f.text) {
			bad = append(bad, problem.Field{Name: f.name, Reason: "must be valid UTF-8 without NUL characters"})
		}
	}
	if len(bad) > 0 {
		return problem.Invalid(bad...)
	}
	return nil
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
