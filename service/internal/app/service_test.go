package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap/zapcore"

	"example.com/goldenpath/replay/archive"
	"example.com/goldenpath/service/internal/infra/gatetest"
	"example.com/goldenpath/service/internal/observability"
)

// dependencies are real PostgreSQL, and the protocols of Redis and Kafka.
func dependencies(t testing.TB) (environ []string, database *gatetest.Gate) {
	t.Helper()
	database = gatetest.New(t, server.Addr())
	redis := miniredis.RunT(t)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "notes.v1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	name := server.Database(t)
	return []string{
		"DATABASE_URL=" + strings.Replace(server.URL(name), server.Addr(), database.Addr(), 1),
		"REDIS_URL=redis://" + redis.Addr(),
		"KAFKA_BROKERS=" + strings.Join(kafka.ListenAddrs(), ","),
	}, database
}

func TestService(t *testing.T) {
	environ, database := dependencies(t)
	captures := t.TempDir()
	c := settings(t, append(environ, "DATABASE_TIMEOUT=500ms", "CAPTURE_DIR="+captures)...)
	spans := tracetest.NewSpanRecorder()
	logs := &buffer{}
	log := observability.NewLogger(logs, zapcore.InfoLevel, "notes-server", "test")
	p, err := Server(t.Context(), c, log, spans)
	stopServer := running(t, p, err)
	w, err := Worker(t.Context(), c, quiet, spans)
	stopWorker := running(t, w, err)
	notes := "http://" + p.HTTPAddr + "/api/v1/notes"

	status, created, _ := call(t, http.MethodPost, notes, `{"title":"milk","body":"two litres of it"}`)
	if status != http.StatusCreated {
		t.Fatalf("creating: %d %+v", status, created)
	}
	t.Run("server and worker are ready", func(t *testing.T) {
		for _, addr := range []string{p.AdminAddr, w.AdminAddr} {
			eventually(t, "ready", func() bool {
				status, e, _ := call(t, http.MethodGet, "http://"+addr+"/readyz", "")
				return status == http.StatusOK && e.Status == "ready"
			})
		}
	})
	t.Run("the worker counts the words of a note that the server created", func(t *testing.T) {
		eventually(t, "the word count is there", func() bool {
			_, e, _ := call(t, http.MethodGet, notes+"/"+created.Data.ID, "")
			return e.Data.WordCount != nil && *e.Data.WordCount == 4
		})
	})
	t.Run("from the request to the task it is one trace", func(t *testing.T) {
		want := []string{
			"POST /api/v1/notes", "notes.Create", "CreateNote", "AppendOutbox", "COMMIT",
			"notes.v1 publish", "notes.v1 process", "notes:count-words process", "notes.CountWords", "UpdateNote",
		}
		missing := func() (missing []string) {
			found := map[string]bool{}
			for _, span := range spans.Ended() {
				if span.SpanContext().TraceID().String() == created.Meta.TraceID {
					found[span.Name()] = true
				}
			}
			for _, name := range want {
				if !found[name] {
					missing = append(missing, name)
				}
			}
			return missing
		}
		eventually(t, "every span is in the trace", func() bool { return len(missing()) == 0 })
	})
	t.Run("the request is in the captures, under its trace id", func(t *testing.T) {
		eventually(t, "the exchange is found", func() bool {
			reader, err := archive.Open(captures)
			if err != nil {
				return false
			}
			defer reader.Close()
			found, err := reader.Find(created.Meta.TraceID)
			return err == nil && len(found) == 1 && found[0].Response.Status == http.StatusCreated && found[0].RequestID == created.Meta.RequestID
		})
	})
	t.Run("a database that falls silent is database_timeout, within the limit", func(t *testing.T) {
		database.Silence()
		defer database.Open(t)
		began := time.Now()
		status, e, _ := call(t, http.MethodGet, notes, "")
		if took := time.Since(began); status != http.StatusGatewayTimeout || e.Error.Code != "database_timeout" || took > 3*time.Second {
			t.Errorf("answer after %s = %d %+v", took, status, e)
		}
	})
	t.Run("a database that refuses is database_unavailable, and is back when it is", func(t *testing.T) {
		database.Refuse()
		status, e, _ := call(t, http.MethodPost, notes, `{"title":"x"}`)
		if status != http.StatusServiceUnavailable || e.Error.Code != "database_unavailable" {
			t.Errorf("answer = %d %+v", status, e)
		}
		database.Open(t)
		eventually(t, "writes work", func() bool {
			status, _, _ := call(t, http.MethodPost, notes, `{"title":"x"}`)
			return status == http.StatusCreated
		})
	})
	t.Run("server and worker end well and flush what they hold", func(t *testing.T) {
		_, last, _ := call(t, http.MethodGet, notes+"/"+created.Data.ID, "")
		if err := stopServer(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if err := stopWorker(); err != nil {
			t.Errorf("the worker ended with %v", err)
		}
		reader, err := archive.Open(captures)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		if found, err := reader.Find(last.Meta.TraceID); err != nil || len(found) != 1 {
			t.Errorf("found %d, %v", len(found), err)
		}
		if strings.Contains(logs.String(), "goldenpath:goldenpath") {
			t.Error("the logs show a password")
		}
	})
}

func TestServerSettings(t *testing.T) {
	t.Run("the rate limit of the configuration is enforced over Redis", func(t *testing.T) {
		redis := miniredis.RunT(t)
		p, err := Server(t.Context(), settings(t, "REDIS_URL=redis://"+redis.Addr(), "RATE_LIMIT_RPS=0.01", "RATE_LIMIT_BURST=2"), quiet)
		running(t, p, err)
		var codes []string
		for range 3 {
			_, e, _ := call(t, http.MethodGet, "http://"+p.HTTPAddr+"/nothing", "")
			codes = append(codes, e.Error.Code)
		}
		if got := strings.Join(codes, " "); got != "route_not_found route_not_found rate_limited" {
			t.Errorf("codes = %s", got)
		}
	})
	t.Run("a folder for captures that cannot be used costs the captures alone", func(t *testing.T) {
		logs := &buffer{}
		p, err := Server(t.Context(), settings(t, "CAPTURE_DIR=/dev/null/captures"), observability.NewLogger(logs, zapcore.InfoLevel, "x", "test"))
		running(t, p, err)
		if status, e, _ := call(t, http.MethodGet, "http://"+p.HTTPAddr+"/nothing", ""); status != http.StatusNotFound {
			t.Errorf("answer = %d %+v", status, e)
		}
		if !strings.Contains(logs.String(), "requests are not captured") {
			t.Errorf("logs = %s", logs)
		}
	})
	t.Run("a collector that is away is one line and costs no request", func(t *testing.T) {
		logs := &buffer{}
		p, err := Server(t.Context(), settings(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+nowhere), observability.NewLogger(logs, zapcore.InfoLevel, "x", "test"))
		stop := running(t, p, err)
		call(t, http.MethodGet, "http://"+p.HTTPAddr+"/nothing", "")
		eventually(t, "the failure is logged", func() bool { return strings.Contains(logs.String(), "spans cannot be exported") })
		for range 20 {
			if status, _, _ := call(t, http.MethodGet, "http://"+p.HTTPAddr+"/nothing", ""); status != http.StatusNotFound {
				t.Errorf("answer = %d", status)
			}
		}
		if err := stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
		if n := strings.Count(logs.String(), "spans cannot be exported"); n != 1 {
			t.Errorf("it is logged %d times", n)
		}
	})
}
