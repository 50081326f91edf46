package redact

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

const (
	maxDepth  = 512 // levels of arrays and objects; deeper bodies are redacted as text
	maxNested = 3   // levels of JSON within a string of JSON
)

// json redacts JSON, or several values of JSON one after the other. All that
// is kept is kept byte for byte. A body that was captured in part may end
// anywhere; the token that it ends in is cut.
//
// It returns false where the bytes are no JSON. They are to be redacted as text
// then.
func (p *Policy) json(src []byte, partial bool, path string, nested int, f *findings) ([]byte, bool) {
	if nested > maxNested {
		return nil, false
	}
	var room [8]frame
	before := len(f.paths)
	s := scanner{policy: p, src: src, partial: partial, path: path, nested: nested, findings: f, stack: room[:0]}
	if !s.run() {
		f.paths = f.paths[:before]
		return nil, false
	}
	if s.kept == 0 {
		return src, true
	}
	return append(s.out, src[s.kept:]...), true
}

// frame is an array or an object that is open.
type frame struct {
	object   bool
	index    int // of the current element of an array
	from, to int // where the current key of an object stands, without quotes
}

// want is what may come next.
type want int

const (
	wantValue want = iota
	wantValueOrEnd
	wantKey
	wantKeyOrEnd
	wantColon
	wantCommaOrEnd
)

// scanner goes over JSON once, without recursion and without building values.
type scanner struct {
	policy   *Policy
	src      []byte
	partial  bool
	path     string
	nested   int
	findings *findings

	at     int
	want   want
	secret bool // the name of the next value is secret
	stack  []frame
	out    []byte
	kept   int // src[:kept] is in out
}

// run returns false where src is no JSON.
func (s *scanner) run() bool {
	for s.at < len(s.src) {
		c := s.src[s.at]
		if c == ' ' || c == '\n' || c == '\r' || c == '\t' {
			s.at++
			continue
		}
		if !s.token(c) {
			return false
		}
	}
	whole := len(s.stack) == 0 && (s.want == wantCommaOrEnd || s.want == wantValue)
	return whole || s.partial
}

func (s *scanner) token(c byte) bool {
	switch s.want {
	case wantKey, wantKeyOrEnd:
		if c == '}' && s.want == wantKeyOrEnd {
			return s.pop(true)
		}
		return c == '"' && s.key()
	case wantColon:
		s.at++
		s.want = wantValue
		return c == ':'
	case wantCommaOrEnd:
		return s.comma(c)
	default:
		if c == ']' && s.want == wantValueOrEnd {
			return s.pop(false)
		}
		return s.value(c)
	}
}

func (s *scanner) comma(c byte) bool {
	if len(s.stack) == 0 {
		s.want = wantValue // the next of several values
		return true
	}
	top := &s.stack[len(s.stack)-1]
	switch {
	case c == '}':
		return s.pop(true)
	case c == ']':
		return s.pop(false)
	case c != ',':
		return false
	}
	s.at++
	if top.object {
		s.want = wantKey
	} else {
		top.index++
		s.want = wantValue
	}
	return true
}

func (s *scanner) pop(object bool) bool {
	n := len(s.stack) - 1
	if n < 0 || s.stack[n].object != object {
		return false
	}
	s.stack = s.stack[:n]
	s.at++
	s.want = wantCommaOrEnd
	return true
}

func (s *scanner) key() bool {
	from := s.at + 1
	to, closed := stringEnd(s.src, from)
	if !closed {
		return s.tail(s.at)
	}
	top := &s.stack[len(s.stack)-1]
	top.from, top.to = from, to
	raw := s.src[from:to]
	s.at = to + 1
	s.want = wantColon
	if s.policy.harmlessKeys.has(raw) {
		return true
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		s.secret = s.policy.names.secret(string(raw), inBody)
	} else {
		name, ok := unquote(raw)
		if !ok {
			return false
		}
		s.secret = s.policy.names.secret(name, inBody)
	}
	if out, hit := s.policy.text(raw); hit { // a map may be keyed by tokens
		s.found()
		s.out = append(append(s.out, s.src[s.kept:from]...), out...)
		s.kept = to
	} else if !s.secret {
		s.policy.harmlessKeys.add(raw)
	}
	return true
}

func (s *scanner) value(c byte) bool {
	secret := s.secret
	s.secret = false
	if secret && (c == '{' || c == '[') {
		return s.secretTree()
	}
	switch {
	case c == '{' || c == '[':
		if len(s.stack) == maxDepth {
			return false
		}
		s.stack = append(s.stack, frame{object: c == '{'})
		s.at++
		s.want = wantValueOrEnd
		if c == '{' {
			s.want = wantKeyOrEnd
		}
		return true
	case c == '"':
		return s.text(secret)
	case c == '-' || c >= '0' && c <= '9':
		return s.number(secret)
	case c == 't' || c == 'f' || c == 'n':
		return s.literal()
	}
	return false
}

// secretTree cuts an array or an object with a secret name as a whole: its
// keys may be as secret as its values.
func (s *scanner) secretTree() bool {
	end, closed := matching(s.src, s.at)
	if !closed && !s.partial {
		return false
	}
	s.replace(s.at, end, s.src[s.at:end])
	s.at = end
	s.want = wantCommaOrEnd
	return true
}

