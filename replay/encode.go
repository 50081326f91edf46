package replay

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Version is the version of the JSON form, its field "v". Readers ignore
// fields that they do not know, so it changes only when a field changes its
// meaning.
const Version = 1

// AppendJSON appends the exchange as one line of JSON, without the newline.
// It starts with the version and the trace id, so that an index can be built
// from the first bytes of each line.
//
// It is written by hand because it runs for each request of a service; it
// agrees with encoding/json on the struct tags, which do the reading.
func (e *Exchange) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"v":`...)
	dst = strconv.AppendInt(dst, Version, 10)
	dst = appendField(dst, `,"trace_id":`, e.TraceID)
	dst = appendField(dst, `,"id":`, e.ID)
	dst = appendOptional(dst, `,"span_id":`, e.SpanID)
	dst = appendOptional(dst, `,"request_id":`, e.RequestID)
	dst = append(dst, `,"time":"`...)
	dst = e.Time.AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","duration_ns":`...)
	dst = strconv.AppendInt(dst, int64(e.Duration), 10)
	dst = appendOptional(dst, `,"service":`, e.Service)
	dst = appendRequest(append(dst, `,"request":`...), e.Request)
	dst = appendResponse(append(dst, `,"response":`...), e.Response)
	if len(e.Redacted) > 0 {
		dst = appendStrings(append(dst, `,"redacted":`...), e.Redacted)
	}
	return append(dst, '}')
}

// MarshalJSON is AppendJSON for encoding/json.
func (e *Exchange) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

func appendRequest(dst []byte, r Request) []byte {
	dst = appendField(dst, `{"method":`, r.Method)
	dst = appendField(dst, `,"url":`, r.URL)
	dst = appendOptional(dst, `,"host":`, r.Host)
	dst = appendOptional(dst, `,"proto":`, r.Proto)
	dst = appendOptional(dst, `,"route":`, r.Route)
	dst = appendHeader(dst, `,"header":`, r.Header)
	dst = appendBody(append(dst, `,"body":`...), r.Body)
	return append(dst, '}')
}

func appendResponse(dst []byte, r Response) []byte {
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = appendHeader(dst, `,"header":`, r.Header)
	dst = appendBody(append(dst, `,"body":`...), r.Body)
	dst = appendHeader(dst, `,"trailer":`, r.Trailer)
	return append(dst, '}')
}

func appendBody(dst []byte, b Body) []byte {
	dst = appendField(dst, `{"state":`, string(b.State))
	dst = append(dst, `,"size":`...)
	dst = strconv.AppendInt(dst, b.Size, 10)
	switch {
	case len(b.Bytes) == 0:
	case utf8.Valid(b.Bytes):
		dst = appendQuoted(append(dst, `,"text":`...), b.Bytes)
	default:
		dst = append(dst, `,"base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, b.Bytes)
		dst = append(dst, '"')
	}
	dst = appendOptional(dst, `,"decoded":`, b.Decoded)
	dst = appendOptional(dst, `,"omitted":`, b.Omitted)
	return append(dst, '}')
}

// appendHeader writes the fields in the order of their names, so that the
// same header gives the same line.
func appendHeader(dst []byte, prefix string, h http.Header) []byte {
	if len(h) == 0 {
		return dst
	}
	dst = append(dst, prefix...)
	var room [24]string
	names := slices.AppendSeq(room[:0], maps.Keys(h))
	slices.Sort(names)
	for i, name := range names {
		if i == 0 {
			dst = append(dst, '{')
		} else {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, name), ':')
		dst = appendStrings(dst, h[name])
	}
	return append(dst, '}')
}

func appendStrings(dst []byte, values []string) []byte {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, v)
	}
	return append(dst, ']')
}

func appendField(dst []byte, prefix, value string) []byte {
	return appendQuoted(append(dst, prefix...), value)
}

func appendOptional(dst []byte, prefix, value string) []byte {
	if value == "" {
		return dst
	}
	return appendField(dst, prefix, value)
}

// appendQuoted writes a JSON string (RFC 8259, section 7). Bytes that are no
// UTF-8 become U+FFFD, as encoding/json has it.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0 // s[start:i] is to be copied as it is
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf:
			i++
		case c < utf8.RuneSelf:
			dst = appendEscaped(append(dst, s[start:i]...), c)
			i++
			start = i
		default:
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), `\ufffd`...)
				start = i + 1
			}
			i += size
		}
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
