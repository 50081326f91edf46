package redact

import "bytes"

// Kinds of bytes, so that the scan of a text stops only where something may
// start.
const (
	nameKind  = 1 << iota // may be part of a name or of a word
	digitKind             // a card number may start
	leadKind              // the first byte of something with known looks
	markKind              // stands between a name and its value
)

// kinds maps a byte to its kinds.
var kinds = func() (k [256]uint8) {
	for c := range k {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 {
			k[c] |= nameKind
		}
	}
	for _, c := range "_-." {
		k[c] |= nameKind
	}
	for _, c := range "0123456789" {
		k[c] |= digitKind
	}
	for _, c := range "=:<" {
		k[c] |= markKind
	}
	for c := range prefixes {
		if prefixes[c] != nil {
			k[c] |= leadKind
		}
	}
	for _, c := range "eBb-" { // eyJ, Bearer, Basic, -----BEGIN
		k[c] |= leadKind
	}
	return k
}()

func nameByte(c byte) bool { return kinds[c]&nameKind != 0 }

// prefixes of credentials that their issuers made easy to find, by first byte,
// and how many bytes must follow at least.
var prefixes = [256][]struct {
	text string
	rest int
}{
	'A': {{"AKIA", 16}, {"ASIA", 16}, {"AIza", 30}},                                                                  // AWS, Google
	'S': {{"SG.", 30}},                                                                                               // SendGrid
	'g': {{"ghp_", 20}, {"gho_", 20}, {"ghu_", 20}, {"ghs_", 20}, {"ghr_", 20}, {"github_pat_", 20}, {"glpat-", 16}}, // GitHub, GitLab
	'n': {{"npm_", 30}},
	'p': {{"pypi-", 30}},
	'r': {{"rk_live_", 8}, {"rk_test_", 8}},                                                   // Stripe
	's': {{"sk_live_", 8}, {"sk_test_", 8}, {"sk-", 20}},                                      // Stripe, OpenAI
	'w': {{"whsec_", 8}},                                                                      // Stripe
	'x': {{"xoxa-", 8}, {"xoxb-", 8}, {"xoxp-", 8}, {"xoxr-", 8}, {"xoxs-", 8}, {"xapp-", 8}}, // Slack
	'y': {{"ya29.", 16}},                                                                      // Google
}

// mayStart reports whether it is worth asking lookalike: it is not in the
// middle of a word, but for web tokens.
func mayStart(s []byte, at int) bool {
	if c := s[at]; c == 'e' || c == '-' {
		return at+2 < len(s) && (s[at+1] == 'y' && s[at+2] == 'J' || s[at+1] == '-' && s[at+2] == '-')
	}
	return at == 0 || kinds[s[at-1]]&nameKind == 0 || s[at-1] == '-' || s[at-1] == '.'
}

// lookalike returns the span of the secret that starts at s[at] by its looks,
// or an empty span.
func lookalike(s []byte, at int) (from, to int) {
	switch c := s[at]; {
	case c == 'e':
		return at, webToken(s, at)
	case c == '-':
		return at, privateKey(s, at)
	case kinds[c]&digitKind != 0:
		return at, cardNumber(s, at)
	case c == 'B' || c == 'b':
		return credential(s, at)
	}
	for _, p := range prefixes[s[at]] {
		if len(s)-at < len(p.text) || string(s[at:at+len(p.text)]) != p.text {
			continue
		}
		if end := at + len(p.text) + run(s[at+len(p.text):]); end-at >= len(p.text)+p.rest {
			return at, end
		}
	}
	return 0, 0
}

// run is the length of the base64url text at the start of s.
func run(s []byte) int {
	for i, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return i
		}
	}
	return len(s)
}

// webToken returns the end of the JSON web token (RFC 7519) at s[at], or 0. A
// token starts with {" in base64url, and its signature may be empty.
func webToken(s []byte, at int) int {
	if len(s)-at < 20 || s[at+1] != 'y' || s[at+2] != 'J' {
		return 0
	}
	end, dots := at, 0
	for {
		end += run(s[end:])
		if end >= len(s) || s[end] != '.' || dots == 4 {
			break
		}
		dots++
		end++
	}
	if dots == 0 && end-at < 40 {
		return 0
	}
	return end
}

