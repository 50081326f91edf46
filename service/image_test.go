package service

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// patience is for a machine that is busy with other tests.
	patience = time.Minute
	// largest is what an image may take, in bytes.
	largest = 40_000_000
)

// images are the targets of the Dockerfile, by the binary that each holds.
var images = []string{"server", "worker", "scheduler", "devtool"}

// docker runs a command of docker's in the root of the repository and returns
// what it wrote to standard output.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(t, args...)
	if err != nil {
		t.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	c := exec.Command("docker", args...)
	c.Dir = ".."
	// Ports that nobody else has: compose.yaml publishes those that it is told to.
	c.Env = append(os.Environ(), "POSTGRES_PORT=0", "REDIS_PORT=0", "KAFKA_PORT=0")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return string(out), fmt.Errorf("%w: %s", err, &errs)
	}
	return string(out), nil
}

// build makes the image of a target, and returns its name.
func build(t *testing.T, target string) string {
	t.Helper()
	name := fmt.Sprintf("goldenpath-imagetest-%d:%s", os.Getpid(), target)
	began := time.Now()
	docker(t, "build", "--quiet", "--target", target, "--tag", name, "--build-arg", "GOPROXY="+goproxy(t), "--build-arg", "VERSION=1.2.3-test", ".")
	t.Cleanup(func() { docker(t, "rmi", "--force", name) })
	t.Logf("%s is built in %s", target, time.Since(began).Round(100*time.Millisecond))
	return name
}

func goproxy(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestImages(t *testing.T) {
	if os.Getenv("GOLDENPATH_DOCKER") != "1" {
		t.Skip("needs Docker: GOLDENPATH_DOCKER=1")
	}
	names := map[string]string{}
	for _, target := range images {
		names[target] = build(t, target)
		t.Run("the image of the "+target+" is small, runs as nobody and says what it is", func(t *testing.T) {
			var found []struct {
				Size   int64
				Config struct {
					User, StopSignal string
					Env, Entrypoint  []string
					Labels           map[string]string
					Healthcheck      *struct{ Test []string }
				}
			}
			if err := json.Unmarshal([]byte(docker(t, "image", "inspect", names[target])), &found); err != nil {
				t.Fatal(err)
			}
			i := found[0]
			t.Logf("%.1f MB", float64(i.Size)/1e6)
			if i.Size > largest {
				t.Errorf("it takes %d bytes, more than %d", i.Size, largest)
			}
			if i.Config.User != "65532:65532" || i.Config.StopSignal != "" || !slices.Equal(i.Config.Entrypoint, []string{"/" + target}) {
				t.Errorf("config %+v", i.Config)
			}
			if l := i.Config.Labels; l["org.opencontainers.image.version"] != "1.2.3-test" || l["org.opencontainers.image.title"] == "" {
				t.Errorf("labels %v", l)
			}
			for _, e := range i.Config.Env {
				if strings.Contains(e, "_URL=") {
					t.Errorf("it brings %s", e)
				}
			}
			if check := i.Config.Healthcheck; target != "devtool" && (check == nil || !slices.Equal(check.Test, []string{"CMD", "/" + target, "health"})) {
				t.Errorf("health check %+v", check)
			}
		})
		t.Run("the image of the "+target+" holds its binary, the certificates and nothing else", func(t *testing.T) {
			if got := contents(t, names[target]); len(got) != 2 || !slices.Contains(got, "/"+target) || !slices.Contains(got, "/etc/ssl/certs/ca-certificates.crt") {
				t.Errorf("it holds %q", got)
			}
		})
	}
	t.Run("for linux/arm64 it is a static binary of that machine", func(t *testing.T) {
		dir := t.TempDir()
		docker(t, "buildx", "build", "--quiet", "--platform", "linux/arm64", "--target", "server", "--build-arg", "GOPROXY="+goproxy(t), "--output", "type=local,dest="+dir, ".")
		binary, err := elf.Open(filepath.Join(dir, "server"))
		if err != nil {
			t.Fatal(err)
		}
		defer binary.Close()
		libraries, err := binary.ImportedLibraries()
		if binary.Machine != elf.EM_AARCH64 || err != nil || len(libraries) > 0 {
			t.Errorf("machine %s, libraries %q, %v", binary.Machine, libraries, err)
		}
	})
	testContainers(t, names)
}

// contents lists the files of an image, without the empty ones that Docker puts
// into every container.
func contents(t *testing.T, image string) []string {
	t.Helper()
	id := strings.TrimSpace(docker(t, "create", image))
	defer docker(t, "rm", id)
	archive := filepath.Join(t.TempDir(), "image.tar")
	docker(t, "export", "--output", archive, id)
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var found []string
	for r := tar.NewReader(file); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg && h.Size > 0 {
			found = append(found, "/"+h.Name)
		}
	}
}

