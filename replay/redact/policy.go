// Package redact takes secrets out of captured exchanges before anything else
// sees them.
//
// A secret is known by its name (a header, a query parameter, a JSON or form
// field, at any depth and in any spelling) or by its looks (bearer and basic
// credentials, JSON web tokens, well-known key prefixes, private keys,
// passwords in URLs, payment card numbers). It is replaced by a pseudonym such
// as "[redacted:5f2a91c4]": a hash under a key that lives as long as the
// process, so that equal secrets stay equal within a capture and nobody can
// guess their way back.
//
// Where the package cannot look, it cuts: a body in an unknown coding or in a
// binary format is thrown away unless its media type was vouched for, and of a
// body that was captured in part the last token goes too, since half a secret
// has no shape to be known by.
//
// What is kept, is kept byte for byte: numbers are never parsed.
package redact

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Options adapt a policy. The zero Options are the default policy.
type Options struct {
	// Names are further names whose values are secret. A name matches wherever
	// it stands in another, without case and punctuation.
	Names []string
	// Allow are names that are no secret although a rule says so.
	Allow []string
	// KeepTypes are media types of binary bodies that are stored as they are,
	// such as "application/proto"; "image/*" stands for a family. The caller
	// vouches that they carry no secrets.
	KeepTypes []string
	// Key keys the pseudonyms. Leave it nil for a fresh random key; set it in
	// tests. It must stay out of any file.
	Key []byte
	// MaxDecoded bounds a body after its content coding was undone, in bytes;
	// 1 MiB if zero.
	MaxDecoded int
}

// Policy redacts. It is safe for use by several goroutines.
type Policy struct {
	names      names
	keep       []string
	key        []byte
	maxDecoded int

	harmlessKeys, harmlessHeaders memo
}

// New makes a policy.
func New(o Options) *Policy {
	p := &Policy{
		names:      newNames(o.Names, o.Allow),
		key:        append([]byte(nil), o.Key...),
		maxDecoded: o.MaxDecoded,
	}
	for _, t := range o.KeepTypes {
		p.keep = append(p.keep, strings.ToLower(t))
	}
	if len(p.key) == 0 {
		p.key = make([]byte, 32)
		// crypto/rand.Read ends the process rather than return an error.
		_, _ = rand.Read(p.key)
	}
	if p.maxDecoded <= 0 {
		p.maxDecoded = 1 << 20
	}
	return p
}

const (
	open  = "[redacted:"
	width = len(open) + 8 + 1
)

// pseudonym appends what stands for the secret. A pseudonym stands for itself.
func (p *Policy) pseudonym(dst, secret []byte) []byte {
	if Is(string(secret)) {
		return append(dst, secret...)
	}
	var room [256]byte
	sum := sha256.Sum256(append(append(room[:0], p.key...), secret...))
	dst = append(dst, open...)
	dst = hex.AppendEncode(dst, sum[:4])
	return append(dst, ']')
}

// Is reports whether the text is one pseudonym and nothing else.
func Is(text string) bool {
	return len(text) == width && marker(text) == 0
}

// In reports whether a pseudonym stands anywhere in the text.
func In(text string) bool { return marker(text) >= 0 }

// Fragments returns what stands around the pseudonyms of a text: one more
// fragment than there are pseudonyms.
func Fragments(text string) []string {
	var parts []string
	for {
		i := marker(text)
		if i < 0 {
			return append(parts, text)
		}
		parts = append(parts, text[:i])
		text = text[i+width:]
	}
}

// marker returns where the first pseudonym starts, or -1.
func marker(text string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], open)
		if i < 0 {
			return -1
		}
		i += from
		if len(text)-i < width {
			return -1
		}
		if text[i+width-1] == ']' && hexDigits(text[i+len(open):i+width-1]) {
			return i
		}
		from = i + len(open)
	}
}

func hexDigits(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
