package redact

import "bytes"

// Kinds of bytes, so that the scan of a text stops only where there may be
// something. It runs over all that a service answers, so the bytes that it stops
// at are those that prose has few of: a key is noticed at the punctuation of its
// prefix, a web token at the J in its eyJ.
const (
	nameKind = 1 << iota // may be part of a name or of a word
	stopKind             // there may be something here
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
	// Values of names; card numbers; AKIA, Bearer, Basic, eyJ, prefixes, -----BEGIN.
	for _, c := range "=:<0123456789ABbJ_-." {
		k[c] |= stopKind
	}
	return k
}()

func nameByte(c byte) bool { return kinds[c]&nameKind != 0 }

// prefix is how keys start that their issuer made easy to find, and how many
// bytes must follow at least.
type prefix struct {
	text string
	rest int
}

// prefixes of keys by their first punctuation.
var prefixes = map[byte][]prefix{
	'_': {
		{"ghp_", 20}, {"gho_", 20}, {"ghu_", 20}, {"ghs_", 20}, {"ghr_", 20}, {"github_pat_", 20}, // GitHub
		{"npm_", 30},
		{"rk_live_", 8}, {"rk_test_", 8}, {"sk_live_", 8}, {"sk_test_", 8}, {"whsec_", 8}, // Stripe
	},
	'-': {
		{"glpat-", 16}, // GitLab
		{"pypi-", 30},
		{"sk-", 20},                                                                        // OpenAI
		{"xoxa-", 8}, {"xoxb-", 8}, {"xoxp-", 8}, {"xoxr-", 8}, {"xoxs-", 8}, {"xapp-", 8}, // Slack
	},
	'.': {{"SG.", 30}, {"ya29.", 16}}, // SendGrid, Google
}

// without are the prefixes that have no punctuation: AWS, Google.
var without = []prefix{{"AKIA", 16}, {"ASIA", 16}, {"AIza", 30}}

// starts reports whether a word may start at s[at].
func starts(s []byte, at int) bool {
	return at == 0 || kinds[s[at-1]]&nameKind == 0 || s[at-1] == '-' || s[at-1] == '.'
}

// lookalike returns the span of the secret that is noticed at s[at] by its
// looks, or an empty span. It may start before.
func lookalike(s []byte, at int) (from, to int) {
	switch c := s[at]; c {
	case 'J':
		if at >= 2 && s[at-1] == 'y' && s[at-2] == 'e' { // in the middle of a word too
			return at - 2, webToken(s, at-2)
		}
	case 'A':
		if starts(s, at) {
			for _, p := range without {
				if to = p.end(s, at); to > 0 {
					return at, to
				}
			}
		}
	case 'B', 'b':
		if starts(s, at) {
			return credential(s, at)
		}
	case '_', '-', '.':
		if c == '-' && at+2 < len(s) && s[at+1] == '-' && s[at+2] == '-' {
			return at, privateKey(s, at)
		}
		return key(s, at, c)
	default:
		if starts(s, at) {
			return at, cardNumber(s, at)
		}
	}
	return 0, 0
}

// key returns the span of the key whose prefix has its first punctuation at
// s[at].
func key(s []byte, at int, punctuation byte) (from, to int) {
	const shortest, longest = 2, 6 // of what stands before it
	n := 0
	for n <= longest && n < at && nameByte(s[at-1-n]) && s[at-1-n] != '-' && s[at-1-n] != '.' && s[at-1-n] != '_' {
		n++
	}
	if n < shortest || n > longest || !starts(s, at-n) {
		return 0, 0
	}
	for _, p := range prefixes[punctuation] {
		if to = p.end(s, at-n); to > 0 {
			return at - n, to
		}
	}
	return 0, 0
}

// end returns where the key ends that starts with the prefix at s[at], or 0.
func (p prefix) end(s []byte, at int) int {
	rest := at + len(p.text)
	if len(s) < rest+p.rest || string(s[at:rest]) != p.text {
		return 0
	}
	end := rest + run(s[rest:])
	if end-rest < p.rest {
		return 0
	}
	return end
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
