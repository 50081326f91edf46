package app

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"example.com/goldenpath/replay/archive"
	"example.com/goldenpath/replay/record"
	"example.com/goldenpath/service/internal/config"
	"example.com/goldenpath/service/internal/observability"
)

// capture is the middleware that records exchanges for replay, nil when there
// is no folder for them. A folder that cannot be used costs the captures, never
// the service.
func (b *base) capture(c config.Config) func(http.Handler) http.Handler {
	if c.CaptureDir == "" {
		return nil
	}
	writer, err := archive.Create(c.CaptureDir, archive.Options{MaxBytes: c.CaptureMaxBytes, MaxAge: c.CaptureMaxAge})
	if err != nil {
		b.log.Warn("requests are not captured", zap.Error(err), zap.String("hint", "set CAPTURE_DIR to a folder that can be written"))
		return nil
	}
	b.atEnd("captures", func(context.Context) error { return writer.Close() })
	b.metrics.CaptureStats(func() (written, dropped uint64) {
		s := writer.Stats()
		return uint64(s.Written), uint64(s.Dropped + s.Lost)
	})
	return record.Middleware(record.Config{
		Sink:    writer,
		Service: serviceName(b.role),
		Identify: func(ctx context.Context) (traceID, spanID, requestID string) {
			traceID, spanID = observability.TraceIDs(ctx)
			return traceID, spanID, observability.RequestID(ctx)
		},
	})
}
