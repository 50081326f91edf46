package rpc

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/interface/failure"
	"example.com/goldenpath/service/internal/observability"
)

// errorDomain says who the codes in ErrorInfo belong to (google.rpc.ErrorInfo,
// field domain).
const errorDomain = "notes.v1"

// status is the one place where a public code becomes a Connect code.
func status(code problem.Code) connect.Code {
	switch code {
	case problem.ValidationFailed, problem.InvalidJSON, problem.InvalidCursor, problem.UnsupportedMediaType:
		return connect.CodeInvalidArgument
	case problem.BodyTooLarge, problem.RateLimited:
		return connect.CodeResourceExhausted
	case problem.RouteNotFound, problem.MethodNotAllowed:
		return connect.CodeUnimplemented
	case problem.NoteNotFound:
		return connect.CodeNotFound
	case problem.RequestCancelled:
		return connect.CodeCanceled
	case problem.DatabaseUnavailable:
		return connect.CodeUnavailable
	case problem.DatabaseTimeout, problem.RequestTimeout:
		return connect.CodeDeadlineExceeded
	case problem.Internal:
		return connect.CodeInternal
	}
	return 0 // no code that exists; a test holds that, and refusal sends CodeInternal
}

// translated is the interceptor that reports a failed call and puts its error
// into Connect's words.
func translated(log *zap.Logger) func(connect.UnaryFunc) connect.UnaryFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			answer, err := next(ctx, r)
			if err != nil {
				p := failure.Of(err)
				failure.Report(ctx, log, p)
				return nil, refusal(ctx, p)
			}
			return answer, nil
		}
	}
}

// Refuse answers p to a call that did not reach its procedure, in the protocol
// of the call.
func (d *Door) Refuse(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	ctx := r.Context()
	failure.Report(ctx, d.log, p)
	if err := d.writer.Write(w, r, refusal(ctx, p)); err != nil {
		observability.Logger(ctx, d.log).Debug("the answer was not taken", zap.Error(err))
	}
}

// refusal is p as a Connect error: the code, the message, and as details what
// the HTTP envelope says besides.
func refusal(ctx context.Context, p *problem.Error) *connect.Error {
	code := status(p.Code)
	if code == 0 {
		code = connect.CodeInternal
	}
	e := connect.NewError(code, errors.New(p.Message))
	traceID, _ := observability.TraceIDs(ctx)
	attach(e, &errdetails.ErrorInfo{
		Reason: string(p.Code),
		Domain: errorDomain,
		Metadata: map[string]string{
			"hint":                       p.Hint,
			observability.TraceIDField:   traceID,
			observability.RequestIDField: observability.RequestID(ctx),
		},
	})
	if len(p.Fields) > 0 {
		refused := &errdetails.BadRequest{}
		for _, f := range p.Fields {
			refused.FieldViolations = append(refused.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: f.Name, Description: f.Reason})
		}
		attach(e, refused)
	}
	return e
}

func attach(e *connect.Error, detail proto.Message) {
	// A message that cannot be encoded holds text that is not UTF-8; the error
	// goes out without it.
	if d, err := connect.NewErrorDetail(detail); err == nil {
		e.AddDetail(d)
	}
}
