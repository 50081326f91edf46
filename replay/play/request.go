package play

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/redact"
)

const (
	headerIdempotency   = "Idempotency-Key"
	headerTraceparent   = "Traceparent"
	sampledTraceVersion = "00-%s-%s-01"
)

// dropped are headers that belong to the recorded connection, trace or
// request, in lower case.
var dropped = map[string]bool{
	// hop by hop (RFC 9110, section 7.6.1)
	"connection": true, "keep-alive": true, "proxy-connection": true, "proxy-authenticate": true,
	"proxy-authorization": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
	"http2-settings": true,
	// set anew
	"host": true, "content-length": true, "expect": true,
	// the recorded trace
	"traceparent": true, "tracestate": true, "baggage": true, "x-request-id": true, "x-trace-id": true,
	"b3": true, "x-b3-traceid": true, "x-b3-spanid": true, "x-b3-parentspanid": true, "x-b3-sampled": true,
	"x-b3-flags": true, "uber-trace-id": true, "x-amzn-trace-id": true, "x-cloud-trace-context": true,
	"grpc-trace-bin": true, "x-replay-of": true,
}

// refusal says why a request is not to be sent, or nothing.
func refusal(ex *replay.Exchange, o Options) string {
	r := ex.Request
	switch {
	case r.Method == "" || r.URL == "":
		return "the capture has no request line"
	case r.Method == http.MethodConnect || r.Body.State == replay.Upgraded || ex.Response.Body.State == replay.Upgraded:
		return "the connection left HTTP, and what followed was not captured"
	case o.Force:
		return ""
	case r.Body.Omitted != "":
		return "the request body was not kept: " + r.Body.Omitted
	case r.Body.State == replay.Truncated:
		return fmt.Sprintf("only the first %d bytes of the request body were captured", len(r.Body.Bytes))
	case r.Body.State == replay.Aborted:
		return "the request body was cut off while it was recorded"
	}
	return ""
}

// request makes a new request of the recorded one.
func (o Options) request(ctx context.Context, ex *replay.Exchange) (*http.Request, string, error) {
	target, err := o.address(ex)
	if err != nil {
		return nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, ex.Request.Method, target.String(), bytes.NewReader(ex.Request.Body.Bytes))
	if err != nil {
		return nil, "", &RefusedError{Reason: fmt.Sprintf("the recorded request is not valid: %v", err)}
	}
	req.URL = target // as it was recorded, not as String and Parse would have it
	if len(ex.Request.Body.Bytes) == 0 {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	}
	copyHeader(req.Header, ex.Request)
	if needsHTTP2(ex) {
		req.Header.Set("Te", "trailers") // required by gRPC over HTTP/2
	}
	if ex.Request.Header.Get(headerIdempotency) != "" {
		key, err := o.uuid()
		if err != nil {
			return nil, "", err
		}
		req.Header.Set(headerIdempotency, key)
	}
	traceID, err := o.link(req.Header, ex)
	if err != nil {
		return nil, "", err
	}
	for name, value := range o.Headers {
		if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	return req, traceID, nil
}

// address is where the request goes: the target, with the recorded path and
// query.
func (o Options) address(ex *replay.Exchange) (*url.URL, error) {
	escaped := ex.Request.Path()
	if !strings.HasPrefix(escaped, "/") && escaped != "*" {
		return nil, &RefusedError{Reason: fmt.Sprintf("the recorded path %q does not start with a slash", escaped)}
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, &RefusedError{Reason: fmt.Sprintf("the recorded path is not valid: %v", err)}
	}
	base := strings.TrimSuffix(o.Target.Path, "/")
	return &url.URL{
		Scheme: o.Target.Scheme, Host: o.Target.Host,
		Path: base + path, RawPath: (&url.URL{Path: base}).EscapedPath() + escaped,
		RawQuery: ex.Request.Query(),
	}, nil
}

// copyHeader copies what is to be sent again. A header whose value was
// redacted is left out: a pseudonym is no credential.
func copyHeader(dst http.Header, r replay.Request) {
	perHop := map[string]bool{}
	for _, v := range r.Header.Values("Connection") {
		for name := range strings.SplitSeq(v, ",") {
			perHop[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if dropped[lower] || perHop[lower] || lower == "content-encoding" && r.Body.Decoded != "" {
			continue
		}
		for _, v := range values {
			if !redact.In(v) {
				dst.Add(name, v)
			}
		}
	}
	if dst.Get("User-Agent") == "" {
		dst.Set("User-Agent", "") // net/http would name itself
	}
}

// link sets the headers of a new trace that points back to the recorded one.
func (o Options) link(h http.Header, ex *replay.Exchange) (traceID string, err error) {
	var spanID string
	if o.NewTrace != nil {
		traceID, spanID = o.NewTrace()
	} else {
		var ids [24]byte
		if _, err := io.ReadFull(o.Rand, ids[:]); err != nil {
			return "", fmt.Errorf("making a trace id: %w", err)
		}
		ids[15], ids[23] = ids[15]|1, ids[23]|1 // an id is never all zero
		traceID, spanID = hex.EncodeToString(ids[:16]), hex.EncodeToString(ids[16:])
	}
	h.Set(headerTraceparent, fmt.Sprintf(sampledTraceVersion, traceID, spanID))
	original := ex.ID
	baggage := replay.BaggageID + "=" + url.PathEscape(ex.ID)
	if _, ok := replay.ParseTraceID(ex.TraceID); ok {
		original = ex.TraceID
		baggage += "," + replay.BaggageTrace + "=" + ex.TraceID
		if len(ex.SpanID) == 2*8 {
			baggage += "," + replay.BaggageSpan + "=" + ex.SpanID
		}
	}
	h.Set("Baggage", baggage)
	if original != "" {
		h.Set(replay.HeaderOf, url.PathEscape(original))
	}
	return traceID, nil
}

// uuid makes a random UUID (RFC 9562, section 5.4).
func (o Options) uuid() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(o.Rand, b[:]); err != nil {
		return "", fmt.Errorf("making an idempotency key: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
