package redis

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// insideTraces starts spans where a trace is under way and nowhere else: asynq
// polls several times a second, and each poll would be a trace of its own.
type insideTraces struct{ trace.TracerProvider }

// Tracer is trace.TracerProvider's.
func (p insideTraces) Tracer(name string, o ...trace.TracerOption) trace.Tracer {
	return childTracer{p.TracerProvider.Tracer(name, o...)}
}

type childTracer struct{ trace.Tracer }

// Start is trace.Tracer's.
func (t childTracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, noop.Span{}
	}
	return t.Tracer.Start(ctx, name, o...)
}

// driverLog takes what go-redis has to say about its connections. What matters
// of it is told by the breaker, once.
type driverLog struct{ log *zap.Logger }

// Printf is go-redis's logging interface.
func (l driverLog) Printf(_ context.Context, format string, v ...any) {
	if l.log.Core().Enabled(zap.DebugLevel) {
		l.log.Debug(fmt.Sprintf(format, v...), zap.String("component", "go-redis"))
	}
}
