package deploy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// nowhere is a port that nobody listens at.
const nowhere = "127.0.0.1:1"

// Labels that Prometheus adds to what it scrapes, and those of histograms.
var added = []string{"job", "instance", "le"}

// TestQueries holds the dashboards and the alerts to what the processes of the
// service really export. They need no dependency for that: they run without.
func TestQueries(t *testing.T) {
	exported := metrics{"up": {}}
	for _, process := range []string{"server", "worker", "scheduler"} {
		exported.read(t, process)
	}
	queries := map[string]string{}
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			if source := q.source(p); source == "prometheus" {
				queries["dashboard panel "+p.Title] += q.Expr + "\n"
			}
		}
	}
	for _, rule := range readAlerts(t) {
		queries["alert "+rule.Alert] = rule.Expr
	}
	for name, query := range queries {
		t.Run(name+" asks for metrics and labels that are exported", func(t *testing.T) {
			for _, unknown := range exported.unknown(query) {
				t.Errorf("%s is not exported, in\n%s", unknown, query)
			}
		})
	}
	t.Run("the public codes that they ask for are those of the contract", func(t *testing.T) {
		contract, err := os.ReadFile("../service/api/openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for name, query := range queries {
			for _, m := range regexp.MustCompile(`\bcode=~"([^"]+)"`).FindAllStringSubmatch(query, -1) {
				for code := range strings.SplitSeq(m[1], "|") {
					if !strings.Contains(string(contract), "        - "+code+"\n") {
						t.Errorf("%s asks for %q, which openapi.yaml does not have", name, code)
					}
				}
			}
		}
	})
	t.Run("a metric and a label that nobody exports are found out", func(t *testing.T) {
		got := exported.unknown(`sum by (planet) (rate(http_request_total{color="red", job="a"}[5m])) / http_requests_total{color="and up"}`)
		if want := []string{"label color", "label planet", "metric http_request_total"}; !slices.Equal(got, want) {
			t.Errorf("unknown = %q, want %q", got, want)
		}
	})
}

func TestAlerts(t *testing.T) {
	t.Run("each says what is wrong, how bad it is and what to type next", func(t *testing.T) {
		for _, r := range readAlerts(t) {
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["next"] == "" {
				t.Errorf("%s has labels %v, annotations %v", r.Alert, r.Labels, r.Annotations)
			}
		}
	})
	t.Run("they fire when they should and not else", func(t *testing.T) {
		promtool, err := exec.LookPath("promtool")
		if err != nil {
			t.Skip("needs promtool: apt-get install prometheus")
		}
		for _, args := range [][]string{{"check", "rules", "prometheus/alerts.yaml"}, {"test", "rules", "prometheus/alerts_test.yaml"}} {
			if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
				t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	})
}

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	t.Run("its panels have ids of their own and do not overlap", func(t *testing.T) {
		ids, cells := map[int]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("id %d is given twice", p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := cells[[2]int{x, y}]; other != "" || x > 23 {
						t.Fatalf("%q covers %q, or leaves the page, at %d,%d", p.Title, other, x, y)
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
		}
	})
	t.Run("it asks the data sources that the image has", func(t *testing.T) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if s := q.source(p); !slices.Contains([]string{"prometheus", "tempo", "loki"}, s) {
					t.Errorf("panel %s asks %q", p.Title, s)
				}
			}
		}
	})
}

type source struct {
	UID string `json:"uid"`
}

type query struct {
	Datasource source `json:"datasource"`
	Expr       string `json:"expr"`
}

// source is whom a query asks: its own data source, else the panel's.
func (q query) source(p panel) string {
	if q.Datasource.UID != "" {
		return q.Datasource.UID
	}
	return p.Datasource.UID
}

type panel struct {
	ID         int    `json:"id"`
	Title      string `json:"title"`
	Datasource source `json:"datasource"`
	GridPos    struct{ X, Y, W, H int }
	Targets    []query `json:"targets"`
}

