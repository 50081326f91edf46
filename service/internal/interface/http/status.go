package httpapi

import (
	"net/http"

	"example.com/goldenpath/service/internal/domain/problem"
)

// statusClientClosedRequest is nginx's word for a client that left before its
// answer. Nobody reads it but the access log and the metrics.
const statusClientClosedRequest = 499

// status is the one place where a public code becomes an HTTP status.
func status(code problem.Code) int {
	switch code {
	case problem.ValidationFailed, problem.InvalidJSON, problem.InvalidCursor:
		return http.StatusBadRequest
	case problem.BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case problem.UnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	case problem.RouteNotFound, problem.NoteNotFound:
		return http.StatusNotFound
	case problem.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case problem.RateLimited:
		return http.StatusTooManyRequests
	case problem.RequestCancelled:
		return statusClientClosedRequest
	case problem.DatabaseUnavailable:
		return http.StatusServiceUnavailable
	case problem.DatabaseTimeout, problem.RequestTimeout:
		return http.StatusGatewayTimeout
	case problem.Internal:
		return http.StatusInternalServerError
	}
	return 0 // no code that exists; a test holds that, and fail sends 500
}
