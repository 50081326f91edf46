package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/control"
)

// sandbox is a copy of the repository with a stack of its own.
type sandbox struct {
	b           testing.TB
	work, state string
	env         []string
}

func newSandbox(b testing.TB) *sandbox {
	b.Helper()
	return newSandboxOn(b, engine())
}

func newSandboxOn(b testing.TB, engine string) *sandbox {
	b.Helper()
	work := filepath.Join(b.TempDir(), "repo")
	if err := copyRepository("..", work); err != nil {
		b.Fatal(err)
	}
	state, err := os.MkdirTemp("", "dt")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(state, 0o711); err != nil {
		b.Fatal(err)
	}
	x := &sandbox{b: b, work: work, state: state,
		env: append(os.Environ(), "DEVTOOL_STATE_HOME="+state, "DEVTOOL_ENGINE="+engine, "CI=1")}
	b.Cleanup(func() {
		x.run("down", "--volumes")
		os.RemoveAll(state)
	})
	return x
}

// run runs devtool and returns its standard output.
func (x *sandbox) run(args ...string) []byte {
	x.b.Helper()
	cmd := exec.Command(devtool, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = x.work, x.env, &out, &errs
	if err := cmd.Run(); err != nil {
		x.b.Fatalf("devtool %v: %v\n%s%s", args, err, &out, &errs)
	}
	return out.Bytes()
}

func (x *sandbox) status() control.Status {
	x.b.Helper()
	var st control.Status
	if err := json.Unmarshal(x.run("status", "--json"), &st); err != nil {
		x.b.Fatal(err)
	}
	return st
}

// edit replaces a text in a file of the copy.
func (x *sandbox) edit(file, old, new string) {
	x.b.Helper()
	path := filepath.Join(x.work, file)
	data, err := os.ReadFile(path)
	if err != nil {
		x.b.Fatal(err)
	}
	changed := strings.Replace(string(data), old, new, 1)
	if changed == string(data) {
		x.b.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		x.b.Fatal(err)
	}
}

func get(url string) (int, string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// until calls f again and again until it returns nil.
func until(b testing.TB, every time.Duration, f func() error) {
	b.Helper()
	var err error
	tick := time.NewTicker(every)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if err = f(); err == nil {
			return
		}
	}
	b.Fatal(err)
}
