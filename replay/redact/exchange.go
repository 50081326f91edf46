package redact

import (
	"encoding/binary"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/goldenpath/replay"
)

// maxPaths bounds [replay.Exchange.Redacted]; a body may hold more secrets
// than a reader wants to see listed.
const maxPaths = 64

// findings collects where secrets were found.
type findings struct {
	paths []string
}

func (f *findings) add(path string) {
	if n := len(f.paths); n >= maxPaths || n > 0 && f.paths[n-1] == path {
		return
	}
	f.paths = append(f.paths, path)
}

// Exchange replaces the secrets of an exchange in place and appends where they
// were to its Redacted. Bodies are not changed in place: where one changes, it
// gets new bytes.
func (p *Policy) Exchange(ex *replay.Exchange) {
	f := findings{paths: ex.Redacted}
	if id, hit := p.plain(ex.RequestID); hit {
		ex.RequestID = id
		f.add("request_id")
	}
	ex.Request.URL = p.target(ex.Request.URL, &f)
	p.header(ex.Request.Header, "request.header.", &f)
	ex.Request.Body = p.body(ex.Request.Body, ex.Request.Header, "request.body", &f)
	p.response(&ex.Response, &f)
	slices.Sort(f.paths) // headers come in no order
	ex.Redacted = slices.Compact(f.paths)
}

// Response replaces the secrets of a response that was not recorded, such as
// that of a replay before it is shown. The headers are changed in place.
func (p *Policy) Response(r *replay.Response) { p.response(r, &findings{}) }

func (p *Policy) response(r *replay.Response, f *findings) {
	p.header(r.Header, "response.header.", f)
	p.header(r.Trailer, "response.trailer.", f)
	r.Body = p.body(r.Body, r.Header, "response.body", f)
}

// plain redacts a short text that has no name.
func (p *Policy) plain(s string) (redacted string, hit bool) {
	if !p.holds(s) {
		return s, false
	}
	out, hit := p.text([]byte(s)) // which may have been redacted before
	return string(out), hit
}

// target redacts path and query of a request line.
func (p *Policy) target(target string, f *findings) string {
	path, query, hasQuery := strings.Cut(target, "?")
	if p.holds(path) || strings.IndexByte(path, '%') >= 0 {
		segments := strings.Split(path, "/")
		for i, segment := range segments {
			segments[i] = p.encoded(segment, "request.path", f)
		}
		path = strings.Join(segments, "/")
	}
	if !hasQuery {
		return path
	}
	redacted, _ := p.pairs([]byte(query), "request.query.", inQuery, f)
	return path + "?" + string(redacted)
}

// encoded redacts a percent-encoded text by its looks, as a whole.
func (p *Policy) encoded(s, path string, f *findings) string {
	plain := s
	if strings.IndexByte(s, '%') >= 0 {
		if u, err := url.PathUnescape(s); err == nil {
			plain = u
		}
	}
	if _, hit := p.text([]byte(plain)); !hit {
		return s
	}
	f.add(path)
	return string(p.pseudonym(nil, []byte(plain)))
}

// body redacts one body by what its headers say and what its bytes look like.
func (p *Policy) body(b replay.Body, h http.Header, path string, f *findings) replay.Body {
	if len(b.Bytes) == 0 {
		return b
	}
	if encoding := strings.Join(h.Values("Content-Encoding"), ","); encoding != "" {
		plain, err := b.Decode(encoding, p.maxDecoded)
		if err != nil {
			return omit(b, "its content coding "+encoding+" cannot be undone, so it cannot be redacted", path, f)
		}
		b = plain
	}
	mediaType := h.Get("Content-Type")
	var params map[string]string
	if mediaType != "application/json" { // which most are
		mediaType, params, _ = mime.ParseMediaType(mediaType)
	}
	if p.vouched(mediaType) {
		return b
	}
	partial := b.State != replay.Full
	if strings.HasPrefix(mediaType, "multipart/") && params["boundary"] != "" {
		b.Bytes = p.multipart(b.Bytes, params["boundary"], partial, path, f)
		return b
	}
	if opaqueType(mediaType) || !isText(b.Bytes, partial) {
		kind := mediaType
		if kind == "" {
			kind = "of unknown type"
		}
		return omit(b, "it is binary ("+kind+"), so it cannot be redacted", path, f)
	}
	b.Bytes = p.readable(b.Bytes, mediaType, partial, path, f)
	return b
}

// readable redacts a body of text in the way of its type.
func (p *Policy) readable(data []byte, mediaType string, partial bool, path string, f *findings) []byte {
	switch {
	case mediaType == "application/x-www-form-urlencoded":
		out, _ := p.pairs(data, path+".", inBody, f)
		if partial {
			out = p.cutTail(out, path, f)
		}
		return out
	case mediaType == "text/event-stream":
		return p.events(data, partial, path, f)
	case looksLikeJSON(data):
		if out, ok := p.json(data, partial, path, 0, f); ok {
			return out
		}
	}
	out, hit := p.text(data)
	if hit {
		f.add(path)
	}
	if partial {
		out = p.cutTail(out, path, f)
	}
	return out
}

func omit(b replay.Body, why, path string, f *findings) replay.Body {
	f.add(path)
	b.Bytes, b.Omitted = nil, why
	return b
}

func (p *Policy) vouched(mediaType string) bool {
	for _, keep := range p.keep {
		if family, ok := strings.CutSuffix(keep, "*"); ok && strings.HasPrefix(mediaType, family) || keep == mediaType {
			return true
		}
	}
	return false
}

// opaqueType reports whether bodies of the type are binary even where they
// happen to look like text.
func opaqueType(mediaType string) bool {
	for _, mark := range [...]string{"application/grpc", "application/proto", "protobuf", "+proto", "msgpack", "cbor"} {
		if strings.Contains(mediaType, mark) {
			return !strings.HasSuffix(mediaType, "json")
		}
	}
	return false
}

// isText reports whether the bytes are UTF-8 without control characters. Of a
// body that was cut the last rune may be cut too.
func isText(data []byte, partial bool) bool {
	for i := 0; i < len(data); {
		if len(data)-i >= 8 && printable(binary.LittleEndian.Uint64(data[i:])) {
			i += 8
			continue
		}
		c := data[i]
		switch {
		case c >= ' ' && c < 0x7f:
			i++
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size == 1 {
				return partial && !utf8.FullRune(data[i:])
			}
			i += size
		case c == '\n', c == '\r', c == '\t', c == '\f', c == '\b', c == 0x1b:
			i++
		default:
			return false
		}
	}
	return true
}

// printable reports whether all eight bytes are ASCII from the space to the
// tilde. Without a carry from byte to byte, taking a space from one sets its
// high bit if it is less, and adding one does if it is 0x7f; the high bit of a
// byte from 0x80 on is set already.
func printable(eight uint64) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	if eight&high != 0 {
		return false
	}
	less := (eight | high) - ' '*each // its high bit stays where the byte is no less
	return (^less|(eight+each))&high == 0
}

func looksLikeJSON(data []byte) bool {
	for _, c := range data {
		switch c {
		case ' ', '\t', '\n', '\r':
		default:
			return c == '{' || c == '[' || c == '"'
		}
	}
	return false
}