func TestBuildContext(t *testing.T) {
	if os.Getenv("GOLDENPATH_DOCKER") != "1" {
		t.Skip("needs Docker: GOLDENPATH_DOCKER=1")
	}
	context, out := t.TempDir(), t.TempDir() // a subtest's would have commas, which --output takes for its own
	t.Run("secrets, captures, tests and history never reach the builder", func(t *testing.T) {
		ignore, err := os.ReadFile("../.dockerignore")
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{
			".dockerignore": string(ignore),
			"Dockerfile":    "FROM scratch\nCOPY . /\n",
			"go.mod":        "module x", "service/main.go": "package main", "service/db/migrations/1_a.up.sql": "select 1",
			".env": "x", "service/.env": "x", "service/.env.local": "x", ".git/config": "x", ".devtool/captures/000001.jsonl": "x",
			"service/captures/000001.jsonl": "x", "service/main_test.go": "x", "devtool/testdata/x.txt": "x", "id_rsa": "x", "docs/x.md": "x",
		} {
			file := filepath.Join(context, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		docker(t, "buildx", "build", "--quiet", "--output", "type=local,dest="+out, context)
		var got []string
		err = filepath.WalkDir(out, func(file string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				name, _ := filepath.Rel(out, file)
				got = append(got, name)
			}
			return err
		})
		if want := []string{"go.mod", "service/db/migrations/1_a.up.sql", "service/main.go"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("it got %q, want %q; %v", got, want, err)
		}
	})
}

// testContainers runs the images against the servers of compose.yaml.
func testContainers(t *testing.T, names map[string]string) {
	project := fmt.Sprintf("goldenpath-imagetest-%d", os.Getpid())
	t.Cleanup(func() { docker(t, "compose", "--project-name", project, "down", "--volumes", "--timeout", "3") })
	docker(t, "compose", "--project-name", project, "up", "--detach", "--wait", "postgres", "redis", "kafka")

	// run is docker run of a target, in the narrowest container that there is.
	run := func(t *testing.T, target string, args ...string) []string {
		t.Helper()
		all := []string{"run", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", project + "_default",
			"--env", "SERVICE_ENV=staging", "--env", "REDIS_URL=redis://redis:6379/0", "--env", "KAFKA_BROKERS=kafka:9092",
			"--env", "DATABASE_URL=postgres://goldenpath:goldenpath@postgres:5432/goldenpath?sslmode=disable"}
		return append(append(all, args...), names[target])
	}
	t.Run("migrate brings the database up to date, and then finds nothing to do", func(t *testing.T) {
		if out := docker(t, append(run(t, "server", "--rm"), "migrate")...); !strings.Contains(out, "applied 000001_create_notes.up.sql") {
			t.Errorf("the first said %q", out)
		}
		if out := docker(t, append(run(t, "server", "--rm"), "migrate")...); !strings.HasSuffix(out, "nothing to do\n") {
			t.Errorf("the second said %q", out)
		}
	})
	ids := map[string]string{}
	for _, target := range images[:3] {
		ids[target] = strings.TrimSpace(docker(t, run(t, target, "--detach", "--publish", "127.0.0.1::8081")...))
		t.Cleanup(func() { docker(t, "rm", "--force", "--volumes", ids[target]) })
	}
	state := func(t *testing.T, target, format string) string {
		t.Helper()
		return strings.TrimSpace(docker(t, "inspect", "--format", format, ids[target]))
	}
	eventually := func(t *testing.T, what string, holds func() bool) {
		t.Helper()
		deadline := time.After(patience)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for !holds() {
			select {
			case <-deadline:
				t.Fatalf("waited %s for %s", patience, what)
			case <-tick.C:
			}
		}
	}
	t.Run("every process becomes healthy, by asking itself", func(t *testing.T) {
		for target := range ids {
			eventually(t, "the "+target+" to be healthy", func() bool { return state(t, target, "{{.State.Health.Status}}") == "healthy" })
			if out := docker(t, "exec", ids[target], "/"+target, "health"); out != "ready\n" {
				t.Errorf("the %s says %q", target, out)
			}
		}
	})
	t.Run("a note that is posted has its words counted", func(t *testing.T) {
		notes := "http://" + strings.TrimSpace(docker(t, "port", ids["server"], "8081/tcp")) + "/api/v1/notes"
		response, err := http.Post(notes, "application/json", strings.NewReader(`{"title":"milk","body":"two litres of it"}`))
		if err != nil {
			t.Fatal(err)
		}
		var made struct{ Data struct{ ID string } }
		if err := errors.Join(json.NewDecoder(response.Body).Decode(&made), response.Body.Close()); err != nil || response.StatusCode != http.StatusCreated {
			t.Fatalf("%s, %v", response.Status, err)
		}
		eventually(t, "the count", func() bool {
			response, err := http.Get(notes + "/" + made.Data.ID)
			if err != nil {
				return false
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			return err == nil && strings.Contains(string(body), `"word_count":4`)
		})
	})
	t.Run("the scheduler has the worker prune", func(t *testing.T) {
		eventually(t, "the worker to say so", func() bool { return strings.Contains(docker(t, "logs", ids["worker"]), `"msg":"the ledger is pruned"`) })
	})
	t.Run("without redis the scheduler is not healthy, and the server is", func(t *testing.T) {
		docker(t, "compose", "--project-name", project, "stop", "--timeout", "3", "redis")
		if out, err := try(t, "exec", ids["scheduler"], "/scheduler", "health"); err == nil || !strings.Contains(err.Error(), "not_ready; redis: ") {
			t.Errorf("the scheduler says %q, %v", out, err)
		}
		if out, err := try(t, "exec", ids["server"], "/server", "health"); err != nil || !strings.HasPrefix(out, "degraded; redis: ") {
			t.Errorf("the server says %q, %v", out, err)
		}
	})
	t.Run("docker stop ends each cleanly, even with redis away", func(t *testing.T) {
		for target := range ids {
			began := time.Now()
			docker(t, "stop", "--time", "20", ids[target])
			if code := state(t, target, "{{.State.ExitCode}}"); code != "0" || time.Since(began) > 15*time.Second {
				t.Errorf("the %s ended with %s after %s: %s", target, code, time.Since(began), docker(t, "logs", "--tail", "5", ids[target]))
			}
		}
	})
	t.Run("the logs show no password", func(t *testing.T) {
		for target := range ids {
			if strings.Contains(docker(t, "logs", ids[target]), "goldenpath:goldenpath") {
				t.Errorf("those of the %s do", target)
			}
		}
	})
	t.Run("with nothing set it refuses the development credentials", func(t *testing.T) {
		for _, target := range images[:3] {
			if _, err := try(t, "run", "--rm", "--network", "none", names[target]); err == nil || !strings.Contains(err.Error(), "has the default value, which is for development") {
				t.Errorf("the %s: %v", target, err)
			}
		}
	})
}
