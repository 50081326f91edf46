package observability

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestLogger(t *testing.T) {
	logs := &buffer{}
	log := NewLogger(logs, zapcore.InfoLevel, "notes-server", "test")
	tracing := NewTracing(TraceConfig{}, zap.NewNop())
	ctx, span := tracing.Provider.Tracer("test").Start(t.Context(), "work")
	defer span.End()
	inside := WithRequest(ctx, "request-1", log)
	Logger(inside, zap.NewNop()).Named("http").Info("hello", zap.Duration("took", time.Second))
	log.Debug("not at this level")

	var line map[string]any
	if err := json.Unmarshal(logs.text.Bytes(), &line); err != nil {
		t.Fatalf("there is not exactly one JSON line: %v: %s", err, logs.text.String())
	}
	t.Run("a line has the fields of the contract", func(t *testing.T) {
		traceID, _ := TraceIDs(ctx)
		for field, want := range map[string]any{
			"level": "info", "logger": "http", "msg": "hello", "service": "notes-server", "env": "test",
			"trace_id": traceID, "request_id": "request-1", "took": "1s",
		} {
			if line[field] != want {
				t.Errorf("%s = %v, want %v", field, line[field], want)
			}
		}
		if ts, err := time.Parse(time.RFC3339Nano, line["ts"].(string)); err != nil || time.Since(ts) > time.Minute || ts.Location() != time.UTC {
			t.Errorf("ts = %v, %v", line["ts"], err)
		}
	})
	t.Run("outside a request the fallback is the logger and nothing is known", func(t *testing.T) {
		fallback := zap.NewNop()
		ctx := context.Background()
		SetErrorCode(ctx, "internal")
		if Logger(ctx, fallback) != fallback || RequestID(ctx) != "" || ErrorCode(ctx) != "" {
			t.Error("a bare context belongs to a request")
		}
	})
	t.Run("the code of a failure is seen by whoever holds the request", func(t *testing.T) {
		deeper, cancel := context.WithCancel(inside)
		defer cancel()
		SetErrorCode(deeper, "internal")
		if ErrorCode(inside) != "internal" || RequestID(deeper) != "request-1" {
			t.Errorf("code %q, id %q", ErrorCode(inside), RequestID(deeper))
		}
	})
}
