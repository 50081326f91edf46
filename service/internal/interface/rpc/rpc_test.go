package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	notesv1 "example.com/goldenpath/service/api/gen/notes/v1"
	"example.com/goldenpath/service/api/gen/notes/v1/notesv1connect"
	"example.com/goldenpath/service/internal/domain/problem"
	httpapi "example.com/goldenpath/service/internal/interface/http"
	"example.com/goldenpath/service/internal/interface/inmem"
	"example.com/goldenpath/service/internal/observability"
	"example.com/goldenpath/service/internal/usecase/note"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is the door behind the middleware that it has in production, on a
// real port that speaks HTTP/1.1 and HTTP/2 without TLS.
type fixture struct {
	store *inmem.Store
	url   string
	limit *httpapi.Verdict
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{store: inmem.New(), limit: &httpapi.Verdict{Allowed: true}}
	provider := sdktrace.NewTracerProvider()
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	n := 0
	notes := note.New(note.Deps{
		Notes: f.store.Notes(), Outbox: f.store, Ledger: f.store, Tx: f.store, Cache: inmem.Cache{},
		Tracer: provider.Tracer("test"), Now: time.Now,
		NewID: func() string { n++; return fmt.Sprintf("00000000-0000-7000-8000-%012d", n) },
	})
	door := New(notes, zap.NewNop())
	server := httptest.NewUnstartedServer(httpapi.New(httpapi.Options{
		Notes: notes, Log: zap.NewNop(), Metrics: observability.NewMetrics(),
		Tracer: provider, Propagator: propagation.TraceContext{}, Timeout: 5 * time.Second,
		NewRequestID: func() string { return "request-made-here" },
		Limit:        func(context.Context, string) httpapi.Verdict { return *f.limit },
		RPC:          httpapi.RPC{Routes: door.Routes, Handler: door.Handler, Refuse: door.Refuse},
	}))
	server.Config.Protocols = protocols()
	server.Start()
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// client calls over HTTP/2 without TLS alone, as gRPC clients do.
func (f *fixture) client(t *testing.T, options ...connect.ClientOption) notesv1connect.NotesServiceClient {
	t.Helper()
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p}
	t.Cleanup(transport.CloseIdleConnections)
	return notesv1connect.NewNotesServiceClient(&http.Client{Transport: transport}, f.url, options...)
}

var wire = []struct {
	name    string
	options []connect.ClientOption
}{
	{"Connect", nil},
	{"Connect with JSON", []connect.ClientOption{connect.WithProtoJSON()}},
	{"gRPC", []connect.ClientOption{connect.WithGRPC()}},
	{"gRPC-Web", []connect.ClientOption{connect.WithGRPCWeb()}},
}

