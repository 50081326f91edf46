package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/reload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a Backend that writes down what it is asked.
type desk struct {
	asked chan string
	err   error
}

func (d *desk) Status() Status { return Status{State: Running, Engine: "embedded"} }
func (d *desk) Down()          { d.asked <- "down" }
func (d *desk) Reset(context.Context) (ResetReport, error) {
	return ResetReport{MS: 12, Profile: "dev"}, d.err
}
func (d *desk) Seed(_ context.Context, r SeedRequest) (SeedReport, error) {
	return SeedReport{Profile: r.Profile, Scale: r.Scale}, d.err
}
func (d *desk) Restart(_ context.Context, name string) error {
	d.asked <- "restart " + name
	return d.err
}
func (d *desk) Logs(ctx context.Context, q LogQuery, yield func(Line) error) error {
	for _, name := range q.Names {
		if err := yield(Line{Name: name, Text: "hello"}); err != nil {
			return err
		}
	}
	if q.Follow {
		<-ctx.Done()
	}
	return ctx.Err()
}
func (d *desk) ApplyFault(s chaos.Spec) (chaos.Fault, error) {
	return chaos.Fault{ID: s.Target + "-" + s.Type}, d.err
}
func (d *desk) ClearFaults(ids ...string) ([]chaos.Fault, error) {
	d.asked <- "clear " + strings.Join(ids, ",")
	return nil, d.err
}
func (d *desk) Built(r reload.Report) { d.asked <- "built " + r.Process }

func serve(t *testing.T) (*desk, *Client, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") // short: a socket's path is at most 104 bytes
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{asked: make(chan string, 1)}
	s, c := NewServer(d), Dial(path)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		c.Close()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		os.RemoveAll(dir)
	})
	return d, c, path
}

func TestControl(t *testing.T) {
	ctx := context.Background()
	d, c, path := serve(t)

	t.Run("the socket is for its user alone", func(t *testing.T) {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	})
	t.Run("each call reaches the backend and brings its answer", func(t *testing.T) {
		if st, err := c.Status(ctx); err != nil || st.State != Running {
			t.Errorf("status: %+v, %v", st, err)
		}
		if r, err := c.Reset(ctx); err != nil || r.MS != 12 {
			t.Errorf("reset: %+v, %v", r, err)
		}
		if r, err := c.Seed(ctx, SeedRequest{Profile: "load", Scale: 3}); err != nil || r.Profile != "load" || r.Scale != 3 {
			t.Errorf("seed: %+v, %v", r, err)
		}
		if f, err := c.ApplyFault(ctx, chaos.Spec{Target: "db", Type: "down"}); err != nil || f.ID != "db-down" {
			t.Errorf("fault: %+v, %v", f, err)
		}
		for want, call := range map[string]func() error{
			"down":         func() error { return c.Down(ctx) },
			"restart a/b":  func() error { return c.Restart(ctx, "a/b") },
			"clear x,y":    func() error { _, err := c.ClearFaults(ctx, "x", "y"); return err },
			"built server": func() error { return c.Built(ctx, reload.Report{Process: "server"}) },
		} {
			if err := call(); err != nil {
				t.Errorf("%s: %v", want, err)
			}
			if got := <-d.asked; got != want {
				t.Errorf("asked %q, want %q", got, want)
			}
		}
	})
	t.Run("an error keeps its exit code and hint", func(t *testing.T) {
		for name, tc := range map[string]struct {
			err  error
			exit int
			hint string
		}{
			"a failure":     {console.Fail(console.ExitNo, "try again", "no"), console.ExitNo, "try again"},
			"wrong usage":   {&chaos.UsageError{What: "no such fault", Hint: "did you mean it"}, console.ExitUsage, "did you mean it"},
			"anything else": {errors.New("disk full"), console.ExitFailed, ""},
		} {
			d.err = tc.err
			_, err := c.ApplyFault(ctx, chaos.Spec{})
			var f *console.Failure
			if !errors.As(err, &f) || f.Exit != tc.exit || f.Hint != tc.hint || f.Error() != tc.err.Error() {
				t.Errorf("%s: %#v", name, err)
			}
		}
		d.err = nil
	})
	t.Run("logs come line by line, and following ends with its context", func(t *testing.T) {
		following, stop := context.WithCancel(ctx)
		var got []string
		err := c.Logs(following, LogQuery{Names: []string{"a", "b"}, Follow: true}, func(l Line) error {
			got = append(got, l.Name)
			if len(got) == 2 {
				stop()
			}
			return nil
		})
		if !slices.Equal(got, []string{"a", "b"}) || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("garbage is refused", func(t *testing.T) {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		body := "{not json"
		if _, err := conn.Write([]byte("POST /v1/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" + body)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 64)
		n, err := conn.Read(answer)
		if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 400") {
			t.Errorf("%q, %v", answer[:n], err)
		}
	})
	t.Run("what is not part of the API is an error", func(t *testing.T) {
		if _, err := call[struct{}](ctx, c, http.MethodGet, "/v1/nothing", nil); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("err = %v", err)
		}
	})
}

func TestNoStack(t *testing.T) {
	t.Run("a socket that is not there", func(t *testing.T) {
		c := Dial(filepath.Join(t.TempDir(), "none.sock"))
		defer c.Close()
		if _, err := c.Status(context.Background()); !errors.Is(err, ErrNoStack) {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("a socket that nobody listens at any more", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		c := Dial(path)
		defer c.Close()
		if _, err := c.Status(context.Background()); !errors.Is(err, ErrNoStack) {
			t.Errorf("err = %v", err)
		}
		again, err := Listen(path)
		if err != nil {
			t.Fatalf("it is not replaced: %v", err)
		}
		again.Close()
	})
}
