package observability

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The names of the fields that the logging contract asks for. Every line that
// is written on behalf of a request has TraceIDField and RequestIDField.
const (
	TraceIDField   = "trace_id"
	RequestIDField = "request_id"
)

// NewLogger returns a logger that writes one JSON object a line to out: ts
// (RFC 3339, UTC, microseconds), level, logger, msg, service, env and the
// fields. Writes are serialised, so out need not be safe for concurrent use.
func NewLogger(out io.Writer, level zapcore.LevelEnabler, service, env string) *zap.Logger {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey:       "ts",
		LevelKey:      "level",
		NameKey:       "logger",
		MessageKey:    "msg",
		StacktraceKey: "stack",
		LineEnding:    zapcore.DefaultLineEnding,
		EncodeLevel:   zapcore.LowercaseLevelEncoder,
		EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
			enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
		},
		EncodeDuration: zapcore.StringDurationEncoder,
	})
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), level)
	return zap.New(core).With(zap.String("service", service), zap.String("env", env))
}

// request is what a context knows of the request that it belongs to.
type request struct {
	id   string
	log  *zap.Logger
	code atomic.Pointer[string]
}

type requestKey struct{}

// WithRequest returns a context that belongs to the request named id. Logger
// then gives log with the ids of the request and of its trace on every line.
func WithRequest(ctx context.Context, id string, log *zap.Logger) context.Context {
	traceID, _ := TraceIDs(ctx)
	log = log.With(zap.String(TraceIDField, traceID), zap.String(RequestIDField, id))
	return context.WithValue(ctx, requestKey{}, &request{id: id, log: log})
}

// Logger is the logger of the request that ctx belongs to, else fallback.
func Logger(ctx context.Context, fallback *zap.Logger) *zap.Logger {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r.log
	}
	return fallback
}

// RequestID is the id of the request that ctx belongs to, empty outside one.
func RequestID(ctx context.Context) string {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r.id
	}
	return ""
}

// SetErrorCode remembers the public code that the request of ctx failed with,
// for its access log line and metrics. gRPC answers failures with status 200,
// so the status alone does not tell. It does nothing outside a request.
func SetErrorCode(ctx context.Context, code string) {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		r.code.Store(&code)
	}
}

// ErrorCode is what SetErrorCode was given last, else empty.
func ErrorCode(ctx context.Context) string {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		if code := r.code.Load(); code != nil {
			return *code
		}
	}
	return ""
}

// TraceIDs are the ids of the span in ctx in lower-case hexadecimal, empty
// where there is no span.
func TraceIDs(ctx context.Context) (traceID, spanID string) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return "", ""
	}
	return sc.TraceID().String(), sc.SpanID().String()
}
