package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	domain "example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/interface/failure"
	"example.com/goldenpath/service/internal/observability"
)

// envelope is the body of every answer. All three keys are always there; of
// data and error one is null.
type envelope struct {
	Data  any        `json:"data"`
	Error *errorBody `json:"error"`
	Meta  meta       `json:"meta"`
}

type errorBody struct {
	Code    problem.Code `json:"code"`
	Message string       `json:"message"`
	Hint    string       `json:"hint"`
	Fields  []fieldBody  `json:"fields"`
}

type fieldBody struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

type meta struct {
	TraceID   string `json:"trace_id"`
	RequestID string `json:"request_id"`
	Page      *page  `json:"page,omitempty"` // of listings
}

type page struct {
	NextCursor *string `json:"next_cursor"` // null on the last page
	Limit      int     `json:"limit"`
}

// noteBody is a note as clients see it.
type noteBody struct {
	ID        domain.ID `json:"id"`
	Title     string    `json:"title"`
	Body      string    `json:"body"`
	WordCount *int      `json:"word_count"`
	CreatedAt string    `json:"created_at"`
	UpdatedAt string    `json:"updated_at"`
}

func show(n domain.Note) noteBody {
	return noteBody{n.ID, n.Title, n.Body, n.WordCount, stamp(n.CreatedAt), stamp(n.UpdatedAt)}
}

// stamp always has six digits, so that text order is time order.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// reply is what a handler wants to say.
type reply struct {
	status   int
	data     any
	page     *page
	location string
}

// answer turns a handler that returns into one that writes.
func (a *api) answer(handle func(r *http.Request) (reply, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said, err := handle(r)
		if err != nil {
			a.fail(w, r, failure.Of(err))
			return
		}
		if said.location != "" {
			w.Header().Set("Location", said.location)
		}
		a.write(w, r, said.status, envelope{Data: said.data, Meta: meta{Page: said.page}})
	})
}

// fail answers with the envelope of p and reports it.
func (a *api) fail(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	failure.Report(r.Context(), a.Log, p)
	code := status(p.Code)
	if code == 0 {
		code = http.StatusInternalServerError
	}
	body := &errorBody{Code: p.Code, Message: p.Message, Hint: p.Hint, Fields: make([]fieldBody, len(p.Fields))}
	for i, f := range p.Fields {
		body.Fields[i] = fieldBody(f)
	}
	a.write(w, r, code, envelope{Error: body})
}

func (a *api) write(w http.ResponseWriter, r *http.Request, status int, e envelope) {
	ctx := r.Context()
	e.Meta.TraceID, _ = observability.TraceIDs(ctx)
	e.Meta.RequestID = observability.RequestID(ctx)
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // the type is application/json; no browser renders it
	if err := encoder.Encode(e); err != nil {
		// Only strings and numbers go in, so this is a fault of ours.
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(body.Bytes()); err != nil {
		observability.Logger(ctx, a.Log).Debug("the answer was not taken", zap.Error(err))
	}
}
