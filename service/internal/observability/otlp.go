package observability

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

const (
	// One batch may take this long, connecting included.
	exportTimeout = 2 * time.Second
	// After a failure, batches are dropped unsent for this long, so that a
	// collector that swallows packets does not hold the queue for ever.
	exportPause = time.Second
)

// otlpClient sends spans as OTLP over HTTP (opentelemetry.io/docs/specs/otlp,
// section OTLP/HTTP). It stands in for otlptracehttp, which links all of
// google.golang.org/grpc: 70 packages that every reload would have to link.
type otlpClient struct {
	url  string
	http *http.Client
}

func newOTLPClient(endpoint string) *otlpClient {
	return &otlpClient{
		url: strings.TrimRight(endpoint, "/") + "/v1/traces",
		http: &http.Client{
			Timeout: exportTimeout,
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: exportTimeout}).DialContext,
				TLSHandshakeTimeout: exportTimeout,
				MaxIdleConns:        1,
				IdleConnTimeout:     30 * time.Second,
			},
			// A collector does not redirect; whoever does is not one.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Start does nothing: the first batch connects.
func (c *otlpClient) Start(context.Context) error { return nil }

// Stop closes the idle connection.
func (c *otlpClient) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends one batch. TracesData has the wire form of
// ExportTraceServiceRequest, field for field, without its gRPC stubs.
func (c *otlpClient) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encoding spans: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sending spans: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("sending spans: %w", err)
	}
	defer resp.Body.Close()
	// Read to the end so that the connection is used again; a body beyond any
	// sane answer is cut off with it.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("sending spans: the collector answered %s", resp.Status)
	}
	return nil
}

// steadyExporter keeps a collector's troubles to itself. It never returns an
// error, because the SDK prints each one; it logs the change from working to
// failing and back, with the number of spans that were lost in between.
type steadyExporter struct {
	next sdktrace.SpanExporter
	log  *zap.Logger
	now  func() time.Time

	mu      sync.Mutex
	failing bool
	retryAt time.Time
	lost    int
}

func (e *steadyExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if e.paused(len(spans)) {
		return nil
	}
	e.settle(len(spans), e.next.ExportSpans(ctx, spans))
	return nil
}

func (e *steadyExporter) Shutdown(ctx context.Context) error { return e.next.Shutdown(ctx) }

func (e *steadyExporter) paused(spans int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.failing || !e.now().Before(e.retryAt) {
		return false
	}
	e.lost += spans
	return true
}

func (e *steadyExporter) settle(spans int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err != nil:
		if !e.failing {
			e.log.Warn("spans cannot be exported", zap.Error(err),
				zap.String("hint", "start the collector, or unset OTEL_EXPORTER_OTLP_ENDPOINT"))
		}
		e.failing, e.retryAt = true, e.now().Add(exportPause)
		e.lost += spans
	case e.failing:
		e.log.Info("spans are exported again", zap.Int("lost", e.lost))
		e.failing, e.lost = false, 0
	}
}
