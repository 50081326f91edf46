package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startLimit is for a build from nothing on a slow machine; downLimit is more
// than the longest grace period.
const (
	startLimit = 15 * time.Minute
	downLimit  = 2 * time.Minute
)

func needDocker(t *testing.T) {
	t.Helper()
	if os.Getenv("GOLDENPATH_DOCKER") != "1" {
		t.Skip("needs Docker: GOLDENPATH_DOCKER=1")
	}
}

// dockerCompose runs docker compose in dir and returns what it prints. Of the
// environment it has only what finds Docker and the module proxy, so that no
// variable or .env of the person who runs the tests moves a port.
func dockerCompose(t *testing.T, dir string, environ []string, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := tryCompose(t.Context(), dir, environ, args...)
	if err != nil {
		t.Fatalf("docker compose %s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout, stderr
}

func tryCompose(ctx context.Context, dir string, environ []string, args ...string) (stdout, stderr string, err error) {
	c := exec.CommandContext(ctx, "docker", append([]string{"compose", "--env-file", os.DevNull}, args...)...)
	c.Dir = dir
	for _, name := range []string{"PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "GOPROXY"} {
		if v := os.Getenv(name); v != "" {
			c.Env = append(c.Env, name+"="+v)
		}
	}
	c.Env = append(c.Env, environ...)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	err = c.Run()
	return out.String(), complaint.String(), err
}

// stack is a project of Compose with its own name and ports.
type stack struct {
	flags, environ []string
	// ports are what the variables of compose.yaml that end in _PORT are set to.
	ports map[string]string
}

// start brings the profiles up, with what the override adds, and takes them down
// when the test ends.
func start(t *testing.T, override string, profiles ...string) *stack {
	t.Helper()
	file := filepath.Join(t.TempDir(), "override.yaml")
	if err := os.WriteFile(file, []byte(override), 0o644); err != nil {
		t.Fatal(err)
	}
	s := &stack{
		flags: []string{"-p", fmt.Sprintf("goldenpath-test-%d", os.Getpid()), "-f", "compose.yaml", "-f", file},
		ports: map[string]string{},
	}
	for _, p := range profiles {
		s.flags = append(s.flags, "--profile", p)
	}
	for _, name := range []string{"POSTGRES", "REDIS", "KAFKA", "TOXIPROXY", "SERVICE", "GRAFANA", "OTLP_GRPC", "OTLP_HTTP", "SYSLOG"} {
		s.ports[name] = freePort(t)
		s.environ = append(s.environ, name+"_PORT="+s.ports[name])
	}
	t.Cleanup(func() { s.down(t) })
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	if out, complaint, err := tryCompose(ctx, "..", s.environ, append(s.flags, "up", "--detach", "--build", "--wait")...); err != nil {
		logs, _, _ := tryCompose(context.WithoutCancel(ctx), "..", s.environ, append(s.flags, "logs", "--tail", "20")...)
		t.Fatalf("docker compose up: %v\n%s%s\n%s", err, out, tail(complaint, 4000), logs)
	}
	t.Logf("docker compose up --build --wait took %s", time.Since(began).Round(100*time.Millisecond))
	return s
}

// down takes everything away, the images that were built with it.
func (s *stack) down(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), downLimit)
	defer cancel()
	began := time.Now()
	_, complaint, err := tryCompose(ctx, "..", s.environ, append(s.flags, "down", "--volumes", "--rmi", "local", "--timeout", "20")...)
	if err != nil {
		t.Errorf("docker compose down: %v\n%s", err, complaint)
	}
	t.Logf("docker compose down took %s", time.Since(began).Round(100*time.Millisecond))
	for _, kind := range []string{"container", "volume", "network"} {
		out, err := exec.CommandContext(ctx, "docker", kind, "ls", "--quiet", "--filter", "label=com.docker.compose.project="+s.flags[1]).Output()
		if err != nil || len(out) > 0 {
			t.Errorf("a %s is left: %s, %v", kind, out, err)
		}
	}
}

// compose runs a command on the stack's project.
func (s *stack) compose(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := dockerCompose(t, "..", s.environ, append(s.flags[:len(s.flags):len(s.flags)], args...)...)
	return out
}

// url is where a port of the stack is reached.
func (s *stack) url(port, path string) string {
	return "http://127.0.0.1:" + s.ports[port] + path
}

// answer is what a request was answered.
type answer struct {
	status  int
	header  http.Header
	body    string
	elapsed time.Duration
}

func send(t *testing.T, method, url, body string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text.String(), time.Since(began)}
}

// decode reads the answer's JSON.
func (a answer) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("answer %d %s: %v", a.status, a.body, err)
	}
}

// eventually looks ten times a second until what is said is so.
func eventually(t *testing.T, limit time.Duration, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(limit)
	for !so() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not so within %s: %s", limit, what)
		}
	}
}

// freePort is a port that nobody listens at. It is below those that systems give
// to outgoing connections, which could take it while images are built.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port between 20000 and 30000 is free")
	return ""
}

// tail is the end of a text, which is where the cause stands.
func tail(text string, most int) string { return text[max(0, len(text)-most):] }
