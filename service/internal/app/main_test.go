package app

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/goldenpath/service/internal/config"
)

func TestConfigCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	run := func(environ []string, args ...string) (code int, out, errs string) {
		var o, e buffer
		code = ServerMain(args, environ, Stdio{Out: &o, Err: &e})
		return code, o.String(), e.String()
	}
	file := filepath.Join(t.TempDir(), "bad.env")
	if err := os.WriteFile(file, []byte("HTTP_ADDR=nonsense\n\nDATABASE_TIMEOUT=soon\nDATABSE_URL=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("config example prints .env.example", func(t *testing.T) {
		if code, out, errs := run(nil, "config", "example"); code != 0 || out != config.Example() || errs != "" {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("config check of a valid configuration says so", func(t *testing.T) {
		if code, out, errs := run(nil, "config", "check"); code != 0 || out != "the configuration is valid\n" || errs != "" {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("config check --json of a valid configuration is an empty array", func(t *testing.T) {
		if code, out, errs := run(nil, "config", "check", "--json"); code != 0 || out != "[]\n" || errs != "" {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("config check --json lists every problem and nothing else, warnings go to standard error", func(t *testing.T) {
		code, out, errs := run([]string{"LOG_LEVEL=loud"}, "config", "check", "--json", "--env-file", file)
		var problems []map[string]any
		if err := json.Unmarshal([]byte(out), &problems); err != nil {
			t.Fatal(err)
		}
		if code != 1 || len(problems) != 3 || !strings.Contains(errs, "did you mean DATABASE_URL?") {
			t.Errorf("%d %s %q", code, out, errs)
		}
		for _, p := range problems {
			if p["variable"] != "HTTP_ADDR" {
				continue
			}
			if len(p) != 6 || p["file"] != file || p["line"] != 1.0 || p["source"] != file+":1" || p["reason"] == "" || p["hint"] == "" {
				t.Errorf("problem = %v", p)
			}
		}
	})
	t.Run("config check lists every problem as text", func(t *testing.T) {
		code, out, _ := run([]string{"ENV_FILE=" + file}, "config", "check")
		if code != 1 || strings.Count(out, "problem: ") != 2 || strings.Count(out, "hint: ") != 2 || !strings.Contains(out, file+":3") {
			t.Errorf("%d %q", code, out)
		}
	})
	for _, args := range [][]string{{"run"}, {"config"}, {"config", "nothing"}, {"config", "check", "--yaml"}, {"config", "check", "x"}, {"config", "example", "x"},
		{"health", "x"}, {"migrate", "x"}, {"migrate", "--timeout", "soon"}, {"migrate", "--timeout", "0s"}, {"migrate", "--down"}} {
		t.Run("wrong usage is code 2 with the usage: "+strings.Join(args, " "), func(t *testing.T) {
			if code, out, errs := run(nil, args...); code != 2 || out != "" || !strings.Contains(errs, "usage: server ") {
				t.Errorf("%d %q %q", code, out, errs)
			}
		})
	}
	t.Run("only the server migrates", func(t *testing.T) {
		for role, main := range map[Role]func(args, environ []string, stdio Stdio) int{RoleWorker: WorkerMain, RoleScheduler: SchedulerMain} {
			var o, e buffer
			if code := main([]string{"migrate"}, nil, Stdio{Out: &o, Err: &e}); code != 2 || !strings.Contains(e.String(), "usage: "+string(role)) || strings.Contains(e.String(), "schema") {
				t.Errorf("%s: %d %s", role, code, &e)
			}
		}
	})
	t.Run("in production the scheduler needs no database", func(t *testing.T) {
		var o, e buffer
		environ := []string{"SERVICE_ENV=production", "REDIS_URL=rediss://redis.internal:6380/0"}
		if code := SchedulerMain([]string{"config", "check"}, environ, Stdio{Out: &o, Err: &e}); code != 0 {
			t.Errorf("%d %s", code, &o)
		}
	})
	t.Run("a start with a configuration that is not valid prints every problem and is code 1", func(t *testing.T) {
		code, out, errs := run([]string{"ENV_FILE=" + file})
		if code != 1 || out != "" || strings.Count(errs, "problem: ") != 2 {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("a start on a taken port is code 1 with a hint and shows no secret", func(t *testing.T) {
		code, out, errs := run(append(away(), "HTTP_ADDR=203.0.113.1:1"))
		if code != 1 || !strings.Contains(errs, "hint: set HTTP_ADDR") || strings.Contains(out+errs, "hunter2") {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
}

// child is this test binary as a process of the service.
type child struct {
	*exec.Cmd
	out         *buffer
	http, admin string // where it listens
}

func start(t *testing.T, role Role, environ ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.CommandContext(t.Context(), os.Args[0]), out: &buffer{}}
	c.Env = append(away(), append(environ, runMain+"="+string(role))...)
	c.Dir = t.TempDir()
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = c.out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var line struct{ Msg, HTTP, Admin string }
		_, _ = c.out.Write(append(lines.Bytes(), '\n'))
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("a log line is not JSON: %s", lines.Text())
		}
		if line.Msg == "listening" {
			c.http, c.admin = line.HTTP, line.Admin
			if line.Admin == "" || (line.HTTP == "") == (role == RoleServer) {
				t.Fatalf("the line says too little: %s", lines.Text())
			}
			go func() { _, _ = io.Copy(c.out, stdout) }()
			return c
		}
	}
	t.Fatalf("it never listened: %s", c.out)
	return nil
}

func TestSignals(t *testing.T) {
	for _, role := range []Role{RoleServer, RoleWorker, RoleScheduler} {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run("with every dependency away the "+string(role)+" starts, and ends well on "+signal.String(), func(t *testing.T) {
				c := start(t, role, "SHUTDOWN_TIMEOUT=5s")
				if err := c.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := c.Wait(); err != nil || time.Since(began) > 5*time.Second {
					t.Errorf("it ended after %s with %v: %s", time.Since(began), err, c.out)
				}
			})
		}
	}
	t.Run("a second signal ends the process at once", func(t *testing.T) {
		c := start(t, RoleServer, "SHUTDOWN_TIMEOUT=1m", "HTTP_TIMEOUT=1m")
		// A request whose body does not come keeps the process in its end.
		body, hold := io.Pipe()
		defer hold.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.http+"/api/v1/notes", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		cut := make(chan struct{})
		go func() {
			defer close(cut)
			if response, err := http.DefaultTransport.RoundTrip(r); err == nil {
				_ = response.Body.Close()
			}
		}()
		if _, err := io.WriteString(hold, "{"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the request is being answered", func() bool {
			return strings.Contains(text(t, "http://"+c.admin+"/metrics"), "http_requests_in_flight 1")
		})
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end begins", func() bool { return strings.Contains(c.out.String(), `"msg":"ending"`) })
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_ = c.Wait()
		if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM || time.Since(began) > 5*time.Second {
			t.Errorf("it ended after %s as %s", time.Since(began), c.ProcessState)
		}
		_ = hold.Close()
		<-cut
	})
}

func TestStart(t *testing.T) {
	t.Run("with every dependency away the server is put together in under 150 ms and answers with an envelope", func(t *testing.T) {
		c := settings(t)
		// The best of a few: the machine may be busy with other tests.
		best := time.Hour
		for range 5 {
			began := time.Now()
			p, err := Server(t.Context(), c, quiet)
			best = min(best, time.Since(began))
			stop := running(t, p, err)
			status, e, header := call(t, http.MethodGet, "http://"+p.HTTPAddr+"/api/v1/notes", "")
			if status != http.StatusServiceUnavailable || e.Error.Code != "database_unavailable" || e.Error.Hint == "" ||
				header.Get("X-Trace-Id") != e.Meta.TraceID || header.Get("X-Request-Id") != e.Meta.RequestID {
				t.Errorf("answer = %d %+v", status, e)
			}
			if status, e, _ := call(t, http.MethodGet, "http://"+p.AdminAddr+"/readyz", ""); status != http.StatusServiceUnavailable || e.Status != "not_ready" {
				t.Errorf("readiness = %d %+v", status, e)
			}
			if err := stop(); err != nil {
				t.Errorf("Run = %v", err)
			}
		}
		if best > 150*time.Millisecond {
			t.Errorf("it took %s", best)
		}
		t.Logf("put together in %s", best)
	})
}
