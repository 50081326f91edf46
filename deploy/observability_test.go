package deploy_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// pullLimit is for a gigabyte over a slow line.
const pullLimit = 15 * time.Minute

// needImage skips a test whose image cannot be had, unless GOLDENPATH_REGISTRY=1
// says that it must be.
func needImage(t *testing.T, image string) {
	t.Helper()
	if exec.CommandContext(t.Context(), "docker", "image", "inspect", image).Run() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), pullLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "pull", "--quiet", image).CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("GOLDENPATH_REGISTRY") == "1":
		t.Fatalf("pull %s: %v\n%s", image, err, out)
	default:
		t.Skipf("needs the image %s, which cannot be pulled here (%s); GOLDENPATH_REGISTRY=1 makes that a failure",
			image, strings.TrimSpace(string(out)))
	}
}

// TestObservability asks Grafana alone, as a person would: it reaches the others
// for us.
func TestObservability(t *testing.T) {
	needDocker(t)
	needImage(t, readComposition(t).Services["lgtm"].Image)
	s := start(t, hostBuild, "full", "observability")

	var note struct {
		Meta struct {
			TraceID string `json:"trace_id"`
		}
	}
	send(t, "POST", s.url("SERVICE", "/api/v1/notes"), `{"title":"milk"}`).decode(t, &note)

	t.Run("Grafana has the dashboard", func(t *testing.T) {
		var got struct{ Dashboard dashboard }
		send(t, "GET", s.url("GRAFANA", "/api/dashboards/uid/"+readDashboard(t).UID), "").decode(t, &got)
		if want := len(readDashboard(t).Panels); len(got.Dashboard.Panels) != want {
			t.Errorf("it has %d panels, want %d", len(got.Dashboard.Panels), want)
		}
	})
	t.Run("Prometheus has the alerts", func(t *testing.T) {
		var got struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name string }
				}
			}
		}
		s.ask(t, "prometheus", "/api/v1/rules?type=alert", &got)
		var names []string
		for _, g := range got.Data.Groups {
			for _, r := range g.Rules {
				names = append(names, r.Name)
			}
		}
		for _, want := range readAlerts(t) {
			if !slices.Contains(names, want.Alert) {
				t.Errorf("%s is not among %v", want.Alert, names)
			}
		}
	})
	t.Run("Prometheus scrapes every process", func(t *testing.T) {
		eventually(t, time.Minute, "three targets are up", func() bool {
			var got struct {
				Data struct{ Result []json.RawMessage }
			}
			s.ask(t, "prometheus", "/api/v1/query?query="+url.QueryEscape(`up{job=~"notes-.+"} == 1`), &got)
			return len(got.Data.Result) == 3
		})
	})
	t.Run("Tempo has the trace, from the request to the worker", func(t *testing.T) {
		eventually(t, time.Minute, "spans of both", func() bool {
			body := send(t, "GET", s.url("GRAFANA", "/api/datasources/proxy/uid/tempo/api/traces/"+note.Meta.TraceID), "").body
			return strings.Contains(body, "notes-server") && strings.Contains(body, "notes-worker")
		})
	})
	t.Run("Loki has its lines, with the trace id", func(t *testing.T) {
		eventually(t, time.Minute, "lines of both", func() bool {
			var got struct {
				Data struct {
					Result []struct{ Stream map[string]string }
				}
			}
			query := `{service_name=~"notes-.+"} | trace_id="` + note.Meta.TraceID + `"`
			s.ask(t, "loki", "/loki/api/v1/query_range?query="+url.QueryEscape(query), &got)
			from := map[string]bool{}
			for _, r := range got.Data.Result {
				from[r.Stream["service_name"]] = true
			}
			return from["notes-server"] && from["notes-worker"]
		})
	})
}

// ask sends a request through Grafana to one of its data sources.
func (s *stack) ask(t *testing.T, source, path string, into any) {
	t.Helper()
	a := send(t, "GET", s.url("GRAFANA", "/api/datasources/proxy/uid/"+source+path), "")
	if a.status != 200 {
		t.Fatalf("%s answers %d %s", source, a.status, a.body)
	}
	a.decode(t, into)
}
