package gateway

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The codes of the gateway's own answers, in the envelope of the service.
const (
	CodeNoBackend   = "gateway_no_backend"   // 503: none came up while the request waited
	CodeOverloaded  = "gateway_overloaded"   // 503: too many requests wait
	CodeBackendLost = "gateway_backend_lost" // 502: the backend broke the connection
	CodeBadAnswer   = "gateway_bad_answer"   // 502: the backend's answer cannot be passed on
	CodeBadRequest  = "gateway_bad_request"  // 400: the request's body broke off
)

// refusal is an answer of the gateway's own.
type refusal struct {
	status  int
	code    string
	message string
	dropped bool // a reload or a lost backend is to blame
	event   EventKind
}

// refuse answers a request that no backend has answered. It is the proxy's
// error handler: nothing was written yet.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, cause error) {
	var broken *brokenBodyError
	if r.Context().Err() != nil && !errors.As(cause, &broken) {
		// The client went away, or Shutdown cut it. To return would be to say 200 to
		// a client that has only closed its sending side.
		panic(http.ErrAbortHandler)
	}
	f := flightOf(r)
	a := f.classify(cause)
	if a.dropped {
		g.dropped.Add(1)
	}
	if a.event != "" {
		g.event(f.describe(a.event, cause))
	}
	g.answer(w, r, a)
}

func (f *flight) classify(cause error) refusal {
	var broken *brokenBodyError
	var lost *lostError
	switch {
	case errors.Is(cause, errNoBackend):
		message := fmt.Sprintf("no build of the service is serving; the request waited for %s", f.gateway.config.HoldTimeout)
		if f.unreachable != nil {
			message += ": " + f.unreachable.Error()
		}
		return refusal{http.StatusServiceUnavailable, CodeNoBackend, message, true, Refused}
	case errors.Is(cause, errHolding):
		return refusal{http.StatusServiceUnavailable, CodeNoBackend, errHolding.Error(), true, Refused}
	case errors.Is(cause, errTooMany):
		message := fmt.Sprintf("no build of the service is serving and %d requests wait for one already", f.gateway.config.MaxHeld)
		return refusal{http.StatusServiceUnavailable, CodeOverloaded, message, true, Refused}
	case errors.Is(cause, errClosing):
		return refusal{http.StatusServiceUnavailable, CodeNoBackend, errClosing.Error(), false, Refused}
	case errors.As(cause, &broken):
		return refusal{http.StatusBadRequest, CodeBadRequest, broken.Error(), false, ""}
	case errors.As(cause, &lost):
		message := "the service broke the connection while it was at work on this request, which may be done in part: " + lost.cause.Error()
		return refusal{http.StatusBadGateway, CodeBackendLost, message, true, Lost}
	}
	return refusal{http.StatusBadGateway, CodeBadAnswer, "the service's answer cannot be passed on: " + cause.Error(), false, ""}
}

type envelope struct {
	Data  any           `json:"data"`
	Error envelopeError `json:"error"`
	Meta  envelopeMeta  `json:"meta"`
}

type envelopeError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

type envelopeMeta struct {
	TraceID   string `json:"trace_id"`
	RequestID string `json:"request_id"`
}

// answer writes a in the service's envelope. gRPC and Connect clients take the
// status for their code "unavailable", so that one form serves all.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, a refusal) {
	meta := envelopeMeta{TraceID: traceID(r.Header.Get("Traceparent")), RequestID: requestID(r.Header.Get("X-Request-Id"))}
	if meta.TraceID == "" {
		meta.TraceID = g.freshID()
	}
	if meta.RequestID == "" {
		meta.RequestID = g.freshID()
	}
	body, err := json.Marshal(envelope{Error: envelopeError{a.code, a.message, g.config.Hint}, Meta: meta})
	if err != nil { // cannot be: strings alone
		body = nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Trace-Id", meta.TraceID)
	h.Set("X-Request-Id", meta.RequestID)
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// The body was not read to its end, and where the next request begins may
		// not be known.
		h.Set("Connection", "close")
	}
	if a.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(append(body, '\n')) // to a client that may be gone
}

// freshID returns 16 random bytes in hexadecimal, the form of a trace id.
func (g *Gateway) freshID() string {
	var id [16]byte
	g.idSeed.Lock()
	defer g.idSeed.Unlock()
	if _, err := io.ReadFull(g.config.Rand, id[:]); err != nil {
		id[15] = 1 // an id of zeros is not valid (W3C Trace Context, 3.2.2.3)
	}
	return hex.EncodeToString(id[:])
}

// traceID takes the trace id out of a traceparent header (W3C Trace Context,
// 3.2.2), or returns "".
func traceID(parent string) string {
	parts := strings.Split(parent, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || strings.Trim(parts[1], "0") == "" {
		return ""
	}
	if strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}

// requestID returns id if it is fit to be said again, else "".
func requestID(id string) string {
	if len(id) > 128 {
		return ""
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return ""
		}
	}
	return id
}
