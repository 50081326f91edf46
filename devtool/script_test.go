package main_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"example.com/goldenpath/devtool/internal/control"
)

// patience is how long anything in a script may take before it counts as hung.
const patience = 3 * time.Minute

// devtool is the binary under test, built once.
var devtool string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "devtool-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	side := cap(worktrees)
	if engine() == "attached" {
		side = 1
	}
	for i := range side {
		worktrees <- filepath.Join(dir, fmt.Sprint("worktree", i+1), "repo")
	}
	devtool = filepath.Join(dir, "devtool")
	build := exec.Command("go", "build", "-o", devtool, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build devtool:", err)
		return 1
	}
	return m.Run()
}

// TestScripts drives the real binary as a person would, one script a verb. Each
// script has a copy of this repository and a state directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup:               setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"http":       httpRequest,
			"capture":    capture,
			"eventually": eventually,
			"replace":    replace,
			"exits":      exits,
			"gone":       gone,
			"garbage":    garbage,
			"killserver": killServer,
		},
		Condition: func(condition string) (bool, error) {
			name, ok := strings.CutPrefix(condition, "engine:")
			if !ok {
				return false, fmt.Errorf("there is no condition %q", condition)
			}
			return name == engine(), nil
		},
	})
}

// engine is the one that the scripts run on. The same scripts run on each:
//
//	DEVTOOL_TEST_ENGINE=compose go test ./devtool -run TestScripts
func engine() string { return cmp.Or(os.Getenv("DEVTOOL_TEST_ENGINE"), "embedded") }

// worktrees are the directories that scripts run in, as many as run at once.
// Their paths stay the same, so that what one script compiled the next has.
var worktrees = make(chan string, runtime.GOMAXPROCS(0))

func setup(env *testscript.Env) error {
	work := <-worktrees
	env.Defer(func() { worktrees <- work })
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := copyRepository("..", work); err != nil {
		return err
	}
	state, err := stateHome()
	if err != nil {
		return err
	}
	env.Cd = work
	env.Setenv("DEVTOOL_STATE_HOME", state)
	env.Setenv("PATH", filepath.Dir(devtool)+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("NO_COLOR", "1")
	env.Setenv("DEVTOOL_ENGINE", engine())
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPATH", "GOFLAGS"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			return fmt.Errorf("go env %s: %w", name, err)
		}
		env.Setenv(name, strings.TrimSpace(string(out)))
	}
	for _, name := range []string{"GOCOVERDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "DOCKER_HOST", "DOCKER_CONFIG"} {
		if v := os.Getenv(name); v != "" {
			env.Setenv(name, v)
		}
	}
	env.Defer(func() {
		// A script that failed half way has not taken down what it brought up.
		for _, dir := range []string{work, filepath.Join(env.WorkDir, "other")} {
			if _, err := os.Stat(dir); err != nil {
				continue
			}
			down := exec.Command(devtool, "-C", dir, "down", "--volumes")
			down.Env = env.Vars
			if out, err := down.CombinedOutput(); err != nil {
				env.T().Log("devtool down: ", err, "\n", string(out))
			}
		}
		_ = os.RemoveAll(state)
	})
	if engine() != "attached" {
		return nil
	}
	// There all scripts have the same servers.
	for _, args := range [][]string{{"up", "-d", "--fresh"}, {"down"}} {
		cmd := exec.Command(devtool, append([]string{"-C", work}, args...)...)
		cmd.Env = env.Vars
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("devtool %v: %w\n%s", args, err, out)
		}
	}
	// And a consumer group of its own: kfake, which may be the broker, can lose
	// count of a group whose members came and went in a hurry.
	env.Setenv("KAFKA_GROUP", "notes-worker-"+filepath.Base(state))
	return nil
}

// stateHome makes a place for a script's state: short, since a socket lies in
// it, and open to the user that PostgreSQL runs as when we are root.
func stateHome() (string, error) {
	state, err := os.MkdirTemp("", "dt")
	if err != nil {
		return "", err
	}
	return state, os.Chmod(state, 0o711)
}

// copyRepository copies what a clone would have, and what is not committed yet.
func copyRepository(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (d.Name() == ".git" || d.Name() == ".devtool" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, info.Mode().Perm())
	})
}

// httpRequest sends a request and prints the answer: status line, headers, body.
//
//	http METHOD URL [BODY [HEADER: VALUE]...]
func httpRequest(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [BODY [HEADER]...]")
	}
	text, err := send(args)
	if (err != nil) != neg {
		ts.Fatalf("http %s: %v", strings.Join(args, " "), err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("response"), []byte(text), 0o600))
	fmt.Fprint(ts.Stdout(), text)
}

