package redact

import (
	"bytes"
	"strconv"
)

// shortestHit is the length of the shortest text that is redacted without its
// name: pin=1.
const shortestHit = 5

// text redacts a text of no known structure: the values of secret names in
// name=value, name: value, "name": value and <name>value</name>, and whatever
// looks like a secret. It returns the same bytes where there is none.
// Prose such as "the token: see below" is cut as well: better that than a leak.
func (p *Policy) text(s []byte) (out []byte, hit bool) {
	kept := 0 // s[:kept] is in out
	for i := 0; i < len(s); {
		from, to := p.next(s, i)
		if to <= from {
			break
		}
		i = to
		if Is(string(s[from:to])) {
			continue // it was redacted before
		}
		out = append(out, s[kept:from]...)
		out = p.pseudonym(out, s[from:to])
		kept = to
		hit = true
	}
	if !hit {
		return s, false
	}
	return append(out, s[kept:]...), true
}

// holds reports whether text would find something in s.
func (p *Policy) holds(s string) bool {
	if len(s) < shortestHit {
		return false
	}
	var room [256]byte
	from, to := p.next(append(room[:0], s...), 0)
	return to > from
}

// next returns the span of the first secret in s[low:], or an empty span.
func (p *Policy) next(s []byte, low int) (from, to int) {
	for i := low; i < len(s); i++ {
		if kinds[s[i]]&stopKind == 0 {
			continue
		}
		switch s[i] {
		case '=':
			from, to = p.assigned(s, low, i)
		case ':':
			from, to = p.colon(s, low, i)
		case '<':
			from, to = p.element(s, i)
		default:
			from, to = lookalike(s, i)
		}
		if to > from && from >= low {
			return from, to
		}
	}
	return 0, 0
}

// colon returns the span of a password in a URL, or of the value after a name.
func (p *Policy) colon(s []byte, low, at int) (from, to int) {
	userinfo := urlPassword(s[at:])
	if userinfo == 0 {
		return p.assigned(s, low, at)
	}
	if colon := bytes.IndexByte(s[at+3:at+userinfo], ':'); colon >= 0 {
		return at + 3 + colon + 1, at + userinfo
	}
	return 0, 0
}

func quote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

func space(c byte) bool { return c == ' ' || c == '\t' }

// maxName bounds how far back a name is looked for.
const maxName = 256

// assigned returns the span of the value after the separator at s[at], where
// the name before it is secret.
func (p *Policy) assigned(s []byte, low, at int) (from, to int) {
	name, quoted := nameBefore(s, max(low, at-maxName), at)
	if p.names.tooShort(name) || !p.names.secret(string(name), inBody) {
		return 0, 0
	}
	from = at + 1
	for from < len(s) && (space(s[from]) || s[from] == '>' || s[from] == '=') {
		from++ // => of Ruby and PHP, := of Go, == of conditions
	}
	if from == len(s) {
		return 0, 0
	}
	switch c := s[from]; {
	case quote(c):
		return from + 1, closing(s, from+1, c)
	case c == '\\' && from+1 < len(s) && quote(s[from+1]):
		return from + 2, escapedClosing(s, from+2, s[from+1])
	case (c == '{' || c == '[') && !bytes.HasPrefix(s[from:], []byte(open)):
		to, _ = matching(s, from)
		return from, to
	}
	stops := "\n\r" // name: the rest of the line
	switch {
	case s[at] == '=':
		stops = " \t\r\n&;\"'<>"
	case quoted: // "name": 1234, ...
		stops = " \t\r\n,]}"
	}
	if to = bytes.IndexAny(s[from:], stops); to < 0 {
		to = len(s)
	} else {
		to += from
	}
	if marker(string(s[from:min(len(s), from+width)])) == 0 {
		to = from + width
	}
	switch string(s[from:to]) {
	case "null", "true", "false", "nil", "None":
		return 0, 0
	}
	return from, to
}

// nameBefore returns the name that ends before s[at], without its quotes and
// escapes, and whether it stood in quotes.
func nameBefore(s []byte, low, at int) (name []byte, quoted bool) {
	end := at
	if end > low && s[end-1] == ':' { // :=
		end--
	}
	for end > low && space(s[end-1]) {
		end--
	}
	if end > low && quote(s[end-1]) {
		mark := s[end-1]
		end--
		escaped := end > low && s[end-1] == '\\'
		if escaped {
			end--
		}
		start := end
		for start > low && (s[start-1] != mark || start-1 > low && s[start-2] == '\\' && !escaped) {
			start--
		}
		name = s[start:end]
		if bytes.IndexByte(name, '\\') >= 0 {
			if plain, err := strconv.Unquote(`"` + string(name) + `"`); err == nil {
				name = []byte(plain)
			}
		}
		return name, true
	}
	start := end
	for start > low && nameByte(s[start-1]) {
		start--
	}
	return s[start:end], false
}

// closing returns where the quote ends that started before s[from].
func closing(s []byte, from int, mark byte) int {
	for i := from; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case mark:
			return i
		}
	}
	return len(s)
}

// escapedClosing is closing for \"quotes\" within a quoted text.
func escapedClosing(s []byte, from int, mark byte) int {
	for i := from; i < len(s); i++ {
		if s[i] == mark {
			if i > from && s[i-1] == '\\' {
				return i - 1
			}
			return i
		}
	}
	return len(s)
}

// matching returns the end of the array or object at s[from], and whether it
// is closed.
func matching(s []byte, from int) (end int, closed bool) {
	depth := 0
	for i := from; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = closing(s, i+1, '"')
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(s), false
}

// element returns the span of the text in <name ...>text</name>.
func (p *Policy) element(s []byte, at int) (from, to int) {
	end := at + 1
	for end < len(s) && end-at < maxName && (nameByte(s[end]) || s[end] == ':') {
		end++
	}
	if end == at+1 || end == len(s) || s[end] == '/' {
		return 0, 0
	}
	name := s[at+1 : end]
	if i := bytes.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:] // the prefix of an XML namespace
	}
	if !p.names.secret(string(name), inBody) {
		return 0, 0
	}
	tag := bytes.IndexByte(s[end:min(len(s), end+16*maxName)], '>')
	if tag < 0 {
		return end, len(s) // no end of the tag in sight: all may belong to it
	}
	if s[end+tag-1] == '/' {
		return 0, 0
	}
	from = end + tag + 1
	if to = bytes.Index(s[from:], append([]byte("</"), s[at+1:end]...)); to < 0 {
		return from, len(s)
	}
	return from, from + to
}

// cutTail replaces the last token of a text that was captured in part: half a
// secret cannot be known by its looks.
func (p *Policy) cutTail(s []byte, path string, f *findings) []byte {
	start := len(s)
	for start > 0 && !bytes.ContainsRune([]byte(" \t\r\n,;&=\"'<>{}()"), rune(s[start-1])) {
		start--
	}
	// A card number may be written in groups.
	for digits := start; digits > 0 && (s[digits-1] >= '0' && s[digits-1] <= '9' || s[digits-1] == ' ' || s[digits-1] == '-'); {
		digits--
		if s[digits] != ' ' {
			start = digits
		}
	}
	if start == len(s) || Is(string(s[start:])) {
		return s
	}
	f.add(path)
	return p.pseudonym(append([]byte(nil), s[:start]...), s[start:])
}
