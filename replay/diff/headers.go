package diff

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"example.com/goldenpath/replay/redact"
)

// headersThatMatter tell the client what the response is and what to do with
// it. All others are about the connection, the moment or the trace.
var headersThatMatter = []string{
	"Access-Control-Allow-Credentials", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Allow", "Cache-Control", "Content-Disposition",
	"Content-Encoding", "Content-Language", "Content-Location", "Content-Range", "Content-Security-Policy",
	"Content-Type", "Deprecation", "Grpc-Status", "Grpc-Message", "Link", "Location", "Proxy-Authenticate",
	"Retry-After", "Strict-Transport-Security", "Sunset", "Vary", "Www-Authenticate",
}

func (c *comparison) headers(recorded, replayed http.Header) {
	names := headersThatMatter
	if len(c.options.Headers) > 0 {
		names = slices.Clone(names)
		for _, extra := range c.options.Headers {
			if extra = http.CanonicalHeaderKey(extra); !slices.Contains(names, extra) {
				names = append(names, extra)
			}
		}
	}
	for _, name := range names {
		c.header("header.", name, recorded[name], replayed[name])
	}
}

// trailers compares the outcome of a gRPC call.
func (c *comparison) trailers(recorded, replayed http.Header) {
	for _, name := range []string{"Grpc-Status", "Grpc-Message"} {
		c.header("trailer.", name, recorded[name], replayed[name])
	}
}

func (c *comparison) header(prefix, name string, recorded, replayed []string) {
	path := prefix + strings.ToLower(name)
	was, is := strings.Join(recorded, ", "), strings.Join(replayed, ", ")
	if len(recorded) == len(replayed) && sameHeader(name, was, is) {
		return
	}
	switch {
	case len(recorded) == 0:
		c.add(path, KindHeader, nil, is)
	case len(replayed) == 0:
		c.add(path, KindHeader, was, nil)
	case redact.In(was) && sameAround(was, is):
		c.redacted(path)
	case !sameHeader(name, was, is):
		c.add(path, KindHeader, was, is)
	}
}

// sameHeader reports whether two values say the same.
func sameHeader(name, a, b string) bool {
	if a == b {
		return true
	}
	switch name {
	case "Content-Type":
		typeA, paramsA, errA := mime.ParseMediaType(a)
		typeB, paramsB, errB := mime.ParseMediaType(b)
		return errA == nil && errB == nil && typeA == typeB && mime.FormatMediaType(typeA, lowerCharset(paramsA)) ==
			mime.FormatMediaType(typeB, lowerCharset(paramsB))
	case "Allow", "Vary", "Cache-Control", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
		"Access-Control-Expose-Headers":
		return slices.Equal(members(a), members(b)) // lists without an order
	}
	return false
}

// lowerCharset: names of charsets have no case (RFC 9110, section 8.3.2).
func lowerCharset(params map[string]string) map[string]string {
	if v, ok := params["charset"]; ok {
		params["charset"] = strings.ToLower(v)
	}
	return params
}

func members(list string) []string {
	var out []string
	for m := range strings.SplitSeq(list, ",") {
		if m = strings.ToLower(strings.TrimSpace(m)); m != "" {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out
}
