package observability

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAdmin(t *testing.T) {
	fine := func(context.Context) error { return nil }
	away := func(context.Context) error { return errors.New("connection refused") }
	get := func(t *testing.T, h *Health, path string) *httptest.ResponseRecorder {
		t.Helper()
		w := httptest.NewRecorder()
		AdminHandler(h, NewMetrics()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	for _, tc := range []struct {
		fact            string
		database, redis func(context.Context) error
		drain           bool
		status          int
		word            string
	}{
		{"with all dependencies it is ready", fine, fine, false, 200, "ready"},
		{"without an optional one it is degraded, and given work", fine, away, false, 200, "degraded"},
		{"without a required one it is not ready", away, fine, false, 503, "not_ready"},
		{"without any it is not ready", away, away, false, 503, "not_ready"},
		{"at its end it is draining, whatever the checks say", fine, fine, true, 503, "draining"},
	} {
		t.Run(tc.fact, func(t *testing.T) {
			h := NewHealth(Check{"database", true, tc.database}, Check{"redis", false, tc.redis})
			if tc.drain {
				h.Drain()
			}
			w := get(t, h, "/readyz")
			var r Readiness
			if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			if w.Code != tc.status || r.Status != tc.word || len(r.Checks) != 2 || r.Checks[0].Name != "database" || !r.Checks[0].Required {
				t.Errorf("answer = %d %+v", w.Code, r)
			}
			for i, ping := range []func(context.Context) error{tc.database, tc.redis} {
				if err := ping(t.Context()); err != nil && (r.Checks[i].Status != "failed" || r.Checks[i].Error != err.Error()) {
					t.Errorf("check = %+v", r.Checks[i])
				}
			}
		})
	}
	t.Run("a check that hangs has failed after two seconds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			h := NewHealth(Check{"database", true, func(context.Context) error { <-release; return nil }},
				Check{"redis", false, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
			began := time.Now()
			r := h.Ready(t.Context())
			if took := time.Since(began); took > checkTimeout+200*time.Millisecond {
				t.Errorf("it took %s", took)
			}
			if r.Status != "not_ready" || r.Checks[0].Error != "no answer within 2s" || r.Checks[1].Error != context.DeadlineExceeded.Error() {
				t.Errorf("readiness = %+v", r)
			}
			close(release)
		})
	})
	t.Run("it is alive whatever its dependencies do", func(t *testing.T) {
		if w := get(t, NewHealth(Check{"database", true, away}), "/healthz"); w.Code != http.StatusOK {
			t.Errorf("answer = %d", w.Code)
		}
	})
	t.Run("the metrics of captures are shown", func(t *testing.T) {
		m := NewMetrics()
		m.CaptureStats(func() (uint64, uint64) { return 5, 2 })
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		for _, want := range []string{"capture_exchanges_written_total 5", "capture_exchanges_dropped_total 2"} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("no %s", want)
			}
		}
	})
}
