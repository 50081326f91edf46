package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/service/internal/domain/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	goldens = "testdata"
	first   = "00000000-0000-7000-8000-000000000001"
	absent  = "00000000-0000-7000-8000-999999999999"
)

// TestGolden holds every kind of answer, byte for byte. Make the files anew with
//
//	go test ./service/internal/interface/http -run TestGolden -update
func TestGolden(t *testing.T) {
	if *update {
		// A golden whose case is gone must not stay behind.
		stale, err := filepath.Glob(filepath.Join(goldens, "*.golden.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range stale {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	one := BasePath + "/" + first
	fails := func(code problem.Code, message, hint string) func(*Options, *fixture) {
		return func(_ *Options, f *fixture) {
			f.store.Fail = func(context.Context, string) error {
				return problem.Wrap(errors.New("a cause that clients must not see"), code, message, hint)
			}
		}
	}
	covered := map[problem.Code]bool{}
	names := map[string]bool{}
	for _, tc := range []struct {
		name, method, path, body string
		headers                  []string
		given                    func(*Options, *fixture)
	}{
		{name: "created", method: "POST", path: BasePath, body: `{"title":" milk ","body":"two <litres>"}`},
		{name: "got", method: "GET", path: one},
		{name: "listed_first_page", method: "GET", path: BasePath + "?limit=1"},
		{name: "listed_last_page", method: "GET", path: BasePath},
		{name: "updated", method: "PATCH", path: one, body: `{"body":"three litres"}`},
		{name: "deleted", method: "DELETE", path: one},

		{name: "validation_failed", method: "POST", path: BasePath, body: `{"title":"","body":7,"titel":"x"}`},
		{name: "validation_failed_domain", method: "POST", path: BasePath, body: `{"title":"","body":"a\u0000b"}`},
		{name: "validation_failed_null", method: "PATCH", path: one, body: `{"title":null}`},
		{name: "validation_failed_empty_patch", method: "PATCH", path: one, body: `{}`},
		{name: "validation_failed_id", method: "GET", path: BasePath + "/42"},
		{name: "validation_failed_limit", method: "GET", path: BasePath + "?limit=0"},
		{name: "invalid_json", method: "POST", path: BasePath, body: "{\n  \"title\": milk\n}"},
		{name: "invalid_cursor", method: "GET", path: BasePath + "?cursor=yesterday"},
		{name: "body_too_large", method: "POST", path: BasePath, body: `{"title":"` + strings.Repeat("x", MaxBody) + `"}`},
		{name: "unsupported_media_type", method: "POST", path: BasePath, body: "title=milk", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{name: "route_not_found", method: "GET", path: "/api/v1/note"},
		{name: "method_not_allowed", method: "PUT", path: one},
		{name: "note_not_found", method: "GET", path: BasePath + "/" + absent},
		{name: "rate_limited", method: "GET", path: BasePath, given: func(o *Options, _ *fixture) {
			o.Limit = func(context.Context, string) Verdict { return Verdict{RetryAfter: 1200 * time.Millisecond} }
		}},
		{name: "request_timeout", method: "GET", path: one, given: func(o *Options, f *fixture) {
			o.Timeout = time.Millisecond
			f.store.Fail = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		}},
		{name: "request_cancelled", method: "GET", path: one, given: func(_ *Options, f *fixture) {
			f.store.Fail = func(context.Context, string) error { return context.Canceled }
		}},
		{name: "database_unavailable", method: "GET", path: one, given: fails(problem.DatabaseUnavailable, "the database cannot be reached", "try again in a moment")},
		{name: "database_timeout", method: "POST", path: BasePath, body: `{"title":"milk"}`, given: fails(problem.DatabaseTimeout, "the database did not answer in time", "try again in a moment")},
		{name: "internal", method: "GET", path: one, given: func(_ *Options, f *fixture) {
			f.store.Fail = func(context.Context, string) error { return errors.New("a cause that clients must not see") }
		}},
		{name: "internal_panic", method: "GET", path: one, given: func(_ *Options, f *fixture) {
			f.store.Fail = func(context.Context, string) error { panic("a cause that clients must not see") }
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			names[tc.name+".golden.json"] = true
			var options *Options
			f := newFixture(t, func(o *Options) { options = o })
			f.note(t, "first", "one two three")
			f.note(t, "second", "")
			if tc.given != nil {
				tc.given(options, f)
				f.Handler = New(*options)
			}
			w := f.send(tc.method, tc.path, tc.body, append([]string{"X-Request-Id", "request-1"}, tc.headers...)...)
			e := open(t, w)
			if e.Error != nil {
				covered[e.Error.Code] = true
			}
			if got := w.Header(); got.Get("X-Request-Id") != "request-1" || e.Meta.RequestID != "request-1" ||
				len(got.Get("X-Trace-Id")) != 32 || e.Meta.TraceID != got.Get("X-Trace-Id") {
				t.Errorf("ids in the header %v, in the body %+v", got, e.Meta)
			}
			compare(t, tc.name, w)
		})
	}
	t.Run("every code has a golden answer", func(t *testing.T) {
		for _, code := range everyCode(t) {
			if !covered[code] {
				t.Errorf("no case answers %s", code)
			}
		}
	})
	t.Run("every golden has a case", func(t *testing.T) {
		files, err := os.ReadDir(goldens)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file.Name(), ".golden.json") && !names[file.Name()] {
				t.Errorf("%s belongs to no case", file.Name())
			}
		}
	})
}

func compare(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	got, err := json.MarshalIndent(struct {
		Status int             `json:"status"`
		Header http.Header     `json:"header"`
		Body   json.RawMessage `json:"body"`
	}{w.Code, w.Header(), w.Body.Bytes()}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join(goldens, name+".golden.json")
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the answer is not that of %s; if it should be, run with -update\ngot  %s\nwant %s", file, got, want)
	}
	if strings.Contains(string(got), "must not see") {
		t.Error("the answer shows the cause")
	}
}