func send(args []string) (string, error) {
	var body io.Reader
	if len(args) > 2 && args[2] != "" {
		body = strings.NewReader(args[2])
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[0], args[1], body)
	if err != nil {
		return "", err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range args[min(3, len(args)):] {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s\n", resp.Status)
	for name := range resp.Header {
		fmt.Fprintf(&text, "%s: %s\n", name, resp.Header.Get(name))
	}
	fmt.Fprintf(&text, "took: %d ms\n\n%s\n", time.Since(began).Milliseconds(), data)
	return text.String(), nil
}

// capture sets a variable to what the first group of a pattern matches in the
// output of the last command, or in a file.
//
//	capture VARIABLE PATTERN [FILE]
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: capture VARIABLE PATTERN [FILE]")
	}
	file := "stdout"
	if len(args) == 3 {
		file = args[2]
	}
	text := ts.ReadFile(file)
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(text)
	if len(m) < 2 {
		ts.Fatalf("no match for %s in:\n%s", args[1], text)
	}
	ts.Setenv(args[0], m[1])
}

// eventually runs a command again and again until its output matches.
//
//	eventually PATTERN COMMAND [ARGS...]    (COMMAND may be http)
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN COMMAND [ARGS...]")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	var text string
	var err error
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if args[1] == "http" {
			text, err = send(args[2:])
		} else {
			text = quietly(ts, args[1:])
		}
		if err == nil && want.MatchString(text) {
			fmt.Fprint(ts.Stdout(), text)
			return
		}
	}
	ts.Fatalf("after %s no match for %s (%v) in:\n%s", patience, args[0], err, text)
}

// quietly runs a command whose every try need not be in the log, and returns
// what it printed.
func quietly(ts *testscript.TestScript, args []string) string {
	program := args[0]
	if program == "devtool" {
		program = devtool
	}
	cmd := exec.Command(program, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "DEVTOOL_STATE_HOME="+ts.Getenv("DEVTOOL_STATE_HOME"), "DEVTOOL_ENGINE="+engine(), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	return fmt.Sprintf("%s%v\n", out, err)
}

// replace changes a text in a file, as an editor would: a new file renamed over
// the old one.
//
//	replace FILE OLD NEW
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	unquote := strings.NewReplacer(`\n`, "\n", `\t`, "\t")
	changed := strings.Replace(string(data), unquote.Replace(args[1]), unquote.Replace(args[2]), 1)
	if changed == string(data) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(path+".new", []byte(changed), 0o644))
	ts.Check(os.Rename(path+".new", path))
}

// exits runs a command that must end with that exit code.
//
//	exits CODE COMMAND [ARGS...]
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGS...]")
	}
	got := "0"
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = fmt.Sprint(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s\n%s%s", got, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// gone checks that a process does not run any more. A zombie, which waits for a
// parent that is none of ours, does not run.
//
//	gone PID
func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gone PID")
	}
	if err := ts.Exec("ps", "-o", "stat=", "-p", args[0]); err == nil {
		if state := strings.TrimSpace(ts.ReadFile("stdout")); !strings.HasPrefix(state, "Z") {
			ts.Fatalf("pid %s still runs (state %s)", args[0], state)
		}
	}
}

// killServer kills the server of a dependency, in the way of its engine.
//
//	killserver NAME
func killServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: killserver NAME")
	}
	ts.Check(ts.Exec("devtool", "status", "--json"))
	var st control.Status
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &st))
	for _, d := range st.Dependencies {
		container := regexp.MustCompile(` in (\S+) \(`).FindStringSubmatch(d.Server)
		switch {
		case d.Name != args[0]:
		case d.PID != 0:
			ts.Check(ts.Exec("kill", "-9", fmt.Sprint(d.PID)))
			return
		case container != nil:
			ts.Check(ts.Exec("docker", "kill", container[1]))
			return
		}
	}
	ts.Fatalf("there is no server of %s that can be killed", args[0])
}

// garbage sends bytes that are no protocol's, from several connections, and
// hangs up.
//
//	garbage HOST:PORT
func garbage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: garbage HOST:PORT")
	}
	noise := make([]byte, 64<<10)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, bytes := range [][]byte{noise, {0}, []byte("GET / HTTP/9.9\r\n\r\n"), {0x7f, 0xff, 0xff, 0xff, 0, 1}, {}} {
		conn, err := net.Dial("tcp", args[0])
		ts.Check(err)
		// The other side may close before it has read all; that is its right.
		_, _ = conn.Write(bytes)
		_ = conn.(*net.TCPConn).CloseWrite()
		ts.Check(conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)))
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
}
