package httpapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap/zapcore"

	"example.com/goldenpath/service/internal/observability"
)

// BenchmarkRequest is one GET of a note through all of the door, the access log
// included, without network and database.
func BenchmarkRequest(b *testing.B) {
	f := newFixture(b, func(o *Options) {
		o.Log = observability.NewLogger(io.Discard, zapcore.InfoLevel, "notes-server", "bench")
		o.Tracer = sdktrace.NewTracerProvider() // keeps no span
	})
	path := BasePath + "/" + f.note(b, "milk", "two litres")
	r := httptest.NewRequest(http.MethodGet, path, nil)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
