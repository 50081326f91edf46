package observability

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// A check that has not answered by then has failed.
const checkTimeout = 2 * time.Second

// Check asks one dependency whether it answers.
type Check struct {
	Name     string
	Required bool // without it the process is not ready; else only degraded
	Ping     func(ctx context.Context) error
}

// CheckResult is what a check found.
type CheckResult struct {
	Name       string  `json:"name"`
	Required   bool    `json:"required"`
	Status     string  `json:"status"` // ok or failed
	Error      string  `json:"error,omitempty"`
	DurationMS float64 `json:"duration_ms"`
}

// Readiness is the body of /readyz.
type Readiness struct {
	// Status is ready, degraded (something optional is away), not_ready
	// (something required is) or draining (the process is about to end).
	Status string        `json:"status"`
	Checks []CheckResult `json:"checks"`
}

// Health knows whether the process should be given work. Safe for concurrent
// use.
type Health struct {
	checks   []Check
	draining atomic.Bool
}

// NewHealth returns the health of a process with these dependencies.
func NewHealth(checks ...Check) *Health { return &Health{checks: checks} }

// Drain says from now on that the process is not ready, whatever its
// dependencies say.
func (h *Health) Drain() { h.draining.Store(true) }

// Ready runs all checks at once and waits for each at most two seconds.
func (h *Health) Ready(ctx context.Context) Readiness {
	r := Readiness{Status: "ready", Checks: make([]CheckResult, len(h.checks))}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]chan CheckResult, len(h.checks))
	for i, c := range h.checks {
		results[i] = make(chan CheckResult, 1)
		go func() { results[i] <- run(ctx, c) }()
	}
	for i, c := range h.checks {
		select {
		case r.Checks[i] = <-results[i]:
		case <-ctx.Done():
			// A check that ends with its context has its own words for it; one
			// that does not is left behind.
			select {
			case r.Checks[i] = <-results[i]:
			case <-time.After(100 * time.Millisecond):
				r.Checks[i] = CheckResult{Name: c.Name, Required: c.Required, Status: "failed",
					Error: fmt.Sprintf("no answer within %s", checkTimeout), DurationMS: millis(checkTimeout)}
			}
		}
	}
	for _, c := range r.Checks {
		switch {
		case c.Status == "ok":
		case c.Required:
			r.Status = "not_ready"
		case r.Status == "ready":
			r.Status = "degraded"
		}
	}
	if h.draining.Load() {
		r.Status = "draining"
	}
	return r
}

func run(ctx context.Context, c Check) CheckResult {
	began := time.Now()
	err := c.Ping(ctx)
	result := CheckResult{Name: c.Name, Required: c.Required, Status: "ok", DurationMS: millis(time.Since(began))}
	if err != nil {
		result.Status, result.Error = "failed", err.Error()
	}
	return result
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// AdminHandler serves /healthz (200 while the process lives), /readyz (200 when
// ready or degraded, else 503, with each check) and /metrics.
func AdminHandler(h *Health, m *Metrics) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ready := h.Ready(r.Context())
		status := http.StatusOK
		if ready.Status == "not_ready" || ready.Status == "draining" {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, ready)
	})
	mux.Handle("GET /metrics", m.Handler())
	return mux
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The client may have gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(body)
}
