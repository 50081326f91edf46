package observability

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the numbers of one process, on a registry of their own.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// NewMetrics returns the metrics of the Go runtime, the process and its
// requests.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total",
			Help: "Requests answered, by route pattern, method, HTTP status and public error code (empty when none).",
		}, []string{"route", "method", "status", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds",
			Help: "Time from the request's header to the end of its response.",
			// From a cache hit to the request's time limit.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight",
			Help: "Requests being answered now.",
		}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.duration, m.inFlight,
	)
	return m
}

// Began counts a request in; the caller calls Ended once it is answered.
func (m *Metrics) Began() { m.inFlight.Inc() }

// Ended counts a request out. The labels must come from small, fixed sets:
// route is a pattern, never a path, and method one that the service knows or
// "other".
func (m *Metrics) Ended(route, method string, status int, code string, took time.Duration) {
	m.inFlight.Dec()
	s := strconv.Itoa(status)
	m.requests.WithLabelValues(route, method, s, code).Inc()
	m.duration.WithLabelValues(route, method, s).Observe(took.Seconds())
}

// CaptureStats shows how many exchanges the capture archive has written and
// how many it has dropped. It is called once, when there is an archive.
func (m *Metrics) CaptureStats(stats func() (written, dropped uint64)) {
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "capture_exchanges_written_total",
			Help: "Exchanges written to the capture archive.",
		}, func() float64 { w, _ := stats(); return float64(w) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "capture_exchanges_dropped_total",
			Help: "Exchanges lost to a full queue or a failing disk.",
		}, func() float64 { _, d := stats(); return float64(d) }),
	)
}

// Pruning returns what the worker tells how many keys it has forgotten. It is
// called once, by a process that prunes.
func (m *Metrics) Pruning() func(keys int64) {
	pruned := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ledger_keys_pruned_total",
		Help: "Keys of handled events that the ledger has forgotten because of their age.",
	})
	m.registry.MustRegister(pruned)
	return func(keys int64) { pruned.Add(float64(keys)) }
}

// Scheduling returns what the scheduler tells how its attempts ended. It is
// called once, by a process that schedules. Both labels must come from small,
// fixed sets.
func (m *Metrics) Scheduling() func(task, result string) {
	scheduled := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "scheduler_tasks_total",
		Help: "Attempts to schedule a task, by its type and result: enqueued, present (it was there already) or failed.",
	}, []string{"task", "result"})
	m.registry.MustRegister(scheduled)
	return func(task, result string) { scheduled.WithLabelValues(task, result).Inc() }
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
