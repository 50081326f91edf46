// Package problem holds the one error type that the service shows to its
// clients: a registered code, a sentence, a hint, and the cause that is logged
// but never sent.
package problem

import (
	"errors"
	"fmt"
)

// Code is a public, stable name of what went wrong. Adapters map it to a
// status of their protocol; clients may branch on it.
type Code string

// The codes of the service. A code is never renamed once released.
const (
	ValidationFailed     Code = "validation_failed"
	InvalidJSON          Code = "invalid_json"
	InvalidCursor        Code = "invalid_cursor"
	BodyTooLarge         Code = "body_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	RouteNotFound        Code = "route_not_found"
	MethodNotAllowed     Code = "method_not_allowed"
	NoteNotFound         Code = "note_not_found"
	RateLimited          Code = "rate_limited"
	RequestTimeout       Code = "request_timeout"
	RequestCancelled     Code = "request_cancelled"
	DatabaseUnavailable  Code = "database_unavailable"
	DatabaseTimeout      Code = "database_timeout"
	Internal             Code = "internal"
)

// Field is one value of a request that was refused.
type Field struct {
	Name   string // as the client wrote it, "title" or "tags[2]"
	Reason string // "must be at most 200 characters"
}

// Error is a failure with a public face. Code, Message, Hint and Fields are for
// the client; Cause is for the log.
type Error struct {
	Code    Code
	Message string // what happened, in what; lower case, no full stop
	Hint    string // the next thing to do
	Fields  []Field
	Cause   error
}

// New returns an Error without a cause.
func New(code Code, message, hint string) *Error {
	return &Error{Code: code, Message: message, Hint: hint}
}

// Wrap returns an Error that keeps its cause for errors.Is and the log.
func Wrap(cause error, code Code, message, hint string) *Error {
	return &Error{Code: code, Message: message, Hint: hint, Cause: cause}
}

// Invalid returns the error of a request whose fields were refused.
func Invalid(fields ...Field) *Error {
	return &Error{
		Code:    ValidationFailed,
		Message: "the request has fields that are not valid",
		Hint:    "mend the fields listed and send the request again",
		Fields:  fields,
	}
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is says that two problems are the same when their codes are.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// From finds the Error in err's chain; any other error becomes Internal with
// err as its cause, so that nothing unnamed reaches a client.
func From(err error) *Error {
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	return Wrap(err, Internal, "something failed that has no name yet",
		"look the trace_id up in the logs; the cause stands there")
}
