package redact

import (
	"bufio"
	"bytes"
	"mime"
	"net/textproto"
	"net/url"
	"strings"
)

// pairs redacts name=value pairs of a query or an urlencoded form. What is no
// secret keeps its encoding.
func (p *Policy) pairs(data []byte, path string, at place, f *findings) (out []byte, hit bool) {
	kept := 0 // data[:kept] is in out
	for start := 0; start <= len(data); {
		end := start + pairLength(data[start:])
		name, value, _ := bytes.Cut(data[start:end], []byte("="))
		if valueStart := start + len(name) + 1; len(value) > 0 && p.secretPair(name, value, at) {
			out = append(out, data[kept:valueStart]...)
			out = p.pseudonym(out, value)
			kept = end
			hit = true
			plain, _ := p.text([]byte(unescaped(name)))
			f.add(path + string(plain))
		} else if len(value) == 0 && len(name) > 0 && p.looksSecret(name) {
			out = append(out, data[kept:start]...)
			out = p.pseudonym(out, name)
			kept = end
			hit = true
			f.add(strings.TrimSuffix(path, "."))
		}
		start = end + 1
	}
	if !hit {
		return data, false
	}
	return append(out, data[kept:]...), true
}

// pairLength is how far the next & or ; is.
func pairLength(data []byte) int {
	if i := bytes.IndexAny(data, "&;"); i >= 0 {
		return i
	}
	return len(data)
}

func (p *Policy) secretPair(name, value []byte, at place) bool {
	return p.names.secret(unescaped(name), at) || p.looksSecret(value)
}

// looksSecret reports whether an encoded value is a secret by its looks.
func (p *Policy) looksSecret(encoded []byte) bool {
	plain := []byte(unescaped(encoded))
	if looksLikeJSON(plain) {
		if out, ok := p.json(plain, false, "", 0, &findings{}); ok {
			return !bytes.Equal(out, plain)
		}
	}
	_, hit := p.text(plain)
	return hit
}

func unescaped(b []byte) string {
	if bytes.IndexByte(b, '%') < 0 && bytes.IndexByte(b, '+') < 0 {
		return string(b)
	}
	if s, err := url.QueryUnescape(string(b)); err == nil {
		return s
	}
	return string(b)
}

// multipart redacts a multipart body (RFC 2046, section 5.1) part by part. A
// part whose name is secret, or whose content is binary, is cut.
func (p *Policy) multipart(data []byte, boundary string, partial bool, path string, f *findings) []byte {
	delimiter := []byte("--" + boundary)
	var out []byte
	rest := data
	for first := true; ; first = false {
		i := bytes.Index(rest, delimiter)
		if i < 0 {
			return p.part(out, rest, first, partial, path, f)
		}
		out = p.part(out, rest[:i], first, false, path, f)
		out = append(out, delimiter...)
		rest = rest[i+len(delimiter):]
	}
}

// part appends one part, from after its delimiter to before the next.
func (p *Policy) part(out, data []byte, preamble, cut bool, path string, f *findings) []byte {
	head, content, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if preamble || !ok {
		if len(bytes.Trim(data, "\r\n-")) == 0 {
			return append(out, data...) // nothing, or the end of the last delimiter
		}
		f.add(path)
		return p.pseudonym(out, data)
	}
	header, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(
		strings.TrimLeft(string(head), "\r\n") + "\r\n\r\n"))).ReadMIMEHeader()
	_, params, _ := mime.ParseMediaType(header.Get("Content-Disposition"))
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	name := params["name"]
	if name == "" {
		name = "part"
	}
	out = append(append(out, head...), "\r\n\r\n"...)
	body, end := bytes.TrimSuffix(content, []byte("\r\n")), ""
	if len(body) < len(content) {
		end = "\r\n"
	}
	switch {
	case len(body) == 0:
	case p.names.secret(name, inBody), opaqueType(mediaType), !isText(body, cut), header.Get("Content-Transfer-Encoding") != "":
		f.add(path + "." + name)
		out = p.pseudonym(out, body)
	default:
		out = append(out, p.readable(body, mediaType, cut, path+"."+name, f)...)
	}
	return append(out, end...)
}

// events redacts server-sent events: JSON in the data lines by its names, the
// other lines as text.
func (p *Policy) events(data []byte, partial bool, path string, f *findings) []byte {
	out := make([]byte, 0, len(data))
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		cut := partial && !whole
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok && looksLikeJSON(value) {
			out = append(out, "data:"...)
			line = value
		}
		out = append(out, p.readable(line, "", cut, path, f)...)
		if whole {
			out = append(out, '\n')
		}
		data = rest
	}
	return out
}