func (s *scanner) text(secret bool) bool {
	from := s.at + 1
	to, closed := stringEnd(s.src, from)
	if !closed {
		return s.tail(s.at)
	}
	raw := s.src[from:to]
	s.want = wantCommaOrEnd
	start := s.at
	s.at = to + 1
	switch {
	case len(raw) == 0:
	case secret:
		s.replace(start, to+1, raw)
	case len(raw) < shortestHit || isID(raw) || isTime(raw):
	case bytes.IndexByte(raw, '\\') < 0:
		if out, hit := s.policy.text(raw); hit {
			s.found()
			s.out = append(append(s.out, s.src[s.kept:from]...), out...)
			s.kept = to
		}
	default:
		return s.escaped(start, to+1, raw)
	}
	return true
}

// isID reports whether a text is a UUID (RFC 9562, section 4), which says
// nothing by its looks: with luck its digits pass for those of a card.
func isID(s []byte) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	for i, c := range s {
		if c == '-' && (i == 8 || i == 13 || i == 18 || i == 23) {
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// isTime reports whether a text is a time (RFC 3339, section 5.6).
func isTime(s []byte) bool {
	const shape = "0000-00-00T00:00:00"
	if len(s) <= len(shape) || len(s) > len(shape)+len(".000000000+00:00") {
		return false
	}
	for i, c := range s {
		digit := c >= '0' && c <= '9'
		if i < len(shape) && shape[i] != '0' && c != shape[i] || i < len(shape) && shape[i] == '0' && !digit {
			return false
		}
		if i == len(shape) && digit {
			return false
		}
		if i >= len(shape) && !digit && c != '.' && c != ':' && c != '+' && c != '-' && c != 'Z' {
			return false
		}
	}
	return true
}

// escaped redacts a string with escapes by what it says, which may be JSON.
func (s *scanner) escaped(start, end int, raw []byte) bool {
	plain, ok := unquote(raw)
	if !ok {
		return false
	}
	var out []byte
	var hit bool
	if looksLikeJSON([]byte(plain)) {
		if inner, ok := s.policy.json([]byte(plain), false, s.where(), s.nested+1, s.findings); ok {
			out, hit = inner, string(inner) != plain
		}
	}
	if out == nil {
		if out, hit = s.policy.text([]byte(plain)); hit {
			s.found()
		}
	}
	if !hit {
		return true
	}
	s.out = append(s.out, s.src[s.kept:start]...)
	s.out = appendString(s.out, string(out))
	s.kept = end
	return true
}

func (s *scanner) number(secret bool) bool {
	start := s.at
	for s.at < len(s.src) {
		c := s.src[s.at]
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			break
		}
		s.at++
	}
	s.want = wantCommaOrEnd
	if s.at == len(s.src) && s.partial {
		return s.tail(start)
	}
	token := s.src[start:s.at]
	if secret || cardNumber(token, 0) == len(token) {
		s.replace(start, s.at, token)
	}
	return true
}

func (s *scanner) literal() bool {
	start := s.at
	for s.at < len(s.src) && s.src[s.at] >= 'a' && s.src[s.at] <= 'z' {
		s.at++
	}
	s.want = wantCommaOrEnd
	switch string(s.src[start:s.at]) {
	case "true", "false", "null":
		return true
	}
	return s.partial && s.at == len(s.src)
}

// tail cuts the token that a body ends in, which started at from.
func (s *scanner) tail(from int) bool {
	if !s.partial {
		return false
	}
	s.replace(from, len(s.src), s.src[from:])
	s.at = len(s.src)
	return true
}

// replace puts a pseudonym of the secret in the place of src[from:to].
func (s *scanner) replace(from, to int, secret []byte) {
	if Is(string(secret)) {
		return
	}
	s.found()
	s.out = append(append(s.out, s.src[s.kept:from]...), '"')
	s.out = append(s.policy.pseudonym(s.out, secret), '"')
	s.kept = to
}

func (s *scanner) found() { s.findings.add(s.where()) }

// where is the path of the current value.
func (s *scanner) where() string {
	var b strings.Builder
	b.WriteString(s.path)
	for _, f := range s.stack {
		if f.object {
			name, _ := s.policy.text(s.src[f.from:f.to])
			b.WriteByte('.')
			b.Write(name)
			continue
		}
		b.WriteByte('[')
		b.WriteString(strconv.Itoa(f.index))
		b.WriteByte(']')
	}
	return b.String()
}

// stringEnd returns where the closing quote of a string stands that starts at
// from, and whether there is one.
func stringEnd(src []byte, from int) (int, bool) {
	for i := from; ; {
		n := bytes.IndexByte(src[i:], '"')
		if n < 0 {
			return len(src), false
		}
		end := i + n
		escape := bytes.IndexByte(src[i:end], '\\')
		if escape < 0 {
			return end, true
		}
		if i += escape + 2; i > len(src) {
			return len(src), false
		}
	}
}

// unquote undoes the escapes of a string of JSON.
func unquote(raw []byte) (string, bool) {
	var s string
	quoted := append(append(append(make([]byte, 0, len(raw)+2), '"'), raw...), '"')
	return s, json.Unmarshal(quoted, &s) == nil
}

// appendString writes a string of JSON and leaves <, > and & alone.
func appendString(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return append(dst, `""`...) // a string can always be encoded
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
