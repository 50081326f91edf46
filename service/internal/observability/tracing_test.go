package observability

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP/HTTP collector that can be told to fail.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	names  []string
	status atomic.Int32
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.status.Store(http.StatusOK)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var batch tracepb.TracesData
		if err != nil || proto.Unmarshal(body, &batch) != nil || r.URL.Path != "/v1/traces" ||
			r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s %v is no batch of spans", r.Method, r.URL, r.Header)
		}
		if s := int(c.status.Load()); s != http.StatusOK {
			w.WriteHeader(s)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range batch.GetResourceSpans() {
			var service string
			for _, a := range rs.GetResource().GetAttributes() {
				if a.GetKey() == "service.name" {
					service = a.GetValue().GetStringValue()
				}
			}
			for _, ss := range rs.GetScopeSpans() {
				for _, span := range ss.GetSpans() {
					c.names = append(c.names, service+" "+span.GetName())
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) got() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.names, ", ")
}

// buffer takes log lines from any goroutine.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) messages(t *testing.T) []string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for line := range strings.Lines(b.text.String()) {
		var fields struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		all = append(all, fields.Msg)
	}
	return all
}

func TestTracing(t *testing.T) {
	t.Run("spans reach the collector, the last of them on Close", func(t *testing.T) {
		c := newCollector(t)
		tracing := NewTracing(TraceConfig{Endpoint: c.URL + "/", Service: "notes"}, zap.NewNop())
		_, span := tracing.Provider.Tracer("test").Start(t.Context(), "work")
		span.End()
		if err := tracing.Close(t.Context()); err != nil || c.got() != "notes work" {
			t.Errorf("the collector got %q, %v", c.got(), err)
		}
	})
	t.Run("without a collector spans are made and sampled", func(t *testing.T) {
		tracing := NewTracing(TraceConfig{Service: "notes"}, zap.NewNop())
		ctx, span := tracing.Provider.Tracer("test").Start(t.Context(), "work")
		defer span.End()
		traceID, spanID := TraceIDs(ctx)
		if len(traceID) != 32 || len(spanID) != 16 || !span.SpanContext().IsSampled() {
			t.Errorf("ids %q %q, sampled %v", traceID, spanID, span.SpanContext().IsSampled())
		}
		if err := tracing.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a collector that swallows everything holds up neither spans nor the end for long", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts in its backlog and never answers
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		tracing := NewTracing(TraceConfig{Endpoint: "http://" + listener.Addr().String()}, zap.NewNop())
		began := time.Now()
		for range 10_000 {
			_, span := tracing.Provider.Tracer("test").Start(t.Context(), "work")
			span.End()
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("10,000 spans took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began = time.Now()
		_ = tracing.Close(ctx)
		if took := time.Since(began); took > 2*exportTimeout+time.Second {
			t.Errorf("the end took %s", took)
		}
	})
}

func TestSteadyExporter(t *testing.T) {
	c := newCollector(t)
	logs := &buffer{}
	now := time.Unix(0, 0)
	client := newOTLPClient(c.URL)
	defer client.http.CloseIdleConnections()
	exporter := &steadyExporter{
		next: exporterFunc(func(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
			return client.UploadTraces(ctx, []*tracepb.ResourceSpans{})
		}),
		log: NewLogger(logs, zapcore.InfoLevel, "notes", "test"),
		now: func() time.Time { return now },
	}
	spans := tracetest.SpanStubs{{Name: "a"}, {Name: "b"}}.Snapshots()
	export := func(after time.Duration) {
		t.Helper()
		now = now.Add(after)
		if err := exporter.ExportSpans(t.Context(), spans); err != nil {
			t.Fatalf("the SDK would print %v", err)
		}
	}
	export(0)
	c.status.Store(http.StatusServiceUnavailable)
	for range 50 {
		export(exportPause)
	}
	t.Run("a collector that fails for long is one line", func(t *testing.T) {
		if got := strings.Join(logs.messages(t), "; "); got != "spans cannot be exported" {
			t.Errorf("lines = %s", got)
		}
	})
	t.Run("after a failure batches are dropped unsent until the pause is over", func(t *testing.T) {
		c.status.Store(http.StatusOK)
		export(exportPause / 2)
		if !exporter.failing || exporter.lost != 51*len(spans) {
			t.Errorf("failing %v, lost %d", exporter.failing, exporter.lost)
		}
	})
	t.Run("a collector that is back is one line", func(t *testing.T) {
		export(exportPause)
		export(exportPause)
		if got := strings.Join(logs.messages(t), "; "); got != "spans cannot be exported; spans are exported again" {
			t.Errorf("lines = %s", got)
		}
	})
	t.Run("an answer that redirects is a failure", func(t *testing.T) {
		c.status.Store(http.StatusTemporaryRedirect)
		if err := client.UploadTraces(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "307") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("a collector that is away is a failure", func(t *testing.T) {
		c.Close()
		if err := client.UploadTraces(t.Context(), nil); err == nil {
			t.Error("there is no error")
		}
	})
}

type exporterFunc func(context.Context, []sdktrace.ReadOnlySpan) error

func (f exporterFunc) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return f(ctx, spans)
}
func (exporterFunc) Shutdown(context.Context) error { return nil }
