package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/goldenpath/service/internal/domain/problem"
)

func TestRequestIDs(t *testing.T) {
	f := newFixture(t)
	t.Run("a client's id comes back", func(t *testing.T) {
		w := f.send(http.MethodGet, BasePath, "", "X-Request-Id", "Order.42_a-b")
		if got := w.Header().Get("X-Request-Id"); got != "Order.42_a-b" {
			t.Errorf("id = %q", got)
		}
	})
	for fact, id := range map[string]string{
		"none":                    "",
		"one that is too long":    strings.Repeat("x", 65),
		"one with a space":        "a b",
		"one with a quote":        `a"b`,
		"one with letters beyond": "é",
	} {
		t.Run("a fresh id replaces "+fact, func(t *testing.T) {
			w := f.send(http.MethodGet, BasePath, "", "X-Request-Id", id)
			if got := w.Header().Get("X-Request-Id"); got != "request-made-here" {
				t.Errorf("id = %q", got)
			}
		})
	}
	t.Run("a client's trace is carried on", func(t *testing.T) {
		w := f.send(http.MethodGet, BasePath, "", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		if got := w.Header().Get("X-Trace-Id"); got != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("trace = %q", got)
		}
	})
	t.Run("a malformed traceparent starts a trace anew", func(t *testing.T) {
		for _, parent := range []string{"00-00000000000000000000000000000000-b7ad6b7169203331-01", "garbage", strings.Repeat("0", 5000)} {
			w := f.send(http.MethodGet, BasePath, "", "Traceparent", parent)
			if got := w.Header().Get("X-Trace-Id"); len(got) != 32 || strings.HasPrefix(parent, "00-"+got) {
				t.Errorf("trace = %q of parent %q", got, parent)
			}
		}
	})
}

func TestLogs(t *testing.T) {
	f := newFixture(t)
	id := f.note(t, "milk", "")
	f.send(http.MethodGet, BasePath+"/"+id, "")
	f.send(http.MethodGet, "/wp-login.php", "")
	f.store.Fail = func(_ context.Context, operation string) error {
		if operation == "notes.list" {
			panic("boom")
		}
		return problem.New(problem.DatabaseUnavailable, "the database cannot be reached", "try again")
	}
	f.send(http.MethodGet, BasePath+"/"+id, "")
	f.send(http.MethodGet, BasePath, "")
	f.send("BREW", BasePath, "")

	lines := f.logs.lines(t)
	t.Run("every line carries the ids of trace and request", func(t *testing.T) {
		for _, line := range lines {
			if trace, _ := line["trace_id"].(string); len(trace) != 32 || line["request_id"] != "request-made-here" || line["service"] != "notes-server" {
				t.Errorf("line = %v", line)
			}
		}
	})
	var access []map[string]any
	byMessage := map[string][]map[string]any{}
	for _, line := range lines {
		byMessage[line["msg"].(string)] = append(byMessage[line["msg"].(string)], line)
	}
	access = byMessage["request"]
	t.Run("each request has one access line with its route and its code", func(t *testing.T) {
		var got []string
		for _, line := range access {
			got = append(got, line["method"].(string)+" "+line["route"].(string)+" "+line["error_code"].(string))
			if line["status"].(float64) < 200 || line["bytes"].(float64) == 0 || line["duration_ms"] == nil || line["client"] != "192.0.2.1" {
				t.Errorf("line = %v", line)
			}
		}
		want := "POST /api/v1/notes \nGET /api/v1/notes/{id} \nGET unmatched route_not_found\n" +
			"GET /api/v1/notes/{id} database_unavailable\nGET /api/v1/notes internal\nBREW unmatched method_not_allowed"
		if strings.Join(got, "\n") != want {
			t.Errorf("access lines:\n%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
	})
	t.Run("a panic is logged with its stack", func(t *testing.T) {
		panics := byMessage["a handler panicked"]
		if len(panics) != 1 || panics[0]["panic"] != "boom" || panics[0]["level"] != "error" ||
			!strings.Contains(panics[0]["stack"].(string), "observe_test.go") {
			t.Errorf("lines = %v", panics)
		}
	})
	t.Run("a failing dependency is a warning with its code and cause", func(t *testing.T) {
		for _, line := range byMessage["request failed"] {
			if line["error_code"] == "database_unavailable" && line["level"] != "warn" {
				t.Errorf("line = %v", line)
			}
		}
		if n := len(byMessage["request failed"]); n != 4 {
			t.Errorf("%d lines, want one for each of 4 failures", n)
		}
	})
	t.Run("spans are named after routes, never after paths", func(t *testing.T) {
		var names []string
		for _, span := range f.spans.Ended() {
			if !span.Parent().IsValid() {
				names = append(names, span.Name())
			}
		}
		want := "POST /api/v1/notes, GET /api/v1/notes/{id}, GET unmatched, GET /api/v1/notes/{id}, GET /api/v1/notes, other unmatched"
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("spans = %s\nwant    %s", got, want)
		}
	})
	t.Run("the metrics count routes, methods, statuses and codes from fixed sets", func(t *testing.T) {
		w := httptest.NewRecorder()
		f.stats.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text := w.Body.String()
		for _, want := range []string{
			`http_requests_total{code="",method="POST",route="/api/v1/notes",status="201"} 1`,
			`http_requests_total{code="database_unavailable",method="GET",route="/api/v1/notes/{id}",status="503"} 1`,
			`http_requests_total{code="internal",method="GET",route="/api/v1/notes",status="500"} 1`,
			`http_requests_total{code="method_not_allowed",method="other",route="unmatched",status="405"} 1`,
			`http_request_duration_seconds_count{method="GET",route="unmatched",status="404"} 1`,
			`http_requests_in_flight 0`,
			`go_goroutines`,
			`process_open_fds`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in the metrics", want)
			}
		}
		if strings.Contains(text, "wp-login") || strings.Contains(text, "BREW") {
			t.Error("what a client made up is a label")
		}
	})
}
