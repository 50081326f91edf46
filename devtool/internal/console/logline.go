package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// LogOptions says how RenderLog writes. The zero value is fit for a file.
type LogOptions struct {
	Color bool
	Zone  *time.Location // of the time of day; nil: this machine's
}

const (
	logClock  = "15:04:05.000"
	logIndent = "    " // of the further lines of a message, an error or a stack
)

// The keys of a line that are shown in a place of their own (zap's usual
// spellings), and those that are not shown: the prefix says as much.
var (
	logTime   = []string{"ts", "time", "timestamp"}
	logLevel  = []string{"level", "severity"}
	logName   = []string{"logger"}
	logText   = []string{"msg", "message"}
	logError  = []string{"error", "err"}
	logStack  = []string{"stack", "stacktrace", "errorVerbose"}
	logIDs    = []string{"request_id", "trace_id"} // last, and whole: they are copied
	logHidden = []string{"service", "env"}
)

// RenderLog makes a line of JSON as zap writes it readable: time of day, level,
// message, the error, the fields in their order, the ids. What does not fit on a
// line (a stack) follows, indented. A line that is no such JSON stays as it is.
// Either way nothing in it can command the terminal: see clean. There is no line
// break at the end.
func RenderLog(line []byte, o LogOptions) string {
	fields, ok := logFields(line)
	if !ok {
		return indented(clean(strings.TrimRight(string(line), "\r\n")))
	}
	var b, below strings.Builder
	if at, ok := logInstant(fields.take(logTime), o.Zone); ok {
		b.WriteString(Paint(o.Color, Dim, at.Format(logClock)) + " ")
	}
	level := strings.ToUpper(fields.take(logLevel).text())
	b.WriteString(Paint(o.Color, levelStyle(level), fmt.Sprintf("%-5s", clean(level))) + " ")
	if name := fields.take(logName).text(); name != "" {
		b.WriteString(Paint(o.Color, Dim, clean(name)+":") + " ")
	}
	stack := []logValue{fields.take(logStack[:1]), fields.take(logStack[1:2]), fields.take(logStack[2:])}
	b.WriteString(indented(clean(fields.take(logText).text())))
	for _, key := range logHidden {
		fields.take([]string{key})
	}

	field := func(f logField, style Style) {
		text := f.value.text()
		if strings.Contains(strings.TrimSpace(text), "\n") {
			fmt.Fprintf(&below, "\n%s%s:%s", logIndent, clean(f.key), indented("\n"+clean(strings.Trim(text, "\n"))))
			return
		}
		b.WriteString(" " + Paint(o.Color, style, clean(f.key)+"=") + f.value.short())
	}
	var last []logField
	for _, key := range logIDs {
		if v := fields.take([]string{key}); v.text() != "" {
			last = append(last, logField{key, v})
		}
	}
	for _, key := range logError {
		if v := fields.take([]string{key}); v != nil {
			field(logField{key, v}, Red)
		}
	}
	for _, f := range slices.Concat(fields.list, last) {
		field(f, Cyan)
	}
	b.WriteString(below.String())
	for _, s := range stack {
		if text := strings.Trim(s.text(), "\n"); text != "" {
			b.WriteString(indented("\n" + clean(text)))
		}
	}
	return b.String()
}

// Prefix is the column before a line that says whose it is, width wide or as wide
// as the name. A name has always the same colour.
func Prefix(name string, width int, color bool) string {
	name = clean(name)
	styles := []Style{Cyan, Green, Blue, Yellow}
	h := fnv.New32a()
	h.Write([]byte(name))
	pad := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(name)))
	return Paint(color, styles[h.Sum32()%uint32(len(styles))], name+pad+" |")
}

func levelStyle(level string) Style {
	switch level {
	case "DEBUG", "TRACE":
		return Dim
	case "INFO":
		return Green
	case "WARN", "WARNING":
		return Yellow
	}
	return Red
}

// logValue is a JSON value as it was written; nil is no value.
type logValue json.RawMessage

// text is a string's content, or the JSON of anything else.
func (v logValue) text() string {
	if len(v) == 0 || v[0] != '"' {
		return string(v)
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		return string(v)
	}
	return s
}

// short is the value as it stands after key=: numbers keep every digit, durations
// lose those that nobody reads, words with blanks in them are quoted.
func (v logValue) short() string {
	s := v.text()
	if len(v) == 0 || v[0] != '"' {
		return clean(s)
	}
	if d, err := time.ParseDuration(s); err == nil && s != "0" {
		return shortDuration(d)
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '=' }) {
		return `"` + strings.ReplaceAll(clean(s), `"`, `\"`) + `"`
	}
	return clean(s)
}

// shortDuration rounds to three digits.
func shortDuration(d time.Duration) string {
	unit := time.Duration(1)
	for limit := d.Abs(); limit >= 1000 && unit < time.Second; limit /= 10 {
		unit *= 10
	}
	return d.Round(unit).String()
}

type logField struct {
	key   string
	value logValue
}

type logRecord struct{ list []logField }

// take removes the first of the keys that is there and returns its value.
func (r *logRecord) take(keys []string) logValue {
	for _, key := range keys {
		if i := slices.IndexFunc(r.list, func(f logField) bool { return f.key == key }); i >= 0 {
			v := r.list[i].value
			r.list = slices.Delete(r.list, i, i+1)
			return v
		}
	}
	return nil
}

// logFields takes apart a line that is one JSON object with a message or a level.
// Of a key that is there twice the later value counts.
func logFields(line []byte) (*logRecord, bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' || !json.Valid(line) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	r, known := &logRecord{}, false
	at := map[string]int{}
	for d.More() {
		token, err := d.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return nil, false
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, false
		}
		known = known || slices.Contains(logText, key) || slices.Contains(logLevel, key)
		if i, again := at[key]; again {
			r.list[i].value = logValue(v)
			continue
		}
		at[key] = len(r.list)
		r.list = append(r.list, logField{key, logValue(v)})
	}
	return r, known
}

// logInstant reads RFC 3339, zap's ISO 8601, or seconds since 1970.
func logInstant(v logValue, zone *time.Location) (time.Time, bool) {
	if len(v) == 0 {
		return time.Time{}, false
	}
	if zone == nil {
		zone = time.Local
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.000Z0700"} {
		if t, err := time.Parse(layout, v.text()); err == nil {
			return t.In(zone), true
		}
	}
	seconds, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.Abs(seconds) > 1e11 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).In(zone), true
}

func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n"+logIndent) }

// clean makes text safe to show: colours (ECMA-48 SGR) are taken out, and every
// other control character but tab and line break, which could move the cursor,
// hide text or type for the person, is written as an escape. So are the
// characters that reorder text (Unicode, UAX 9).
func clean(text string) string {
	if !strings.ContainsFunc(text, harmful) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if n := colour(text[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !harmful(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

func harmful(r rune) bool {
	if r == '\t' || r == '\n' {
		return false
	}
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// colour is the length of the SGR sequence that text begins with, or 0.
func colour(text string) int {
	rest, ok := strings.CutPrefix(text, "\x1b[")
	if !ok {
		return 0
	}
	end := strings.TrimLeft(rest, "0123456789;:")
	if !strings.HasPrefix(end, "m") {
		return 0
	}
	return len(text) - len(end) + 1
}
