package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestBodies(t *testing.T) {
	f := newFixture(t)
	for _, tc := range []struct{ fact, body, code, says string }{
		{"nothing", " ", "invalid_json", "empty"},
		{"text", "hello", "invalid_json", "line 1, column 1"},
		{"an array", `[{"title":"x"}]`, "invalid_json", "an array, not an object"},
		{"an open array", `[1`, "invalid_json", "breaks off"},
		{"a string", `"title"`, "invalid_json", "a string, not an object"},
		{"a number", `42`, "invalid_json", "a number, not an object"},
		{"a number and more", `42 43`, "invalid_json", "a number, not an object"},
		{"null", `null`, "invalid_json", "null, not an object"},
		{"a missing comma", "{\"title\":\"x\"\n\"body\":\"y\"}", "invalid_json", "line 2, column 1"},
		{"a missing colon", `{"title" "x"}`, "invalid_json", "line 1, column 10"},
		{"a trailing comma", `{"title":"x",}`, "invalid_json", "not JSON"},
		{"a key that is a number", `{1:"x"}`, "invalid_json", "not JSON"},
		{"single quotes", `{'title':'x'}`, "invalid_json", "not JSON"},
		{"an object that breaks off", `{"title":"x"`, "invalid_json", "breaks off"},
		{"a string that breaks off", `{"title":"x`, "invalid_json", "breaks off"},
		{"garbage after the object", `{"title":"x"} {}`, "invalid_json", "more after"},
		{"a brace too many", `{"title":"x"}}`, "invalid_json", "more after"},
		{"bytes that are not UTF-8", "{\"title\":\"\xff\"}", "invalid_json", "not UTF-8"},
		{"a nesting without end", `{"title":` + strings.Repeat("[", 200_000), "invalid_json", "not JSON"},
		{"an unknown field", `{"title":"x","tags":[]}`, "validation_failed", "tags: is not known; the fields are title and body"},
		{"a misspelled field", `{"titel":"x"}`, "validation_failed", "titel: is not known; did you mean title?"},
		{"a field in capitals", `{"Title":"x"}`, "validation_failed", "Title: is not known; did you mean title?"},
		{"a field that is given twice", `{"title":"x","title":"y"}`, "validation_failed", "title: is given twice"},
		{"a number for a string", `{"title":1}`, "validation_failed", "title: must be a string, not a number"},
		{"a boolean for a string", `{"title":true}`, "validation_failed", "title: must be a string, not a boolean"},
		{"an object for a string", `{"title":{}}`, "validation_failed", "title: must be a string, not an object"},
		{"an array for a string", `{"title":["x"]}`, "validation_failed", "title: must be a string, not an array"},
		{"null for a string", `{"title":null}`, "validation_failed", "title: must be a string, not null"},
		{"no title", `{}`, "validation_failed", "title: must not be empty"},
	} {
		t.Run(tc.fact+" is refused as "+tc.code, func(t *testing.T) {
			w := f.send(http.MethodPost, BasePath, tc.body)
			e := open(t, w)
			if w.Code != http.StatusBadRequest || refused(t, w) != tc.code {
				t.Fatalf("answer = %d %s", w.Code, w.Body)
			}
			said := e.Error.Message
			for _, field := range e.Error.Fields {
				said += "\n" + field.Name + ": " + field.Reason
			}
			if !strings.Contains(said, tc.says) || e.Error.Hint == "" {
				t.Errorf("it says %q with hint %q, want %q", said, e.Error.Hint, tc.says)
			}
		})
	}
	t.Run("every bad field is named at once, up to twenty", func(t *testing.T) {
		var fields []string
		for i := range 500 {
			fields = append(fields, fmt.Sprintf(`"field%d":1`, i))
		}
		e := open(t, f.send(http.MethodPost, BasePath, "{"+strings.Join(fields, ",")+"}"))
		if len(e.Error.Fields) != maxFields {
			t.Errorf("%d fields are named", len(e.Error.Fields))
		}
	})
	t.Run("a long unknown name is cut in the answer", func(t *testing.T) {
		e := open(t, f.send(http.MethodPost, BasePath, `{"`+strings.Repeat("é", 5000)+`":1}`))
		if got := e.Error.Fields[0].Name; len([]rune(got)) != 65 {
			t.Errorf("the name has %d characters", len([]rune(got)))
		}
	})
	for _, tc := range []struct{ fact, header, value string }{
		{"a form", "Content-Type", "application/x-www-form-urlencoded"},
		{"a body of no declared type", "Content-Type", ""},
		{"a type that cannot be read", "Content-Type", "json;;"},
		{"another charset", "Content-Type", "application/json; charset=latin1"},
		{"a compressed body", "Content-Encoding", "gzip"},
	} {
		t.Run(tc.fact+" is refused with 415", func(t *testing.T) {
			w := f.send(http.MethodPost, BasePath, `{"title":"x"}`, tc.header, tc.value)
			if w.Code != http.StatusUnsupportedMediaType || refused(t, w) != "unsupported_media_type" {
				t.Errorf("answer = %d %s", w.Code, w.Body)
			}
		})
	}
	t.Run("a declared charset of UTF-8 is taken", func(t *testing.T) {
		if w := f.send(http.MethodPost, BasePath, `{"title":"é"}`, "Content-Type", "application/json; charset=UTF-8"); w.Code != http.StatusCreated {
			t.Errorf("answer = %d %s", w.Code, w.Body)
		}
	})
}

func TestPaging(t *testing.T) {
	f := newFixture(t)
	for i := range 5 {
		f.note(t, fmt.Sprintf("note %d", i), "")
	}
	t.Run("following the cursors gives every note once, newest first", func(t *testing.T) {
		var titles []string
		query := "?limit=2"
		for range 3 {
			w := f.send(http.MethodGet, BasePath+query, "")
			e := open(t, w)
			titles = append(titles, titlesOf(t, e)...)
			if e.Meta.Page == nil || e.Meta.Page.Limit != 2 {
				t.Fatalf("page = %+v", e.Meta.Page)
			}
			if e.Meta.Page.NextCursor == nil {
				query = ""
				break
			}
			query = "?limit=2&cursor=" + *e.Meta.Page.NextCursor
		}
		if got := strings.Join(titles, ", "); got != "note 4, note 3, note 2, note 1, note 0" || query != "" {
			t.Errorf("titles = %s, last query %q", got, query)
		}
	})
	for _, query := range []string{"cursor=!", "cursor=MQ", "cursor=" + strings.Repeat("A", 10_000), "cursor=%00"} {
		t.Run("the cursor of "+clip(query)+" is refused", func(t *testing.T) {
			if w := f.send(http.MethodGet, BasePath+"?"+query, ""); w.Code != http.StatusBadRequest || refused(t, w) != "invalid_cursor" {
				t.Errorf("answer = %d %s", w.Code, w.Body)
			}
		})
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=101", "limit=ten", "limit=", "limit=1e1", "limit=99999999999999999999", "limit=%zz"} {
		t.Run(query+" is refused", func(t *testing.T) {
			if w := f.send(http.MethodGet, BasePath+"?"+query, ""); w.Code != http.StatusBadRequest || refused(t, w) != "validation_failed" {
				t.Errorf("answer = %d %s", w.Code, w.Body)
			}
		})
	}
	t.Run("an empty cursor is the beginning and unknown parameters are ignored", func(t *testing.T) {
		if w := f.send(http.MethodGet, BasePath+"?cursor=&utm_source=x", ""); w.Code != http.StatusOK {
			t.Errorf("answer = %d %s", w.Code, w.Body)
		}
	})
}
