package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/config"
	"example.com/goldenpath/service/internal/infra/postgres/postgrestest"
)

// patience is for a machine that is busy with other tests.
const patience = 20 * time.Second

// runMain makes this test binary a process of the service: see TestSignals.
const runMain = "RUN_APP_MAIN"

var server *postgrestest.Server

func TestMain(m *testing.M) {
	stdio := Stdio{Out: os.Stdout, Err: os.Stderr}
	switch Role(os.Getenv(runMain)) {
	case RoleServer:
		os.Exit(ServerMain(os.Args[1:], os.Environ(), stdio))
	case RoleWorker:
		os.Exit(WorkerMain(os.Args[1:], os.Environ(), stdio))
	case RoleScheduler:
		os.Exit(SchedulerMain(os.Args[1:], os.Environ(), stdio))
	}
	os.Exit(postgrestest.Main(m, func(s *postgrestest.Server) { server = s }))
}

// nowhere is an address of this machine where nothing listens: port 1 is
// reserved (tcpmux) and refuses at once.
const nowhere = "127.0.0.1:1"

// settings loads a configuration whose ports are free ones and whose
// dependencies are away, changed by NAME=value pairs.
func settings(t testing.TB, environ ...string) config.Config {
	t.Helper()
	t.Chdir(t.TempDir()) // no .env
	c, report := config.Load(config.Sources{Environ: append(away(), environ...)})
	if !report.OK() {
		t.Fatalf("the configuration of the test is not valid: %+v", report.Problems)
	}
	return c
}

func away() []string {
	return []string{
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "WORKER_ADMIN_ADDR=127.0.0.1:0", "SCHEDULER_ADMIN_ADDR=127.0.0.1:0",
		"DATABASE_URL=postgres://me:hunter2@" + nowhere + "/x", "REDIS_URL=redis://" + nowhere, "KAFKA_BROKERS=" + nowhere,
		"RATE_LIMIT_RPS=0", "SERVICE_ENV=test",
	}
}

// running starts p and returns what ends it: the error of Run.
func running(t testing.TB, p *Process, err error) (stop func() error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			t.Error("the process does not end")
			return nil
		}
	})
	t.Cleanup(func() {
		_ = stop()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return stop
}

// call makes a request with a JSON body and returns status and envelope.
func call(t *testing.T, method, url, body string) (int, envelope, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%s %s: %d is not JSON: %s", method, url, response.StatusCode, text)
	}
	return response.StatusCode, e, response.Header
}

// text is the body of a GET.
func text(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// envelope is what the tests read of an answer, of /readyz too.
type envelope struct {
	Data struct {
		ID        string `json:"id"`
		Title     string `json:"title"`
		WordCount *int   `json:"word_count"`
	} `json:"data"`
	Error struct {
		Code string `json:"code"`
		Hint string `json:"hint"`
	} `json:"error"`
	Meta struct {
		TraceID   string `json:"trace_id"`
		RequestID string `json:"request_id"`
	} `json:"meta"`
	Status string `json:"status"`
}

// eventually polls until ok, and fails with what after patience.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// buffer takes text from any goroutine.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

var quiet = zap.NewNop()
