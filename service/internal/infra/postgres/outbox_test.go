package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/note/notetest"
	"example.com/goldenpath/service/internal/infra/postgres"
)

func event(n int) note.Event {
	return note.Event{
		ID: fmt.Sprintf("11111111-0000-7000-8000-%012x", n), Type: note.Created,
		NoteID: notetest.ID(n), OccurredAt: notetest.Note(n).CreatedAt,
	}
}

func appendEvents(t *testing.T, db *postgres.DB, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := db.Outbox().Append(t.Context(), event(n)); err != nil {
			t.Fatalf("appending event %d: %v", n, err)
		}
	}
}

// takeAll delivers everything and remembers it.
func takeAll(into *[]note.Message) func(context.Context, []note.Message) ([]string, error) {
	return func(_ context.Context, batch []note.Message) ([]string, error) {
		*into = append(*into, batch...)
		return ids(batch), nil
	}
}

func ids(batch []note.Message) []string {
	var out []string
	for _, m := range batch {
		out = append(out, m.Event.ID)
	}
	return out
}

func wantEvents(t *testing.T, got []note.Message, from, to int) {
	t.Helper()
	var want []string
	for n := from; n <= to; n++ {
		want = append(want, event(n).ID)
	}
	if !slices.Equal(ids(got), want) {
		t.Errorf("the events are %v, want %v", ids(got), want)
	}
}

