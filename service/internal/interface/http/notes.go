package httpapi

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-chi/chi/v5"

	domain "example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/interface/cursor"
	"example.com/goldenpath/service/internal/usecase/note"
)

func (a *api) create(r *http.Request) (reply, error) {
	var title, body *string
	if err := decode(r, text("title", &title, ""), text("body", &body, "; leave it out for an empty body")); err != nil {
		return reply{}, err
	}
	n, err := a.Notes.Create(r.Context(), orEmpty(title), orEmpty(body))
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, data: show(n), location: BasePath + "/" + string(n.ID)}, nil
}

func (a *api) list(r *http.Request) (reply, error) {
	after, limit, err := pageAsked(r.URL.RawQuery)
	if err != nil {
		return reply{}, err
	}
	notes, next, err := a.Notes.List(r.Context(), after, limit)
	if err != nil {
		return reply{}, err
	}
	shown := make([]noteBody, len(notes))
	for i, n := range notes {
		shown[i] = show(n)
	}
	p := &page{Limit: limit}
	if !next.IsZero() {
		c := cursor.Encode(next)
		p.NextCursor = &c
	}
	return reply{status: http.StatusOK, data: shown, page: p}, nil
}

func (a *api) get(r *http.Request) (reply, error) {
	id, err := domain.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return reply{}, err
	}
	n, err := a.Notes.Get(r.Context(), id)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, data: show(n)}, nil
}

func (a *api) update(r *http.Request) (reply, error) {
	id, err := domain.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return reply{}, err
	}
	const keep = "; leave it out to keep it as it is"
	var title, body *string
	if err := decode(r, text("title", &title, keep), text("body", &body, keep)); err != nil {
		return reply{}, err
	}
	if title == nil && body == nil {
		return reply{}, problem.New(problem.ValidationFailed, "the change is empty", "send title, body or both")
	}
	n, err := a.Notes.Update(r.Context(), id, title, body)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, data: show(n)}, nil
}

// remove answers 200 with the id rather than 204, because every answer is the
// envelope.
func (a *api) remove(r *http.Request) (reply, error) {
	id, err := domain.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return reply{}, err
	}
	if err := a.Notes.Delete(r.Context(), id); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, data: struct {
		ID domain.ID `json:"id"`
	}{id}}, nil
}

// pageAsked reads cursor and limit. Other parameters are ignored.
func pageAsked(query string) (after domain.Cursor, limit int, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return after, 0, problem.Wrap(err, problem.ValidationFailed, "the query string cannot be read",
			"percent-encode what is special in it")
	}
	limit = note.DefaultLimit
	if asked := values.Get("limit"); values.Has("limit") {
		// The use case takes 0 for the default; who writes limit=0 means none.
		if limit, err = strconv.Atoi(asked); err != nil || limit < 1 || limit > note.MaxLimit {
			return after, 0, problem.Invalid(problem.Field{Name: "limit", Reason: "must be a whole number from 1 to 100"})
		}
	}
	after, err = cursor.Decode(values.Get("cursor"))
	return after, limit, err
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
