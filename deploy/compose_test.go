// Package deploy_test checks what compose.yaml starts besides the three servers:
// the production images behind their fault proxies, and the profile that shows
// their traces, logs and metrics.
package deploy_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// servers are what every profile shares, and the only services without one.
var servers = []string{"kafka", "postgres", "redis"}

// processes are the service's own.
var processes = []string{"migrate", "scheduler", "service", "worker"}

// compose.yaml as Compose understands it, the parts that matter here.
type composition struct {
	Services map[string]service `json:"services"`
	Configs  map[string]struct {
		File string `json:"file"`
	} `json:"configs"`
}

type service struct {
	Image      string                                 `json:"image"`
	Build      *struct{ Dockerfile, Target string }   `json:"build"`
	Profiles   []string                               `json:"profiles"`
	Privileged bool                                   `json:"privileged"`
	Network    string                                 `json:"network_mode"`
	PID        string                                 `json:"pid"`
	Networks   map[string]any                         `json:"networks"`
	Devices    []any                                  `json:"devices"`
	DependsOn  map[string]struct{ Condition string }  `json:"depends_on"`
	Memory     json.RawMessage                        `json:"mem_limit"`
	CPUs       json.RawMessage                        `json:"cpus"`
	ReadOnly   bool                                   `json:"read_only"`
	CapDrop    []string                               `json:"cap_drop"`
	CapAdd     []string                               `json:"cap_add"`
	Security   []string                               `json:"security_opt"`
	Health     *struct{ Disable bool }                `json:"healthcheck"`
	Ports      []port                                 `json:"ports"`
	Volumes    []volume                               `json:"volumes"`
	Logging    struct{ Options struct{ Tag string } } `json:"logging"`
}

type port struct {
	HostIP    string `json:"host_ip"`
	Published string `json:"published"`
	Protocol  string `json:"protocol"`
}

type volume struct {
	Type     string `json:"type"`
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only"`
}

// oneShot says whether another service waits for the end of this one.
func (c composition) oneShot(name string) bool {
	for _, s := range c.Services {
		if s.DependsOn[name].Condition == "service_completed_successfully" {
			return true
		}
	}
	return false
}