type dashboard struct {
	UID    string  `json:"uid"`
	Panels []panel `json:"panels"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	data, err := os.ReadFile("grafana/dashboards/notes.json")
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil || d.UID == "" || len(d.Panels) == 0 {
		t.Fatalf("notes.json is no dashboard: %v", err)
	}
	return d
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readAlerts(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	data, err := os.ReadFile("prometheus/alerts.yaml")
	if err == nil {
		err = yaml.Unmarshal(data, &file)
	}
	if err != nil || len(file.Groups) != 1 || len(file.Groups[0].Rules) == 0 {
		t.Fatalf("alerts.yaml has no rules: %v", err)
	}
	return file.Groups[0].Rules
}

// metrics are the names that are exported, each with its labels.
type metrics map[string][]string

// read adds what a process exports once it has tried to work.
func (m metrics) read(t *testing.T, process string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), process)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../service/cmd/"+process).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", process, err, out)
	}
	run := exec.CommandContext(t.Context(), binary)
	run.Dir = t.TempDir() // there is no .env
	run.Env = []string{
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "WORKER_ADMIN_ADDR=127.0.0.1:0", "SCHEDULER_ADMIN_ADDR=127.0.0.1:0",
		"DATABASE_URL=postgres://nobody@" + nowhere + "/none", "REDIS_URL=redis://" + nowhere, "KAFKA_BROKERS=" + nowhere,
		"CAPTURE_DIR=" + t.TempDir(), "SHUTDOWN_TIMEOUT=1s",
	}
	logs, err := run.StdoutPipe()
	if err == nil {
		err = run.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		// What it says of an end without its dependencies is not asked here.
		_ = run.Wait()
	})
	var listening struct{ Msg, HTTP, Admin string }
	lines := bufio.NewScanner(logs)
	for listening.Msg != "listening" {
		if !lines.Scan() {
			t.Fatalf("%s ended before it listened", process)
		}
		// Not every line has these fields, or is JSON at all.
		_ = json.Unmarshal(lines.Bytes(), &listening)
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()
	if listening.HTTP != "" {
		// A request that fails counts as well as any.
		get(t, "http://"+listening.HTTP+"/api/v1/notes")
	}
	// What it tries at its start, it may be about to.
	eventually(t, 10*time.Second, process+" counts its attempts", func() bool {
		m.parse(get(t, "http://"+listening.Admin+"/metrics"))
		return process != "scheduler" || m["scheduler_tasks_total"] != nil
	})
}

var label = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)=`)

// parse reads Prometheus's text format.
func (m metrics) parse(text string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, labels, _ := strings.Cut(line[:strings.LastIndex(line, " ")], "{")
		if m[name] == nil {
			m[name] = []string{}
		}
		for _, l := range label.FindAllStringSubmatch(quoted.ReplaceAllString(labels, ""), -1) {
			m[name] = append(m[name], l[1])
		}
	}
}

var (
	quoted   = regexp.MustCompile(`"[^"]*"`)
	ranges   = regexp.MustCompile(`\[[^\]]*\]`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	matchers = regexp.MustCompile(`\{[^}]*\}`)
	name     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	matched  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*[=!]`)
	keywords = []string{"and", "or", "unless", "bool", "offset"}
)

// unknown are the metrics and labels of a PromQL query that are not exported,
// in order.
func (m metrics) unknown(query string) []string {
	query = ranges.ReplaceAllString(quoted.ReplaceAllString(query, `""`), "")
	var labels []string
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		labels = append(labels, regexp.MustCompile(`\w+`).FindAllString(g[1], -1)...)
	}
	for _, g := range matchers.FindAllString(query, -1) {
		for _, l := range matched.FindAllStringSubmatch(g, -1) {
			labels = append(labels, l[1])
		}
	}
	query = matchers.ReplaceAllString(grouping.ReplaceAllString(query, ""), "")
	known := slices.Clone(added)
	var unknown []string
	for _, n := range name.FindAllString(query, -1) {
		n = strings.TrimSpace(n)
		if strings.HasSuffix(n, "(") || slices.Contains(keywords, n) {
			continue
		}
		of, exported := m[n]
		if !exported {
			unknown = append(unknown, "metric "+n)
		}
		known = append(known, of...)
	}
	for _, l := range labels {
		if !slices.Contains(known, l) {
			unknown = append(unknown, "label "+l)
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// get is the body of an answer, whatever its status.
func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("read %s: %w", url, err))
	}
	return string(body)
}
