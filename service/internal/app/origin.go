package app

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"example.com/goldenpath/replay"
)

// origin marks the spans of a replayed request. All of them, those of the tasks
// that follow included, carry the baggage that the replay came with; the first
// one in this process links to the span that was recorded, so that the new
// trace leads to the old one.
type origin struct{}

var _ sdktrace.SpanProcessor = origin{}

// OnStart is sdktrace.SpanProcessor's.
func (origin) OnStart(parent context.Context, span sdktrace.ReadWriteSpan) {
	b := baggage.FromContext(parent)
	id := b.Member(replay.BaggageID).Value()
	if id == "" {
		return
	}
	traceID := b.Member(replay.BaggageTrace).Value()
	span.SetAttributes(
		attribute.String(replay.BaggageID, id),
		attribute.String("replay.original_trace_id", traceID),
		// What the semantic conventions have for traffic that no user sent.
		attribute.String("user_agent.synthetic.type", "test"),
	)
	if !trace.SpanContextFromContext(parent).IsRemote() {
		return
	}
	original, err := recorded(traceID, b.Member(replay.BaggageSpan).Value())
	if err != nil {
		return // anybody may send baggage; what is no id links nowhere
	}
	span.AddLink(trace.Link{SpanContext: original})
}

func recorded(traceID, spanID string) (trace.SpanContext, error) {
	t, err := trace.TraceIDFromHex(traceID)
	if err != nil {
		return trace.SpanContext{}, err
	}
	s, err := trace.SpanIDFromHex(spanID)
	if err != nil {
		return trace.SpanContext{}, err
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: t, SpanID: s, Remote: true}), nil
}

// OnEnd is sdktrace.SpanProcessor's.
func (origin) OnEnd(sdktrace.ReadOnlySpan) {}

// Shutdown is sdktrace.SpanProcessor's.
func (origin) Shutdown(context.Context) error { return nil }

// ForceFlush is sdktrace.SpanProcessor's.
func (origin) ForceFlush(context.Context) error { return nil }