func TestCompose(t *testing.T) {
	needDocker(t)
	c := readComposition(t)

	t.Run("without a profile it is the three servers", func(t *testing.T) {
		var plain []string
		for name, s := range c.Services {
			if len(s.Profiles) == 0 {
				plain = append(plain, name)
			}
		}
		if slices.Sort(plain); !slices.Equal(plain, servers) {
			t.Errorf("services without a profile: %v", plain)
		}
	})
	t.Run("nothing has the machine in its hands", func(t *testing.T) {
		for name, s := range c.Services {
			if s.Privileged || s.Network != "" || s.PID != "" || len(s.Devices) > 0 {
				t.Errorf("%s is privileged, or shares the network, the processes or devices of the machine", name)
			}
			for _, v := range s.Volumes {
				if strings.Contains(v.Source, "docker.sock") {
					t.Errorf("%s has Docker's socket", name)
				}
			}
		}
	})
	t.Run("ports are published on loopback alone", func(t *testing.T) {
		for name, s := range c.Services {
			for _, p := range s.Ports {
				if p.HostIP != "127.0.0.1" {
					t.Errorf("%s publishes %s on %q", name, p.Published, p.HostIP)
				}
			}
		}
	})
	t.Run("every published port can be moved, and no two meet", func(t *testing.T) {
		file, err := os.ReadFile("../compose.yaml")
		if err != nil {
			t.Fatal(err)
		}
		moved := map[string]string{}
		for _, variable := range regexp.MustCompile(`[A-Z_]+_PORT\b`).FindAllString(string(file), -1) {
			moved[variable] = variable + "=" + freePort(t)
		}
		seen := map[port]string{}
		for name, s := range c.Services {
			for _, p := range s.Ports {
				if other := seen[p]; other != "" {
					t.Errorf("%s and %s both publish %s", name, other, p.Published)
				}
				seen[p] = name
			}
		}
		for name, s := range readComposition(t, slices.Collect(maps.Values(moved))...).Services {
			for _, p := range s.Ports {
				if seen[p] != "" {
					t.Errorf("%s publishes %s wherever it is moved to", name, p.Published)
				}
			}
		}
	})
	t.Run("every image is of one version, or built here", func(t *testing.T) {
		for name, s := range c.Services {
			_, tag, tagged := strings.Cut(filepath.Base(s.Image), ":")
			if s.Build == nil && (!tagged || tag == "latest") || s.Build != nil && s.Image != "" {
				t.Errorf("%s runs image %q", name, s.Image)
			}
		}
	})
	t.Run("every service has a health check, of its own or its image's, or runs to its end", func(t *testing.T) {
		dockerfile, err := os.ReadFile("../Dockerfile")
		if err != nil {
			t.Fatal(err)
		}
		stages := stagesWithCheck(string(dockerfile))
		for name, s := range c.production() {
			checked := s.Health != nil && !s.Health.Disable || s.Build != nil && stages[s.Build.Target]
			if !checked && !c.oneShot(name) {
				t.Errorf("%s has no health check", name)
			}
		}
	})
	t.Run("every service has limits of memory and processors", func(t *testing.T) {
		for name, s := range c.production() {
			if len(s.Memory) == 0 || len(s.CPUs) == 0 {
				t.Errorf("%s has memory %s, processors %s", name, s.Memory, s.CPUs)
			}
		}
	})
	t.Run("what is built here may do nothing that it need not", func(t *testing.T) {
		for _, name := range append([]string{"toxiproxy"}, processes...) {
			s := c.Services[name]
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 ||
				!slices.Contains(s.Security, "no-new-privileges:true") || len(s.Volumes) > 0 {
				t.Errorf("%s is %+v", name, s)
			}
		}
	})
	t.Run("the service's processes have no way around the proxies", func(t *testing.T) {
		for _, p := range processes {
			for _, s := range servers {
				for network := range c.Services[p].Networks {
					if _, shared := c.Services[s].Networks[network]; shared {
						t.Errorf("%s and %s share the network %s", p, s, network)
					}
				}
			}
		}
	})
	t.Run("the servers do not know of the service", func(t *testing.T) {
		for _, s := range servers {
			if d := c.Services[s].DependsOn; len(d) > 0 {
				t.Errorf("%s waits for %v", s, slices.Collect(maps.Keys(d)))
			}
		}
	})
	t.Run("files that are mounted are there and are not written", func(t *testing.T) {
		mounted := map[string]string{}
		for name, s := range c.production() {
			for _, v := range s.Volumes {
				if v.Type == "bind" {
					mounted[v.Source] = name
				}
				if v.Type == "bind" && !v.ReadOnly {
					t.Errorf("%s may write %s", name, v.Source)
				}
			}
		}
		for name, f := range c.Configs {
			mounted[f.File] = name
		}
		for file, name := range mounted {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s mounts %v", name, err)
			}
		}
	})
	t.Run("Grafana and Prometheus read the folders that are mounted", func(t *testing.T) {
		for file, target := range map[string]string{
			"grafana/dashboards.yaml":    "/otel-lgtm/dashboards",
			"prometheus/prometheus.yaml": "/otel-lgtm/rules/alerts.yaml",
		} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			mounts := slices.ContainsFunc(c.Services["lgtm"].Volumes, func(v volume) bool { return v.Target == target })
			if !mounts || !strings.Contains(string(text), target) {
				t.Errorf("%s does not name %s, or nothing is mounted there", file, target)
			}
		}
	})
	t.Run("a process has one name in its logs and as a job of Prometheus", func(t *testing.T) {
		scraped, err := os.ReadFile("prometheus/prometheus.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"scheduler", "service", "worker"} {
			job := regexp.MustCompile(`job_name: (\S+)\n.*names: \[` + p + `\]`).FindStringSubmatch(string(scraped))
			if job == nil || c.Services[p].Logging.Options.Tag != job[1] {
				t.Errorf("%s logs as %q and is scraped as %q", p, c.Services[p].Logging.Options.Tag, job)
			}
		}
	})
}

// production is all but the container that people work in, which is as large as
// they make it, and writes where they do.
func (c composition) production() map[string]service {
	all := maps.Clone(c.Services)
	delete(all, "workspace")
	return all
}

// stagesWithCheck are the stages of a Dockerfile that have a health check.
func stagesWithCheck(dockerfile string) map[string]bool {
	checked, stage := map[string]bool{}, ""
	for line := range strings.Lines(dockerfile) {
		switch fields := strings.Fields(line); {
		case len(fields) == 0:
		case fields[0] == "FROM":
			stage = fields[len(fields)-1]
		case fields[0] == "HEALTHCHECK":
			checked[stage] = true
		}
	}
	return checked
}

// readComposition is every profile of compose.yaml. Compose must have nothing to
// warn of.
func readComposition(t *testing.T, environ ...string) composition {
	t.Helper()
	out, warnings := dockerCompose(t, "..", environ, "--profile", "*", "config", "--format", "json")
	if warnings != "" {
		t.Errorf("compose.yaml has warnings:\n%s", warnings)
	}
	var c composition
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatal(err)
	}
	return c
}
