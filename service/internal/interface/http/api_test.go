package httpapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"go.uber.org/zap/zapcore"

	"example.com/goldenpath/service/internal/interface/inmem"
	"example.com/goldenpath/service/internal/observability"
	"example.com/goldenpath/service/internal/usecase/note"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is the whole door over a store in memory, with ids and times that
// are the same in every run.
type fixture struct {
	http.Handler
	store *inmem.Store
	logs  *logBuffer
	spans *tracetest.SpanRecorder
	stats *observability.Metrics
}

func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{store: inmem.New(), logs: &logBuffer{}, spans: tracetest.NewSpanRecorder(), stats: observability.NewMetrics()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(&countingIDs{}), sdktrace.WithSpanProcessor(f.spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	o := Options{
		Notes: note.New(note.Deps{
			Notes: f.store.Notes(), Outbox: f.store, Ledger: f.store, Tx: f.store, Cache: inmem.Cache{},
			Tracer: provider.Tracer("test"), Now: clock(), NewID: uuids(),
		}),
		Log:          observability.NewLogger(f.logs, zapcore.DebugLevel, "notes-server", "test"),
		Metrics:      f.stats,
		Tracer:       provider,
		Propagator:   propagation.TraceContext{},
		Timeout:      5 * time.Second,
		NewRequestID: func() string { return "request-made-here" },
	}
	for _, c := range change {
		c(&o)
	}
	f.Handler = New(o)
	return f
}

// send makes a request of method, path and a JSON body, and returns the
// answer. Headers come in pairs.
func (f *fixture) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// note creates a note and returns its id.
func (f *fixture) note(t testing.TB, title, body string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{"title": title, "body": body})
	if err != nil {
		t.Fatal(err)
	}
	w := f.send(http.MethodPost, BasePath, string(text))
	if w.Code != http.StatusCreated {
		t.Fatalf("creating a note: %d %s", w.Code, w.Body)
	}
	return strings.TrimPrefix(w.Header().Get("Location"), BasePath+"/")
}

// opened is an answer's envelope.
type opened struct {
	Data  json.RawMessage `json:"data"`
	Error *errorBody      `json:"error"`
	Meta  meta            `json:"meta"`
}

func open(t *testing.T, w *httptest.ResponseRecorder) opened {
	t.Helper()
	var e opened
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		t.Fatalf("the answer is not the envelope: %v: %s", err, w.Body)
	}
	return e
}

// refused is the code that an answer was refused with.
func refused(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	e := open(t, w)
	if e.Error == nil {
		t.Fatalf("the answer is no error: %d %s", w.Code, w.Body)
	}
	return string(e.Error.Code)
}

// clock starts at a fixed time and goes on by a second each time it is read.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func uuids() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprintf("00000000-0000-7000-8000-%012d", n)
	}
}

// countingIDs makes ids of traces and spans that are the same in every run.
type countingIDs struct {
	mu sync.Mutex
	n  uint64
}

func (c *countingIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	span := c.NewSpanID(ctx, trace.TraceID{})
	var id trace.TraceID
	copy(id[8:], span[:])
	return id, span
}

func (c *countingIDs) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	binary.BigEndian.PutUint64(id[:], c.n)
	return id
}

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// lines are the JSON objects written so far.
func (b *logBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(b.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("a log line is not JSON: %v: %s", err, line)
		}
		all = append(all, fields)
	}
	return all
}

func titlesOf(t *testing.T, e opened) []string {
	t.Helper()
	var notes []noteBody
	if err := json.Unmarshal(e.Data, &notes); err != nil {
		t.Fatal(err)
	}
	titles := make([]string, len(notes))
	for i, n := range notes {
		titles[i] = n.Title
	}
	return titles
}
