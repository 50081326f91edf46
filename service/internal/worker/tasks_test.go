package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
)

type counterFunc func(ctx context.Context, eventID string, id note.ID) error

func (f counterFunc) CountWords(ctx context.Context, eventID string, id note.ID) error {
	return f(ctx, eventID, id)
}

func TestTasks(t *testing.T) {
	t.Run("a payload that is none is kept for inspection, and not tried again", func(t *testing.T) {
		handler := counting(counterFunc(func(context.Context, string, note.ID) error {
			t.Error("the use case ran")
			return nil
		}))
		for _, payload := range []string{"", "null", "[]", "{", `{"event_id":"","note_id":""}`, `{"event_id":"e","note_id":"x"}`, `{"event_id":7}`, "\xff"} {
			err := handler(t.Context(), asynq.NewTask(CountWordsTask, []byte(payload)))
			if !errors.Is(err, asynq.SkipRetry) {
				t.Errorf("%q gives %v", payload, err)
			}
		}
	})
	t.Run("an error of the use case is the task's", func(t *testing.T) {
		failure := errors.New("failed")
		handler := counting(counterFunc(func(context.Context, string, note.ID) error { return failure }))
		err := handler(t.Context(), asynq.NewTask(CountWordsTask, []byte(`{"event_id":"e","note_id":"00000000-0000-7000-8000-000000000001"}`)))
		if !errors.Is(err, failure) || errors.Is(err, asynq.SkipRetry) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("an event without words to count is no task", func(t *testing.T) {
		for _, typ := range []note.EventType{note.Deleted, "note.invented"} {
			if err := (enqueuer{}).handle(t.Context(), note.Event{ID: "e", Type: typ}); err != nil {
				t.Errorf("%s gives %v", typ, err)
			}
		}
	})
	t.Run("that the database is away does not count against a task, and all else does", func(t *testing.T) {
		for code, want := range map[problem.Code]bool{
			problem.DatabaseUnavailable: false, problem.DatabaseTimeout: false, problem.RequestTimeout: false,
			problem.RequestCancelled: false, problem.Internal: true, problem.ValidationFailed: true,
		} {
			if got := isFailure(fmt.Errorf("counting: %w", problem.New(code, "m", "h"))); got != want {
				t.Errorf("%s counts: %v, want %v", code, got, want)
			}
		}
		if !isFailure(errors.New("something")) || isFailure(nil) {
			t.Error("an error without a name does not count, or none does")
		}
	})
	t.Run("tries of a task come further and further apart", func(t *testing.T) {
		for failures, want := range map[int]time.Duration{-1: time.Second, 0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 100: 5 * time.Minute} {
			if got := retryDelay(failures, nil, nil); got != want {
				t.Errorf("after %d failures the wait is %s, want %s", failures, got, want)
			}
		}
	})
	t.Run("a task's line has its trace", func(t *testing.T) {
		logs, seen := observer.New(zap.InfoLevel)
		handler := traced(noop.NewTracerProvider().Tracer(""), zap.New(logs))(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return nil }))
		task := asynq.NewTaskWithHeaders(CountWordsTask, nil, map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
		if err := handler.ProcessTask(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if got := seen.All()[0].ContextMap()["trace_id"]; got != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("trace_id is %v", got)
		}
	})
}
