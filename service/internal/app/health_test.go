package app

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	health := func(main func(args, environ []string, stdio Stdio) int, environ ...string) (code int, out, errs string) {
		var o, e buffer
		code = main([]string{"health"}, environ, Stdio{Out: &o, Err: &e})
		return code, o.String(), e.String()
	}
	t.Run("one line and code 0 while the process is ready, whatever address it listens on", func(t *testing.T) {
		environ, _ := dependencies(t)
		for _, host := range []string{"127.0.0.1", "0.0.0.0", "[::]"} {
			s, err := Scheduler(t.Context(), settings(t, append(environ, "SCHEDULER_ADMIN_ADDR="+host+":0")...), quiet)
			stop := running(t, s, err)
			_, port, err := net.SplitHostPort(s.AdminAddr)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "it to be ready", func() bool {
				code, out, _ := health(SchedulerMain, "SCHEDULER_ADMIN_ADDR="+host+":"+port)
				return code == 0 && out == "ready\n"
			})
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("each process asks its own address, and a proxy is not asked", func(t *testing.T) {
		p, err := Server(t.Context(), settings(t), quiet)
		running(t, p, err)
		t.Setenv("HTTP_PROXY", "http://"+nowhere)
		code, out, errs := health(ServerMain, "ADMIN_ADDR="+p.AdminAddr, "SERVICE_ENV=production")
		if code != 1 || out != "" || !strings.HasPrefix(errs, "not_ready; database: ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("nobody there is code 1 with the variable that says where", func(t *testing.T) {
		code, out, errs := health(WorkerMain, "WORKER_ADMIN_ADDR="+nowhere)
		if code != 1 || out != "" || !strings.Contains(errs, "WORKER_ADMIN_ADDR") {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("somebody else there is code 1", func(t *testing.T) {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
		defer other.Close()
		if code, _, errs := health(ServerMain, "ADMIN_ADDR="+other.Listener.Addr().String()); code != 1 || !strings.Contains(errs, "no readiness") {
			t.Errorf("%d %q", code, errs)
		}
	})
	t.Run("a process that hangs is code 1, in time", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		began := time.Now()
		if code, _, errs := health(ServerMain, "ADMIN_ADDR="+l.Addr().String()); code != 1 || time.Since(began) > healthTimeout+time.Second {
			t.Errorf("%d after %s: %q", code, time.Since(began), errs)
		}
	})
}
