package replay

import (
	"net/http"
	"time"
)

// Exchange is one request and the response to it, as the server saw them.
//
// Whoever holds an Exchange owns it and everything that it points to: the
// recorder hands over copies and keeps nothing.
type Exchange struct {
	// TraceID and SpanID are the W3C ids of the server span in lower-case hex,
	// 32 and 16 digits, or empty where the request was not traced.
	TraceID string `json:"trace_id"`
	// ID names this exchange alone; several exchanges may share a trace.
	// See [NewID].
	ID        string `json:"id"`
	SpanID    string `json:"span_id,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	// Time is when the request reached the recorder.
	Time time.Time `json:"time"`
	// Duration is from there until the handler was done.
	Duration time.Duration `json:"duration_ns"`
	Service  string        `json:"service,omitempty"`
	Request  Request       `json:"request"`
	Response Response      `json:"response"`
	// Redacted lists the places where a secret was replaced, such as
	// "request.header.authorization" or "response.body.data.token".
	Redacted []string `json:"redacted,omitempty"`
}

// Request is the request as it arrived, before any handler changed it.
type Request struct {
	Method string `json:"method"`
	// URL is the path and the query, as on the request line.
	URL   string `json:"url"`
	Host  string `json:"host,omitempty"`
	Proto string `json:"proto,omitempty"`
	// Route is the pattern that the router matched, where it told.
	Route  string      `json:"route,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Body   Body        `json:"body"`
}

// Response is what the handler answered. Status is 0 where a handler failed
// before it answered.
type Response struct {
	Status  int         `json:"status"`
	Header  http.Header `json:"header,omitempty"`
	Body    Body        `json:"body"`
	Trailer http.Header `json:"trailer,omitempty"`
}

// Path returns the URL without its query.
func (r Request) Path() string {
	for i := 0; i < len(r.URL); i++ {
		if r.URL[i] == '?' {
			return r.URL[:i]
		}
	}
	return r.URL
}

// Query returns what follows the first question mark of the URL, undecoded.
func (r Request) Query() string {
	if path := r.Path(); len(path) < len(r.URL) {
		return r.URL[len(path)+1:]
	}
	return ""
}

// Finished is when the handler was done.
func (e *Exchange) Finished() time.Time { return e.Time.Add(e.Duration) }
