package observability

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
)

// Spans wait this long for company before they are sent. Short, because
// somebody who has just seen a request fail looks its trace up at once.
const exportInterval = 200 * time.Millisecond

// TraceConfig says who emits spans and where they go.
type TraceConfig struct {
	// Endpoint is the base URL of an OTLP/HTTP collector, to which /v1/traces
	// is added. Empty: spans are made and sampled, so that trace ids exist, and
	// go nowhere.
	Endpoint    string
	Service     string
	Version     string
	Environment string
	// Now is the clock of the exporter's pauses; time.Now when nil.
	Now func() time.Time
}

// Tracing makes spans. Close it to send the last of them.
type Tracing struct {
	Provider   *sdktrace.TracerProvider
	Propagator propagation.TextMapPropagator
}

// NewTracing starts tracing. It does not wait for the collector: one that
// cannot be reached costs spans, never a request, and is logged when it goes
// and when it is back, not each time. Extra processors see every span.
func NewTracing(c TraceConfig, log *zap.Logger, extra ...sdktrace.SpanProcessor) *Tracing {
	if c.Now == nil {
		c.Now = time.Now
	}
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", c.Service),
			attribute.String("service.version", c.Version),
			attribute.String("deployment.environment.name", c.Environment),
		)),
	}
	if c.Endpoint != "" {
		exporter := &steadyExporter{
			next: otlptrace.NewUnstarted(newOTLPClient(c.Endpoint)),
			log:  log.Named("otlp").With(zap.String("endpoint", c.Endpoint)),
			now:  c.Now,
		}
		options = append(options, sdktrace.WithBatcher(exporter,
			sdktrace.WithBatchTimeout(exportInterval), sdktrace.WithExportTimeout(exportTimeout)))
	}
	for _, p := range extra {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	return &Tracing{
		Provider:   sdktrace.NewTracerProvider(options...),
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
}

// Close sends what is left, until ctx ends, and stops. Spans that end later
// are dropped.
func (t *Tracing) Close(ctx context.Context) error {
	flushed := t.Provider.ForceFlush(ctx)
	// Shutdown leaves its goroutine running when it is given a context that has
	// ended already.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
	defer cancel()
	return errors.Join(flushed, t.Provider.Shutdown(ctx))
}