func TestProtocols(t *testing.T) {
	for _, w := range wire {
		t.Run(w.name+" creates, gets, lists, changes and deletes", func(t *testing.T) {
			f := newFixture(t)
			c, ctx := f.client(t, w.options...), t.Context()
			created, err := c.CreateNote(ctx, connect.NewRequest(&notesv1.CreateNoteRequest{Title: "milk", Body: "two litres"}))
			if err != nil {
				t.Fatal(err)
			}
			n := created.Msg.GetNote()
			if n.GetTitle() != "milk" || n.WordCount != nil || n.GetCreatedAt().AsTime().IsZero() {
				t.Errorf("created = %v", n)
			}
			if h := created.Header(); len(h.Get("X-Trace-Id")) != 32 || h.Get("X-Request-Id") != "request-made-here" {
				t.Errorf("header = %v", h)
			}
			if got, err := c.GetNote(ctx, connect.NewRequest(&notesv1.GetNoteRequest{Id: n.GetId()})); err != nil || got.Msg.GetNote().GetBody() != "two litres" {
				t.Errorf("got = %v, %v", got, err)
			}
			body := "three"
			changed, err := c.UpdateNote(ctx, connect.NewRequest(&notesv1.UpdateNoteRequest{Id: n.GetId(), Body: &body}))
			if err != nil || changed.Msg.GetNote().GetBody() != "three" || changed.Msg.GetNote().GetTitle() != "milk" {
				t.Errorf("changed = %v, %v", changed, err)
			}
			if _, err := c.CreateNote(ctx, connect.NewRequest(&notesv1.CreateNoteRequest{Title: "bread"})); err != nil {
				t.Fatal(err)
			}
			var titles []string
			cursor := ""
			for range 2 {
				page, err := c.ListNotes(ctx, connect.NewRequest(&notesv1.ListNotesRequest{Limit: 1, Cursor: cursor}))
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range page.Msg.GetNotes() {
					titles = append(titles, n.GetTitle())
				}
				cursor = page.Msg.GetNextCursor()
			}
			if strings.Join(titles, " ") != "bread milk" || cursor != "" {
				t.Errorf("titles = %v, next cursor %q", titles, cursor)
			}
			if gone, err := c.DeleteNote(ctx, connect.NewRequest(&notesv1.DeleteNoteRequest{Id: n.GetId()})); err != nil || gone.Msg.GetId() != n.GetId() {
				t.Errorf("deleted = %v, %v", gone, err)
			}
			_, err = c.GetNote(ctx, connect.NewRequest(&notesv1.GetNoteRequest{Id: n.GetId()}))
			refusedWith(t, err, connect.CodeNotFound, problem.NoteNotFound)
		})
		t.Run(w.name+" tells of bad fields, failing dependencies, panics and the rate limit alike", func(t *testing.T) {
			f := newFixture(t)
			c, ctx := f.client(t, w.options...), t.Context()
			_, err := c.CreateNote(ctx, connect.NewRequest(&notesv1.CreateNoteRequest{}))
			refusedWith(t, err, connect.CodeInvalidArgument, problem.ValidationFailed)
			if fields := detail[*errdetails.BadRequest](t, err).GetFieldViolations(); len(fields) != 1 || fields[0].GetField() != "title" {
				t.Errorf("fields = %v", fields)
			}
			_, err = c.UpdateNote(ctx, connect.NewRequest(&notesv1.UpdateNoteRequest{Id: "00000000-0000-7000-8000-000000000001"}))
			refusedWith(t, err, connect.CodeInvalidArgument, problem.ValidationFailed)
			_, err = c.GetNote(ctx, connect.NewRequest(&notesv1.GetNoteRequest{Id: "' OR 1=1"}))
			refusedWith(t, err, connect.CodeInvalidArgument, problem.ValidationFailed)
			_, err = c.ListNotes(ctx, connect.NewRequest(&notesv1.ListNotesRequest{Cursor: "?"}))
			refusedWith(t, err, connect.CodeInvalidArgument, problem.InvalidCursor)
			_, err = c.ListNotes(ctx, connect.NewRequest(&notesv1.ListNotesRequest{Limit: -1}))
			refusedWith(t, err, connect.CodeInvalidArgument, problem.ValidationFailed)

			f.store.Fail = func(context.Context, string) error {
				return problem.Wrap(errors.New("a cause that clients must not see"), problem.DatabaseUnavailable, "the database cannot be reached", "try again")
			}
			_, err = c.ListNotes(ctx, connect.NewRequest(&notesv1.ListNotesRequest{}))
			refusedWith(t, err, connect.CodeUnavailable, problem.DatabaseUnavailable)
			f.store.Fail = func(context.Context, string) error { return errors.New("a cause that clients must not see") }
			_, err = c.ListNotes(ctx, connect.NewRequest(&notesv1.ListNotesRequest{}))
			refusedWith(t, err, connect.CodeInternal, problem.Internal)
			f.store.Fail = func(context.Context, string) error { panic("a cause that clients must not see") }
			_, err = c.ListNotes(ctx, connect.NewRequest(&notesv1.ListNotesRequest{}))
			refusedWith(t, err, connect.CodeInternal, problem.Internal)

			*f.limit = httpapi.Verdict{RetryAfter: time.Second}
			_, err = c.ListNotes(ctx, connect.NewRequest(&notesv1.ListNotesRequest{}))
			refusedWith(t, err, connect.CodeResourceExhausted, problem.RateLimited)
			var refused *connect.Error
			if errors.As(err, &refused) && refused.Meta().Get("Retry-After") != "1" {
				t.Errorf("metadata = %v", refused.Meta())
			}
		})
		t.Run(w.name+" keeps a caller's own deadline", func(t *testing.T) {
			f := newFixture(t)
			ended := make(chan error, 1)
			f.store.Fail = func(ctx context.Context, _ string) error {
				<-ctx.Done()
				ended <- ctx.Err()
				return ctx.Err()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := f.client(t, w.options...).ListNotes(ctx, connect.NewRequest(&notesv1.ListNotesRequest{}))
			if connect.CodeOf(err) != connect.CodeDeadlineExceeded {
				t.Errorf("err = %v", err)
			}
			select {
			case <-ended:
			case <-time.After(3 * time.Second):
				t.Error("the use case goes on after the caller's deadline")
			}
		})
		t.Run(w.name+" refuses a message of more than 1 MiB", func(t *testing.T) {
			f := newFixture(t)
			options := append([]connect.ClientOption{connect.WithSendGzip()}, w.options...)
			// Compressed it is small: the limit holds for what it expands to.
			_, err := f.client(t, options...).CreateNote(t.Context(), connect.NewRequest(&notesv1.CreateNoteRequest{
				Title: "bomb", Body: strings.Repeat("x", 8<<20),
			}))
			if connect.CodeOf(err) != connect.CodeResourceExhausted {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestPlainRequests(t *testing.T) {
	f := newFixture(t)
	post := func(t *testing.T, path, contentType, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.Header.Get("X-Trace-Id") == "" || response.Header.Get("X-Request-Id") == "" {
			t.Errorf("there are no ids in %v", response.Header)
		}
		return response.StatusCode, string(text)
	}
	t.Cleanup(func() { http.DefaultTransport.(*http.Transport).CloseIdleConnections() })
	t.Run("curl over HTTP/1.1 is served", func(t *testing.T) {
		status, text := post(t, "/notes.v1.NotesService/CreateNote", "application/json", `{"title":"milk"}`)
		if status != http.StatusOK || !strings.Contains(text, `"title":"milk"`) {
			t.Errorf("answer = %d %s", status, text)
		}
	})
	for fact, tc := range map[string]struct {
		path, contentType, body string
		status                  int
	}{
		"a procedure that is not there": {"/notes.v1.NotesService/Nothing", "application/json", `{}`, 404},
		"a type that is not spoken":     {"/notes.v1.NotesService/CreateNote", "text/plain", `{}`, 415},
		"JSON that is none":             {"/notes.v1.NotesService/CreateNote", "application/json", `{`, 400},
		"an unknown field":              {"/notes.v1.NotesService/CreateNote", "application/json", `{"title":7}`, 400},
		"bytes that are no proto":       {"/notes.v1.NotesService/CreateNote", "application/proto", "\xff\xff", 400},
	} {
		t.Run(fact+" is refused with ids", func(t *testing.T) {
			if status, text := post(t, tc.path, tc.contentType, tc.body); status != tc.status {
				t.Errorf("answer = %d %s, want %d", status, text, tc.status)
			}
		})
	}
}

// refusedWith checks both codes of an error, and that it says all that the
// HTTP envelope would.
func refusedWith(t *testing.T, err error, code connect.Code, public problem.Code) {
	t.Helper()
	if connect.CodeOf(err) != code {
		t.Fatalf("err = %v, want %s", err, code)
	}
	info := detail[*errdetails.ErrorInfo](t, err)
	if info.GetReason() != string(public) || info.GetDomain() != errorDomain || info.GetMetadata()["hint"] == "" ||
		len(info.GetMetadata()["trace_id"]) != 32 || info.GetMetadata()["request_id"] != "request-made-here" {
		t.Errorf("info = %v, want reason %s", info, public)
	}
	if strings.Contains(err.Error(), "must not see") {
		t.Errorf("the error shows its cause: %v", err)
	}
}

// detail is the detail of type T in a Connect error.
func detail[T any](t *testing.T, err error) (found T) {
	t.Helper()
	var failed *connect.Error
	if errors.As(err, &failed) {
		for _, d := range failed.Details() {
			if value, err := d.Value(); err == nil {
				if found, ok := any(value).(T); ok {
					return found
				}
			}
		}
	}
	t.Fatalf("%v has no detail of type %T", err, found)
	return found
}