func TestOutbox(t *testing.T) {
	ctx := t.Context()
	t.Run("an event comes out as it went in, once, with the trace of its context", func(t *testing.T) {
		db := open(t, postgres.Config{})
		traces := sdktrace.NewTracerProvider()
		traced, span := traces.Tracer("test").Start(ctx, "request")
		if err := db.Outbox().Append(traced, event(1)); err != nil {
			t.Fatal(err)
		}
		var got []note.Message
		for range 2 {
			if _, err := db.Relay().Drain(ctx, 10, takeAll(&got)); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != 1 || got[0].Event != event(1) {
			t.Fatalf("the events are %+v, want %+v once", got, event(1))
		}
		want := fmt.Sprintf("00-%s-%s-01", span.SpanContext().TraceID(), span.SpanContext().SpanID())
		if got[0].Traceparent != want {
			t.Errorf("traceparent is %q, want %q", got[0].Traceparent, want)
		}
	})
	t.Run("an event of a transaction that was undone never comes out", func(t *testing.T) {
		db := open(t, postgres.Config{})
		undone := errors.New("undone")
		err := db.Tx().InTx(ctx, func(ctx context.Context) error {
			return errors.Join(db.Outbox().Append(ctx, event(1)), undone)
		})
		if !errors.Is(err, undone) {
			t.Fatal(err)
		}
		var got []note.Message
		if n, err := db.Relay().Drain(ctx, 10, takeAll(&got)); n != 0 || err != nil || len(got) != 0 {
			t.Errorf("%d events came out (%v)", len(got), err)
		}
	})
	t.Run("events come out oldest first, as many as asked", func(t *testing.T) {
		db := open(t, postgres.Config{})
		appendEvents(t, db, 1, 5)
		var got []note.Message
		for want := range 3 {
			n, err := db.Relay().Drain(ctx, 2, takeAll(&got))
			if err != nil || n != min(2, 5-2*want) {
				t.Errorf("drain %d took %d events (%v)", want, n, err)
			}
		}
		wantEvents(t, got, 1, 5)
	})
	t.Run("what was not delivered waits, and the reason is told", func(t *testing.T) {
		db := open(t, postgres.Config{})
		appendEvents(t, db, 1, 3)
		away := errors.New("kafka is away")
		n, err := db.Relay().Drain(ctx, 10, func(_ context.Context, batch []note.Message) ([]string, error) {
			return ids(batch[:1]), away
		})
		if n != 1 || !errors.Is(err, away) {
			t.Errorf("drain gives %d, %v", n, err)
		}
		var got []note.Message
		if _, err := db.Relay().Drain(ctx, 10, takeAll(&got)); err != nil {
			t.Fatal(err)
		}
		wantEvents(t, got, 2, 3)
	})
	t.Run("while one claims, the outbox is empty to the others, younger events included", func(t *testing.T) {
		name := server.Database(t)
		one, other := open(t, postgres.Config{URL: server.URL(name)}), open(t, postgres.Config{URL: server.URL(name)})
		appendEvents(t, one, 1, 2)
		var got []note.Message
		n, err := one.Relay().Drain(ctx, 1, func(ctx context.Context, batch []note.Message) ([]string, error) {
			appendEvents(t, other, 3, 3)
			if n, err := other.Relay().Drain(ctx, 10, takeAll(&got)); n != 0 || err != nil {
				t.Errorf("the other drained %d (%v)", n, err)
			}
			return ids(batch), nil
		})
		if n != 1 || err != nil {
			t.Errorf("drain gives %d, %v", n, err)
		}
		if _, err := other.Relay().Drain(ctx, 10, takeAll(&got)); err != nil {
			t.Fatal(err)
		}
		wantEvents(t, got, 2, 3)
	})
	t.Run("no transaction is open while events are delivered", func(t *testing.T) {
		name := server.Database(t)
		db := open(t, postgres.Config{URL: server.URL(name)})
		appendEvents(t, db, 1, 1)
		_, err := db.Relay().Drain(ctx, 10, func(_ context.Context, batch []note.Message) ([]string, error) {
			if server.Holds(t, name, `SELECT count(*) > 0 FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL`) {
				t.Error("there is one")
			}
			return ids(batch), nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("what was delivered leaves the outbox even when the context has ended", func(t *testing.T) {
		db := open(t, postgres.Config{})
		appendEvents(t, db, 1, 2)
		ending, end := context.WithCancel(ctx)
		_, err := db.Relay().Drain(ending, 10, func(_ context.Context, batch []note.Message) ([]string, error) {
			end()
			return ids(batch[:1]), ending.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
		var got []note.Message
		if _, err := db.Relay().Drain(ctx, 10, takeAll(&got)); err != nil {
			t.Fatal(err)
		}
		wantEvents(t, got, 2, 2)
	})
	t.Run("a relay whose connection dies gives its claim up at once", func(t *testing.T) {
		name := server.Database(t)
		one, other := open(t, postgres.Config{URL: server.URL(name)}), open(t, postgres.Config{URL: server.URL(name)})
		appendEvents(t, one, 1, 2)
		_, err := one.Relay().Drain(ctx, 10, func(_ context.Context, batch []note.Message) ([]string, error) {
			server.Exec(t, name, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			return ids(batch), nil
		})
		if err == nil {
			t.Error("the first drain committed")
		}
		var got []note.Message
		eventually(t, "the claim to be free", func() bool {
			n, err := other.Relay().Drain(ctx, 10, takeAll(&got))
			return err == nil && n > 0
		})
		wantEvents(t, got, 1, 2)
	})
	t.Run("relays side by side deliver each event once and in order", func(t *testing.T) {
		db := open(t, postgres.Config{})
		const events, relays = 200, 4
		delivered := make(chan note.Message, 2*events)
		done := make(chan struct{})
		for range relays {
			go func() {
				defer func() { done <- struct{}{} }()
				for len(delivered) < events {
					_, err := db.Relay().Drain(ctx, 7, func(_ context.Context, batch []note.Message) ([]string, error) {
						for _, m := range batch {
							delivered <- m
						}
						return ids(batch), nil
					})
					if err != nil {
						t.Errorf("draining: %v", err)
						return
					}
				}
			}()
		}
		appendEvents(t, db, 1, events)
		for range relays {
			<-done
		}
		close(delivered)
		var got []note.Message
		for m := range delivered {
			got = append(got, m)
		}
		wantEvents(t, got, 1, events)
	})
}

func TestSpans(t *testing.T) {
	t.Run("statements inside a trace are spans of it, named as in the queries, and without values", func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		db, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL(server.Database(t))}, tp)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		traced, request := tp.Tracer("test").Start(t.Context(), "request")
		n := notetest.Note(1)
		n.Body = "a secret"
		err = db.Tx().InTx(traced, func(ctx context.Context) error { return db.Notes().Create(ctx, n) })
		if err != nil {
			t.Fatal(err)
		}
		request.End()
		var names []string
		for _, s := range spans.GetSpans() {
			names = append(names, s.Name)
			if s.SpanContext.TraceID() != request.SpanContext().TraceID() {
				t.Errorf("span %s is of another trace", s.Name)
			}
			for _, a := range s.Attributes {
				if strings.Contains(a.Value.String(), "a secret") {
					t.Errorf("span %s shows a value: %s", s.Name, a.Value.String())
				}
			}
		}
		if want := []string{"BEGIN", "CreateNote", "COMMIT", "request"}; !slices.Equal(names, want) {
			t.Errorf("the spans are %v, want %v", names, want)
		}
	})
	t.Run("statements outside of a trace leave none", func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		db, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL(server.Database(t))}, sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Relay().Drain(t.Context(), 1, takeAll(new([]note.Message))); err != nil {
			t.Fatal(err)
		}
		if n := len(spans.GetSpans()); n != 0 {
			t.Errorf("there are %d spans", n)
		}
	})
}

// BenchmarkRequest is what a request costs in the database, on open connections.
func BenchmarkRequest(b *testing.B) {
	db, err := postgres.Open(b.Context(), postgres.Config{URL: server.URL(server.Database(b))}, sdktrace.NewTracerProvider())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Notes().Create(b.Context(), notetest.Note(0)); err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Notes().Get(b.Context(), notetest.ID(0)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("drain of 200 events", func(b *testing.B) {
		begun := time.Now()
		drained := 0
		for b.Loop() {
			err := db.Tx().InTx(b.Context(), func(ctx context.Context) error {
				for n := range 200 {
					if err := db.Outbox().Append(ctx, event(n)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			n, err := db.Relay().Drain(b.Context(), 200, takeAll(new([]note.Message)))
			if err != nil {
				b.Fatal(err)
			}
			drained += n
		}
		b.ReportMetric(float64(drained)/time.Since(begun).Seconds(), "events/s")
	})
}
