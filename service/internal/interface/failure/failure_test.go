package failure

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/observability"
)

func TestOf(t *testing.T) {
	named := problem.New(problem.NoteNotFound, "there is no such note", "list them")
	for _, tc := range []struct {
		fact string
		err  error
		want problem.Code
	}{
		{"a problem keeps its name", named, problem.NoteNotFound},
		{"a problem that was wrapped keeps its name", fmt.Errorf("get: %w", named), problem.NoteNotFound},
		{"a problem with the error of a context for its cause keeps its name",
			problem.Wrap(context.DeadlineExceeded, problem.DatabaseTimeout, "slow", "wait"), problem.DatabaseTimeout},
		{"a deadline is request_timeout", fmt.Errorf("get: %w", context.DeadlineExceeded), problem.RequestTimeout},
		{"a cancellation is request_cancelled", fmt.Errorf("get: %w", context.Canceled), problem.RequestCancelled},
		{"anything else is internal", errors.New("boom"), problem.Internal},
	} {
		t.Run(tc.fact, func(t *testing.T) {
			p := Of(tc.err)
			if p.Code != tc.want || p.Hint == "" {
				t.Errorf("Of = %+v", p)
			}
			if p.Code != problem.NoteNotFound && p.Unwrap() == nil {
				t.Errorf("the cause is lost: %v", p)
			}
		})
	}
}

func TestReport(t *testing.T) {
	for code, want := range map[problem.Code]zapcore.Level{
		problem.Internal:            zapcore.ErrorLevel,
		problem.DatabaseUnavailable: zapcore.WarnLevel,
		problem.DatabaseTimeout:     zapcore.WarnLevel,
		problem.RequestTimeout:      zapcore.WarnLevel,
		problem.RequestCancelled:    zapcore.DebugLevel,
		problem.ValidationFailed:    zapcore.DebugLevel,
		problem.RateLimited:         zapcore.DebugLevel,
	} {
		t.Run(string(code)+" is logged once, with its cause, as "+want.String(), func(t *testing.T) {
			core, logs := observer.New(zapcore.DebugLevel)
			ctx := observability.WithRequest(t.Context(), "request-1", zap.New(core))
			Report(ctx, zap.NewNop(), problem.Wrap(errors.New("boom"), code, "it failed", "try again"))
			lines := logs.All()
			if len(lines) != 1 || lines[0].Level != want {
				t.Fatalf("lines = %+v", lines)
			}
			fields := lines[0].ContextMap()
			if fields["cause"] != "boom" || fields["error_code"] != string(code) || fields["request_id"] != "request-1" {
				t.Errorf("fields = %v", fields)
			}
			if observability.ErrorCode(ctx) != string(code) {
				t.Errorf("the request has the code %q", observability.ErrorCode(ctx))
			}
		})
	}
}