// privateKey returns the end of the PEM block at s[at], or 0.
func privateKey(s []byte, at int) int {
	if !bytes.HasPrefix(s[at:], []byte("-----BEGIN ")) {
		return 0
	}
	label := s[at:min(len(s), at+80)]
	if !bytes.Contains(label, []byte("PRIVATE KEY")) {
		return 0
	}
	if i := bytes.Index(s[at:], []byte("-----END ")); i >= 0 {
		end := at + i + len("-----END ")
		for end < len(s) && s[end] != '\n' && s[end] != '\\' && s[end] != '"' {
			end++
		}
		return end
	}
	return len(s)
}

// credential returns the span of the credential after Bearer or Basic (RFC
// 6750, RFC 7617). Basic is a word of prose too, so what follows must look
// like base64.
func credential(s []byte, at int) (from, to int) {
	var scheme int
	switch {
	case len(s)-at > 7 && bytes.EqualFold(s[at:at+6], []byte("bearer")):
		scheme = 6
	case len(s)-at > 6 && bytes.EqualFold(s[at:at+5], []byte("basic")):
		scheme = 5
	default:
		return 0, 0
	}
	from = at + scheme
	for from < len(s) && space(s[from]) {
		from++
	}
	if from == at+scheme {
		return 0, 0
	}
	mixed := false
	for to = from; to < len(s); to++ {
		c := s[to]
		letter := c >= 'a' && c <= 'z'
		other := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' && to > from || c == '=' || c == '+' || c == '/' || c == '_' || c == '~'
		if !letter && !other && c != '-' && c != '.' && (c < 'A' || c > 'Z') {
			break
		}
		mixed = mixed || other
	}
	parameter := to > from && s[to-1] == '=' && to < len(s) && s[to] == '"' // of a challenge: realm="notes"
	if to-from < 8 || scheme == 5 && !mixed || parameter {
		return 0, 0
	}
	return from, to
}

// urlPassword returns how far the @ is in "://user:password@host", counted
// from the colon, or 0.
func urlPassword(s []byte) int {
	if len(s) < 6 || s[1] != '/' || s[2] != '/' {
		return 0
	}
	last := 0
	for i := 3; i < len(s); i++ {
		switch c := s[i]; {
		case c == '@':
			last = i
		case c == '/' || c == '?' || c == '#' || quote(c) || c == '<' || c == '>' || c <= ' ':
			return last
		}
	}
	return last
}

// cardNumber returns the end of the payment card number at s[at], or 0: 13 to
// 19 digits, alone or in groups of four, six and five, in an issuer's range and
// with a check digit that is right (ISO/IEC 7812-1). Ids of the same length
// seldom are all of that.
func cardNumber(s []byte, at int) int {
	if len(s)-at < 13 {
		return 0
	}
	var digits [19]byte
	n, end, separator := 0, at, byte(0)
	for i := at; i < len(s); i++ {
		c := s[i]
		if c >= '0' && c <= '9' {
			if n == len(digits) {
				return 0
			}
			digits[n] = c - '0'
			n++
			end = i + 1
			continue
		}
		if (c == ' ' || c == '-') && (separator == 0 && n == 4 || c == separator) && i == end {
			separator = c
			continue
		}
		break
	}
	if n < 13 || end < len(s) && nameByte(s[end]) && s[end] != '.' && s[end] != '-' {
		return 0
	}
	if !issued(digits[:n]) || !luhn(digits[:n]) {
		return 0
	}
	return end
}

// issued reports whether the number is in a range of a card network.
func issued(d []byte) bool {
	n, two, four := len(d), int(d[0])*10+int(d[1]), 0
	for _, c := range d[:4] {
		four = four*10 + int(c)
	}
	switch {
	case d[0] == 4:
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720:
		return n == 16
	case two == 34 || two == 37:
		return n == 15
	case two == 36 || two == 38 || four >= 3000 && four <= 3059:
		return n == 14 || n == 16
	case four == 6011, two == 65, four >= 6440 && four <= 6499, two == 62, four >= 3528 && four <= 3589:
		return n >= 16
	}
	return false
}

// luhn reports whether the last digit checks the others.
func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i])
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}
