package play

import (
	"fmt"
	"net/http"
	"strings"

	"example.com/goldenpath/replay"
)

// Fidelity says how much of a recorded request a replay reproduces.
type Fidelity struct {
	// Faithful is true where the request is sent as it was recorded, but for
	// what every replay changes.
	Faithful bool     `json:"faithful"`
	Reasons  []Reason `json:"reasons,omitempty"`
}

// Reason is one thing that a replay does not reproduce.
type Reason struct {
	Code   string `json:"code"`           // body_truncated, body_unread, body_aborted, body_omitted, redacted, content_coding
	Path   string `json:"path,omitempty"` // such as "request.header.authorization"
	Detail string `json:"detail"`
}

// Assess says what a replay of ex with these options does not reproduce. It
// tells nothing about the state of the service: who restores that, says so.
func Assess(ex *replay.Exchange, o Options) Fidelity {
	var f Fidelity
	add := func(code, path, detail string) {
		f.Reasons = append(f.Reasons, Reason{Code: code, Path: path, Detail: detail})
	}
	body := ex.Request.Body
	switch {
	case body.Omitted != "":
		add("body_omitted", "request.body", body.Omitted)
	case body.State == replay.Truncated:
		add("body_truncated", "request.body", fmt.Sprintf("only the first %d bytes were captured", len(body.Bytes)))
	case body.State == replay.Aborted:
		add("body_aborted", "request.body", "the client or the service cut it off while it was recorded")
	case body.State == replay.Unread:
		add("body_unread", "request.body", fmt.Sprintf("the service did not read past the first %d bytes", len(body.Bytes)))
	}
	if body.Decoded != "" {
		add("content_coding", "request.body", "it was sent with content coding "+body.Decoded+" and is sent without")
	}
	supplied := map[string]bool{}
	for name, value := range o.Headers {
		supplied["request.header."+strings.ToLower(name)] = value != ""
	}
	for _, path := range ex.Redacted {
		header, isHeader := strings.CutPrefix(path, "request.header.")
		switch {
		case !strings.HasPrefix(path, "request.") || supplied[path] || dropped[header] || body.Omitted != "" && path == "request.body":
		case isHeader && strings.EqualFold(header, headerIdempotency): // sent anew in any case
		case isHeader:
			add("redacted", path, "its value was redacted, so it is not sent")
		default:
			add("redacted", path, "it holds a secret that was redacted; a pseudonym is sent in its place")
		}
	}
	f.Faithful = len(f.Reasons) == 0
	return f
}

// Safe reports whether the request may be sent more than once without changing
// anything (RFC 9110, section 9.2.1).
func Safe(ex *replay.Exchange) bool {
	switch ex.Request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
