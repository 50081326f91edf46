package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hostBuild lets the build use the machine's network, and with it a module proxy
// that only the machine reaches.
const hostBuild = `
services:
  toxiproxy: {build: {network: host}}
  migrate: {build: {network: host}}
  service: {build: {network: host}}
  worker: {build: {network: host}}
  scheduler: {build: {network: host}}
`

// withReceiver adds testdata/receiver under the name of the profile
// observability.
const withReceiver = hostBuild + `
  receiver:
    image: redis:8.2.3 # any image with a root file system
    profiles: [full]
    entrypoint: [/receiver]
    volumes: ["RECEIVER:/receiver:ro"]
    networks: {proxied: {aliases: [lgtm]}}
    ports: ["127.0.0.1:${SYSLOG_PORT}:5514/udp"]
    read_only: true
    stop_grace_period: 1s
`

// received is a line of testdata/receiver.
type received struct {
	Service string `json:"service"`
	TraceID string `json:"trace_id"`
	Span    string `json:"span"`
	Line    string `json:"line"`
}

func TestFull(t *testing.T) {
	needDocker(t)
	receiver := filepath.Join(t.TempDir(), "receiver")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", receiver, "./testdata/receiver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the receiver: %v\n%s", err, out)
	}
	s := start(t, strings.ReplaceAll(withReceiver, "RECEIVER", receiver), "full")

	notes := s.url("SERVICE", "/api/v1/notes")
	var note struct {
		Data struct{ ID, Title string }
		Meta struct {
			TraceID string `json:"trace_id"`
		}
	}
	created := send(t, "POST", notes, `{"title":"milk","body":"two pints"}`)
	created.decode(t, &note)

	t.Run("every process is healthy, and the schema was made before they were", func(t *testing.T) {
		states := map[string]string{}
		for line := range strings.Lines(s.compose(t, "ps", "--all", "--format", "json")) {
			var c struct {
				Service, Health string
				ExitCode        int
			}
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatal(err)
			}
			if states[c.Service] = c.Health; c.ExitCode != 0 {
				t.Errorf("%s ended with %d", c.Service, c.ExitCode)
			}
		}
		for _, p := range []string{"postgres", "redis", "kafka", "toxiproxy", "service", "worker", "scheduler"} {
			if states[p] != "healthy" {
				t.Errorf("%s is %q", p, states[p])
			}
		}
	})
	t.Run("a note that is made can be read", func(t *testing.T) {
		if created.status != 201 || note.Data.ID == "" {
			t.Fatalf("POST was answered %d %s", created.status, created.body)
		}
		if got := send(t, "GET", notes+"/"+note.Data.ID, ""); got.status != 200 || !strings.Contains(got.body, "two pints") {
			t.Errorf("GET was answered %d %s", got.status, got.body)
		}
	})
	t.Run("its event goes through Kafka to the worker, in the trace of the request", func(t *testing.T) {
		eventually(t, 30*time.Second, "the worker has done a task of trace "+note.Meta.TraceID, func() bool {
			logs := s.compose(t, "logs", "--no-log-prefix", "worker")
			for line := range strings.Lines(logs) {
				if strings.Contains(line, note.Meta.TraceID) && strings.Contains(line, "a task is done") {
					return true
				}
			}
			return false
		})
	})
	t.Run("the spans of server and worker reach the OTLP backend", func(t *testing.T) {
		eventually(t, 30*time.Second, "spans of both", func() bool {
			from := map[string]bool{}
			for _, r := range s.received(t) {
				if r.TraceID == note.Meta.TraceID {
					from[r.Service] = true
				}
			}
			return from["notes-server"] && from["notes-worker"]
		})
	})
	t.Run("their log lines reach the log backend, and docker compose logs has them too", func(t *testing.T) {
		eventually(t, 30*time.Second, "lines of both", func() bool {
			from := map[string]bool{}
			for _, r := range s.received(t) {
				for _, tag := range []string{"notes-server", "notes-worker"} {
					// RFC 5424: header, structured data (none), message.
					if strings.Contains(r.Line, " "+tag+" ") && strings.Contains(r.Line, ` - {`) && strings.Contains(r.Line, note.Meta.TraceID) {
						from[tag] = true
					}
				}
			}
			return len(from) == 2
		})
		if logs := s.compose(t, "logs", "--no-log-prefix", "service"); !strings.Contains(logs, note.Meta.TraceID) {
			t.Errorf("docker compose logs service has no line of trace %s", note.Meta.TraceID)
		}
	})
	t.Run("a toxic makes the service slow until it is removed", func(t *testing.T) {
		const latency = 700 * time.Millisecond
		toxics := s.url("TOXIPROXY", "/proxies/db/toxics")
		list := notes + "?limit=1"
		if before := send(t, "GET", list, ""); before.status != 200 || before.elapsed > latency {
			t.Fatalf("before: %d after %s: %s", before.status, before.elapsed, before.body)
		}
		if a := send(t, "POST", toxics, `{"name":"slow","type":"latency","attributes":{"latency":700}}`); a.status != 200 {
			t.Fatalf("POST %s was answered %d %s", toxics, a.status, a.body)
		}
		if during := send(t, "GET", list, ""); during.status != 200 || during.elapsed < latency {
			t.Errorf("during: %d after %s: %s", during.status, during.elapsed, during.body)
		}
		if a := send(t, "DELETE", toxics+"/slow", ""); a.status != 204 {
			t.Fatalf("DELETE was answered %d %s", a.status, a.body)
		}
		if after := send(t, "GET", list, ""); after.status != 200 || after.elapsed > latency {
			t.Errorf("after: %d after %s: %s", after.status, after.elapsed, after.body)
		}
	})
	t.Run("the service is reached from this machine alone", func(t *testing.T) {
		if addr := strings.TrimSpace(s.compose(t, "port", "service", "8081")); addr != "127.0.0.1:"+s.ports["SERVICE"] {
			t.Errorf("it is published at %s", addr)
		}
	})
}

// received is what testdata/receiver got so far.
func (s *stack) received(t *testing.T) []received {
	t.Helper()
	var all []received
	for line := range strings.Lines(s.compose(t, "logs", "--no-log-prefix", "receiver")) {
		var r received
		// Compose clears the line of a terminal first, even where there is none.
		if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "\x1b[2K")), &r); err != nil {
			t.Fatalf("the receiver says %q", line)
		}
		all = append(all, r)
	}
	return all
}
