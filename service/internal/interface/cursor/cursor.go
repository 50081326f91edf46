// Package cursor is the text form of a place in the listing, the same through
// every door. It is opaque to clients: base64url of a version, the creation
// time in microseconds since 1970 and the note's id.
package cursor

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
)

const (
	version = "1"
	// The longest text that Encode makes is shorter than this.
	maxText = 128
	// The end of the year 9999: beyond it PostgreSQL and RFC 3339 disagree.
	maxMicros = 253402300799999999
)

// Encode returns the text of c, empty for the beginning.
func Encode(c note.Cursor) string {
	if c.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(
		[]byte(version + "." + strconv.FormatInt(c.CreatedAt.UnixMicro(), 10) + "." + string(c.ID)))
}

// Decode reads what Encode made. The empty text is the beginning; anything else
// is the problem invalid_cursor.
func Decode(text string) (note.Cursor, error) {
	if text == "" {
		return note.Cursor{}, nil
	}
	if c, ok := decode(text); ok {
		return c, nil
	}
	return note.Cursor{}, problem.New(problem.InvalidCursor, "the cursor is not one that this service has given",
		"send next_cursor of the page before as it is, or leave cursor out to begin anew")
}

func decode(text string) (note.Cursor, bool) {
	if len(text) > maxText {
		return note.Cursor{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return note.Cursor{}, false
	}
	parts := strings.Split(string(raw), ".")
	if len(parts) != 3 || parts[0] != version {
		return note.Cursor{}, false
	}
	micros, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || micros < 0 || micros > maxMicros {
		return note.Cursor{}, false
	}
	id, err := note.ParseID(parts[2])
	if err != nil {
		return note.Cursor{}, false
	}
	return note.Cursor{CreatedAt: time.UnixMicro(micros).UTC(), ID: id}, true
}
