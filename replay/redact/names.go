package redact

import (
	"strings"
	"unicode/utf8"
)

// place is where a name stands: the same word means less in a body, where
// anything may be called "key", than in a header or a query.
type place int

const (
	inBody place = iota
	inHeader
	inQuery
)

// names decides by its name whether a value is a secret.
//
// A name is compared without case and punctuation, and with the letters that
// Unicode folds to ASCII folded as encoding/json folds them: a server that
// reads "paſſword" as a password must not leak it here.
type names struct {
	extra []string            // further substrings that make a name secret
	allow map[string]struct{} // compact names that are not secret
}

func newNames(extra, allow []string) names {
	n := names{allow: make(map[string]struct{}, len(harmless)+len(allow))}
	for _, name := range harmless {
		n.allow[name] = struct{}{}
	}
	for _, name := range allow {
		n.allow[string(split(nil, name).compact)] = struct{}{}
	}
	for _, name := range extra {
		if c := string(split(nil, name).compact); c != "" {
			n.extra = append(n.extra, c)
		}
	}
	return n
}

// harmless are compact names that a rule below would call secret: page
// cursors, counts of a language model's tokens, keys that open nothing.
var harmless = [...]string{
	"pagetoken", "nextpagetoken", "previouspagetoken", "prevpagetoken", "nexttoken", "continuationtoken", "synctoken",
	"tokentype", "tokencount", "tokenscount", "tokensused", "maxtokens", "totaltokens", "prompttokens",
	"completiontokens", "inputtokens", "outputtokens",
	"idempotencykey", "xidempotencykey", "surrogatekey", "secwebsocketkey", "cachekey", "xcachekey",
	"cookieconsent", "statuscode",
}

// fragments make a name secret wherever they stand in it, by first letter.
// They are long enough to be no accident in a word that was run together.
var fragments = [26][]string{
	0:         {"apikey", "accesskey", "authkey", "authorization", "authcode"},
	'b' - 'a': {"bearer"},
	'c' - 'a': {"credential", "cookie", "creditcard", "cardnumber", "cardno", "clientcert"},
	'e' - 'a': {"encryptionkey"},
	'm' - 'a': {"masterkey", "mnemonic"},
	'o' - 'a': {"onetimecode"},
	'p' - 'a': {"password", "passwd", "passphrase", "passcode", "privatekey", "pincode"},
	'r' - 'a': {"recoverycode"},
	's' - 'a': {"secret", "sessionid", "sessionkey", "signingkey", "securitycode", "socialsecurity", "signature"},
	't' - 'a': {"token"},
	'v' - 'a': {"verificationcode"},
}

// secretWord reports whether a whole word of a name makes it secret.
func secretWord(word string) bool {
	switch word {
	case "pwd", "pass", "pin", "otp", "totp", "cvv", "cvv2", "cvc", "csc", "ssn", "sid", "jwt", "auth", "csrf", "xsrf", "sig", "hmac":
		return true
	}
	return false
}

// benignKey reports whether a word before "key" says that it is no secret.
func benignKey(word string) bool {
	switch word {
	case "primary", "foreign", "sort", "partition", "public", "cache", "routing", "object", "row", "map", "group",
		"order", "message", "translation", "i18n", "dedup", "dedupe", "deduplication", "unique", "natural",
		"surrogate", "composite", "idempotency", "lookup", "index", "shard", "hash", "range", "project", "issue":
		return true
	}
	return false
}

// secret reports whether the value of a thing with this name must go.
func (n names) secret(name string, at place) bool {
	var room [64]byte
	w := split(room[:0], name)
	if !n.hasFragment(w.compact) && !w.hasSecretWord(at) {
		return false
	}
	_, allowed := n.allow[string(w.compact)]
	return !allowed
}

// tooShort reports whether a name has fewer letters than any that is secret,
// which spares a look at each colon of a time of day.
func (n names) tooShort(name []byte) bool {
	const shortest = 3
	letters := 0
	for _, c := range name {
		if c >= 'A' {
			if letters++; letters == shortest {
				return false
			}
		}
	}
	return len(n.extra) == 0 || len(name) == 0
}

func (n names) hasFragment(compact []byte) bool {
	for i, c := range compact {
		if c < 'a' { // a digit
			continue
		}
		for _, f := range fragments[c-'a'] {
			if len(compact)-i >= len(f) && string(compact[i:i+len(f)]) == f {
				return true
			}
		}
	}
	for _, f := range n.extra {
		if strings.Contains(string(compact), f) {
			return true
		}
	}
	return false
}

// words is a name in lower case without punctuation, and where each of its
// words starts. Only the first words of a very long name are told apart.
type words struct {
	compact []byte
	starts  [12]int
	count   int
}

func (w *words) at(i int) string {
	end := len(w.compact)
	if i+1 < w.count {
		end = w.starts[i+1]
	}
	return string(w.compact[w.starts[i]:end])
}

func (w *words) hasSecretWord(at place) bool {
	for i := range w.count {
		word := w.at(i)
		if secretWord(word) {
			return true
		}
		switch word {
		case "key", "keys":
			if at != inBody || i > 0 && i == w.count-1 && !benignKey(w.at(i-1)) {
				return true
			}
		case "code":
			// The authorization code of OAuth 2.0 (RFC 6749, section 4.1.2).
			if at == inQuery && w.count == 1 {
				return true
			}
		}
	}
	return false
}

// split takes a name apart at punctuation and at the humps of camel case.
// It appends the compact name to room.
func split(room []byte, name string) words {
	w := words{compact: room}
	fresh := true // the next letter starts a word
	before := '_' // the character before
	for i := 0; i < len(name); {
		r, size := rune(name[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(name[i:])
		}
		next := i + size
		letter := fold(r)
		if letter == 0 {
			fresh, before, i = true, r, next
			continue
		}
		if upper(r) {
			hump := !upper(before)
			// In "APIKey" the K starts a word although an upper case letter stands before it.
			last := !hump && next < len(name) && name[next] >= 'a' && name[next] <= 'z'
			fresh = fresh || hump || last
		}
		if fresh && w.count < len(w.starts) {
			w.starts[w.count] = len(w.compact)
			w.count++
		}
		w.compact = append(w.compact, letter)
		fresh, before, i = false, r, next
	}
	return w
}

// upper reports whether r is upper case; only letters that fold to ASCII count.
func upper(r rune) bool { return r >= 'A' && r <= 'Z' || r == 'K' }

// fold gives the lower-case ASCII letter or digit that r stands for, or 0.
func fold(r rune) byte {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return byte(r)
	case r >= 'A' && r <= 'Z':
		return byte(r - 'A' + 'a')
	case r == 'ſ': // U+017F, folds to s
		return 's'
	case r == 'K': // U+212A, the Kelvin sign, folds to k
		return 'k'
	}
	return 0
}
