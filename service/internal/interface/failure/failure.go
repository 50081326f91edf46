// Package failure is what every adapter in does with an error before it puts it
// into the words of its protocol: give it a public name, and log its cause once.
package failure

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/observability"
)

// Of finds the problem in err. The bare errors of an ended context get their
// names here; whatever else has none becomes internal.
func Of(err error) *problem.Error {
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return problem.Wrap(err, problem.RequestTimeout, "the request took longer than it may",
			"try again; if it goes on, look the trace_id up to see what was slow")
	case errors.Is(err, context.Canceled):
		return problem.Wrap(err, problem.RequestCancelled, "the client went away before the answer was ready",
			"give the client a longer time limit")
	}
	return problem.From(err)
}

// Report makes a failed request visible: its code goes to the access log, the
// metrics and the span of ctx, and what is not the client's doing is logged
// with its cause. Call it once for each failed request.
func Report(ctx context.Context, log *zap.Logger, p *problem.Error) {
	observability.SetErrorCode(ctx, string(p.Code))
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("error.code", string(p.Code)))
	level := zapcore.DebugLevel
	switch p.Code {
	case problem.Internal:
		level = zapcore.ErrorLevel
	case problem.DatabaseUnavailable, problem.DatabaseTimeout, problem.RequestTimeout:
		level = zapcore.WarnLevel
	}
	observability.Logger(ctx, log).Log(level, "request failed",
		zap.String("error_code", string(p.Code)), zap.String("error", p.Message),
		zap.String("hint", p.Hint), zap.NamedError("cause", p.Cause))
}
