package record_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/archive"
	"example.com/goldenpath/replay/record"
)

// note is what the handler of the benchmarks works with.
type note struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"created_at"`
}

// queries are the round trips to write one note: the rate limit in Redis, and
// begin, two inserts and commit in PostgreSQL.
const queries = 5

// service does what a small service does: it reads and writes JSON, waits for
// its database over TCP, and logs two lines.
type service struct {
	connections chan net.Conn
	log         *slog.Logger
}

// statement is what the database reads for each query, in bytes: to hash it
// takes some 50 microseconds, which is what PostgreSQL takes for a short
// statement, on the same machine and processors.
const statement = 64 << 10

// newService starts a database that answers each query of 200 bytes with as many.
func newService(b *testing.B, clients int) *service {
	b.Helper()
	database, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &service{connections: make(chan net.Conn, clients), log: slog.New(slog.NewJSONHandler(io.Discard, nil))}
	var serving sync.WaitGroup
	for range clients {
		conn, err := net.Dial("tcp", database.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		s.connections <- conn
		accepted, err := database.Accept()
		if err != nil {
			b.Fatal(err)
		}
		serving.Go(func() {
			defer func() { _ = accepted.Close() }()
			var query [200]byte
			table := make([]byte, statement)
			for {
				if _, err := io.ReadFull(accepted, query[:]); err != nil {
					return
				}
				sum := sha256.Sum256(table)
				copy(query[:], sum[:])
				if _, err := accepted.Write(query[:]); err != nil {
					return
				}
			}
		})
	}
	b.Cleanup(func() {
		for range clients {
			_ = (<-s.connections).Close()
		}
		serving.Wait()
		_ = database.Close()
	})
	return s
}

func (s *service) query() error {
	conn := <-s.connections
	defer func() { s.connections <- conn }()
	var row [200]byte
	if _, err := conn.Write(row[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, row[:])
	return err
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := s.log.With("trace_id", trace, "request_id", "r-1")
	log.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path)
	var in note
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for range queries {
		if err := s.query(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	in.ID, in.CreatedAt = "018f4e0a-1111-4222-8333-444455556666", start
	log.InfoContext(r.Context(), "note created", "id", in.ID, "title", in.Title)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"data": in, "error": nil, "meta": map[string]string{"trace_id": trace}})
}

const (
	trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	input = `{"title":"a note","body":"some words about something, long enough to be a note and not a test"}`
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func identify(context.Context) (string, string, string) { return trace, "00f067aa0ba902b7", "r-1" }

// discard is a sink without a cost.
type discard struct{}

func (discard) Record(*replay.Exchange) {}

// BenchmarkCapture serves the same requests with capture off and on, taking
// turns, and reports requests a second and the ratio: on real connections, with
// redaction, and with an archive that writes to disk. The bar is 0.95.
func BenchmarkCapture(b *testing.B) {
	w, err := archive.Create(b.TempDir(), archive.Options{})
	if err != nil {
		b.Fatal(err)
	}
	capture := record.Middleware(record.Config{Sink: w, Service: "notes", Identify: identify})
	const clients, requests = 8, 100
	notes := newService(b, clients)
	off := httptest.NewServer(notes)
	defer off.Close()
	on := httptest.NewServer(capture(notes))
	defer on.Close()
	round := func(server *httptest.Server) float64 {
		client := server.Client()
		client.Transport.(*http.Transport).MaxIdleConnsPerHost = clients
		begin := time.Now()
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for range requests {
					response, err := client.Post(server.URL+"/api/v1/notes", "application/json", strings.NewReader(input))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			})
		}
		all.Wait()
		return clients * requests / time.Since(begin).Seconds()
	}
	round(off)
	round(on)
	var without, with, ratios []float64
	for b.Loop() {
		a := round(off)
		c := round(on)
		without, with, ratios = append(without, a), append(with, c), append(ratios, c/a)
	}
	b.ReportMetric(median(without), "off-req/s")
	b.ReportMetric(median(with), "on-req/s")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op")
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if s := w.Stats(); s.Dropped != 0 || s.Lost != 0 || s.Written == 0 {
		b.Fatalf("captures were lost: %+v", s)
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkMiddleware is the cost of one capture without a network: compare
// the two for what capture adds.
func BenchmarkMiddleware(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"data":{"id":"018f4e0a-1111-4222-8333-444455556666","title":"a note"},"error":null}`))
	})
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{
		{"off", h},
		{"on", record.Middleware(record.Config{Sink: discard{}, Identify: identify})(h)},
	} {
		b.Run(c.name, func(b *testing.B) {
			header := http.Header{"Content-Type": {"application/json"}, "Accept": {"*/*"}, "User-Agent": {"bench/1.0"}}
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/api/v1/notes", strings.NewReader(input))
				r.Header = header
				w.Body.Reset()
				c.handler.ServeHTTP(w, r)
			}
		})
	}
}
