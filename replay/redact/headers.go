package redact

import (
	"net/http"
	"strings"
)

// header redacts the values of a header in place.
func (p *Policy) header(h http.Header, path string, f *findings) {
	for name, values := range h {
		secret := p.secretHeader(name)
		for i, v := range values {
			redacted, hit := p.headerValue(name, v, secret)
			if hit {
				values[i] = redacted
				f.add(path + strings.ToLower(name))
			}
		}
	}
}

func (p *Policy) secretHeader(name string) bool {
	var room [memoName]byte
	short := append(room[:0], name...)
	if p.harmlessHeaders.has(short) {
		return false
	}
	secret := p.names.secret(name, inHeader)
	if !secret {
		p.harmlessHeaders.add(short)
	}
	return secret
}

func (p *Policy) headerValue(name, value string, secret bool) (string, bool) {
	if value == "" {
		return value, false
	}
	if !secret {
		return p.plain(value)
	}
	switch strings.ToLower(name) {
	case "authorization", "proxy-authorization":
		return p.credentials(value), true
	case "cookie":
		return p.cookies(value, true), true
	case "set-cookie":
		return p.cookies(value, false), true
	}
	return string(p.pseudonym(nil, []byte(value))), true
}

// credentials keeps the scheme of an Authorization header (RFC 9110, section
// 11.6.2) where it is one that people know; any other word may be the secret.
func (p *Policy) credentials(value string) string {
	scheme, rest, ok := strings.Cut(value, " ")
	if ok {
		switch strings.ToLower(scheme) {
		case "basic", "bearer", "digest", "token", "apikey", "negotiate", "dpop", "aws4-hmac-sha256":
			return scheme + " " + string(p.pseudonym(nil, []byte(rest)))
		}
	}
	return string(p.pseudonym(nil, []byte(value)))
}

// cookies keeps the names of cookies, and the attributes of a Set-Cookie
// (RFC 6265, sections 4.1 and 4.2).
func (p *Policy) cookies(value string, all bool) string {
	var out []byte
	for i, part := range strings.Split(value, ";") {
		if i > 0 {
			out = append(out, ';')
		}
		name, secret, ok := strings.Cut(part, "=")
		switch {
		case i > 0 && !all:
			plain, _ := p.text([]byte(part))
			out = append(out, plain...)
		case ok:
			out = append(append(out, name...), '=')
			out = p.pseudonym(out, []byte(secret))
		default:
			out = p.pseudonym(out, []byte(part))
		}
	}
	return string(out)
}
