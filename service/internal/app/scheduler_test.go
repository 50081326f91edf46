package app

import (
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"example.com/goldenpath/service/internal/infra/gatetest"
	"example.com/goldenpath/service/internal/infra/redis/redistest"
	"example.com/goldenpath/service/internal/observability"
)

func TestScheduler(t *testing.T) {
	t.Run("scheduler and worker prune what the ledger has remembered for too long", func(t *testing.T) {
		environ, _ := dependencies(t)
		c := settings(t, append(environ, "LEDGER_RETENTION=24h")...)
		name := c.DatabaseURL.Reveal()[strings.LastIndex(c.DatabaseURL.Reveal(), "/")+1:]
		name, _, _ = strings.Cut(name, "?")
		server.Exec(t, name, "INSERT INTO handled VALUES ('old', now() - interval '25 hours'), ('young', now() - interval '23 hours')")

		logs := &buffer{}
		w, err := Worker(t.Context(), c, observability.NewLogger(logs, zapcore.InfoLevel, "notes-worker", "test"))
		running(t, w, err)
		s, err := Scheduler(t.Context(), c, quiet)
		running(t, s, err)
		eventually(t, "the old key to be gone", func() bool {
			return server.Holds(t, name, "SELECT count(*) = 1 AND min(key) = 'young' FROM handled")
		})
		eventually(t, "the run to be told, in metrics and in the log", func() bool {
			return strings.Contains(text(t, "http://"+w.AdminAddr+"/metrics"), "\nledger_keys_pruned_total 1\n") &&
				strings.Contains(logs.String(), `"msg":"the ledger is pruned"`)
		})
		if got := text(t, "http://"+s.AdminAddr+"/metrics"); !strings.Contains(got, `scheduler_tasks_total{result="enqueued",task="maintenance:prune"} 1`) {
			t.Error("the scheduler does not count what it scheduled")
		}
	})
	t.Run("without redis the scheduler is not ready, and with it it is", func(t *testing.T) {
		gate := gatetest.New(t, redistest.Start(t))
		gate.Refuse()
		s, err := Scheduler(t.Context(), settings(t, "REDIS_URL=redis://"+gate.Addr()), quiet)
		running(t, s, err)
		if status, e, _ := call(t, http.MethodGet, "http://"+s.AdminAddr+"/readyz", ""); status != http.StatusServiceUnavailable || e.Status != "not_ready" {
			t.Errorf("readiness = %d %+v", status, e)
		}
		gate.Open(t)
		eventually(t, "it to be ready", func() bool {
			status, e, _ := call(t, http.MethodGet, "http://"+s.AdminAddr+"/readyz", "")
			return status == http.StatusOK && e.Status == "ready"
		})
	})
}
