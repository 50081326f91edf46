package app

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestOrigin(t *testing.T) {
	const (
		oldTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
		oldSpan  = "00f067aa0ba902b7"
		members  = "devtool.replay.id=4bf92f35-00f067aa,devtool.replay.original_trace_id=" + oldTrace
	)
	spans := func(baggage string) tracetest.SpanStubs {
		seen := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen), sdktrace.WithSpanProcessor(origin{}))
		propagator := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
		ctx := propagator.Extract(context.Background(), propagation.MapCarrier{
			"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": baggage})
		ctx, server := provider.Tracer("").Start(ctx, "server")
		_, query := provider.Tracer("").Start(ctx, "query")
		query.End()
		server.End()
		return seen.GetSpans() // in the order in which they ended
	}
	t.Run("the first span of a replay links to the recorded one, and all are marked", func(t *testing.T) {
		got := spans(members + ",devtool.replay.original_span_id=" + oldSpan)
		query, server := got[0], got[1]
		if len(server.Links) != 1 || server.Links[0].SpanContext.TraceID().String() != oldTrace || server.Links[0].SpanContext.SpanID().String() != oldSpan {
			t.Errorf("links %+v", server.Links)
		}
		if len(query.Links) != 0 {
			t.Errorf("the query links too: %+v", query.Links)
		}
		for _, s := range got {
			marks := map[string]string{}
			for _, a := range s.Attributes {
				marks[string(a.Key)] = a.Value.AsString()
			}
			if marks["devtool.replay.id"] != "4bf92f35-00f067aa" || marks["replay.original_trace_id"] != oldTrace || marks["user_agent.synthetic.type"] != "test" {
				t.Errorf("%s has %v", s.Name, marks)
			}
		}
	})
	t.Run("a request of a user is not marked", func(t *testing.T) {
		for _, s := range spans("user=1") {
			if len(s.Attributes) != 0 || len(s.Links) != 0 {
				t.Errorf("%s has %v, %v", s.Name, s.Attributes, s.Links)
			}
		}
	})
	t.Run("garbage links nowhere", func(t *testing.T) {
		for _, s := range spans("devtool.replay.id=x,devtool.replay.original_trace_id=zz,devtool.replay.original_span_id=1") {
			if len(s.Links) != 0 {
				t.Errorf("%s links to %v", s.Name, s.Links)
			}
		}
	})
}
