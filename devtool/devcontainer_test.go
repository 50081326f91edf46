package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/control"
)

// buildPatience is for the first opening: the image with its tools, then the
// modules and a build with an empty cache.
const buildPatience = 25 * time.Minute

// TestDevContainer opens a copy of this repository as an editor does, with the
// dev container CLI. Steps build on each other, as they do for a person.
func TestDevContainer(t *testing.T) {
	if os.Getenv("GOLDENPATH_DOCKER") != "1" {
		t.Skip("needs Docker: GOLDENPATH_DOCKER=1")
	}
	cli := devcontainerCLI(t)
	clone := newClone(t)
	c := &devContainer{cli: cli, folder: clone, t: t}
	t.Cleanup(func() { c.remove(t) })

	step := func(fact string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(fact, func(t *testing.T) { c.t = t; f(t) }) {
			t.FailNow()
		}
		c.t = t
	}

	step("a prebuild ends with modules, build and devtool, and no stack", func(t *testing.T) {
		began := time.Now()
		c.up(buildPatience, "--prebuild")
		t.Logf("up --prebuild took %s", time.Since(began).Round(time.Second))
		c.fails(`no stack is running`, "devtool", "status")
		if out := c.exec("go", "list", "-f", "{{.Stale}}", "./devtool"); !strings.Contains(out, "false") {
			t.Errorf("after a prebuild devtool is still to be built: %s", out)
		}
	})
	step("the commands that follow bring the stack up", func(t *testing.T) {
		c.devcontainer(patience, "run-user-commands")
		st := c.status()
		if st.Engine != "attached" || st.State != control.Running {
			t.Errorf("engine %s, state %s; want attached, running", st.Engine, st.State)
		}
		for _, d := range st.Dependencies {
			if !strings.Contains(d.Server, " at ") {
				t.Errorf("%s is served by %q, not by the container beside", d.Name, d.Server)
			}
		}
	})
	step("the user is an ordinary one, in a container without privileges", func(t *testing.T) {
		if got := c.exec("id", "-un"); got != "vscode" {
			t.Errorf("the user is %s", got)
		}
		c.fails(``, "sh", "-c", "command -v sudo docker || test -e /var/run/docker.sock")
		got := c.docker("inspect", "--format", "{{.HostConfig.Privileged}} {{.HostConfig.CapAdd}} {{.HostConfig.SecurityOpt}}", c.id)
		if want := regexp.MustCompile(`^false \[(CAP_)?SYS_PTRACE\] \[\]$`); !want.MatchString(got) {
			t.Errorf("privileged, capabilities, security options: %s", got)
		}
	})
	step("nothing is published on the host", func(t *testing.T) {
		if got := strings.Fields(c.docker("ps", "--filter", "label=com.docker.compose.project="+c.project, "--format", "{{.Names}}")); len(got) != 4 {
			t.Errorf("containers: %v", got)
		}
		if got := c.docker("ps", "--filter", "label=com.docker.compose.project="+c.project, "--format", "{{.Ports}}"); strings.Contains(got, "->") {
			t.Errorf("published: %s", got)
		}
	})
	step("a second up says that it runs already", func(t *testing.T) {
		if out := c.exec("devtool", "up", "--detach"); !strings.Contains(out, "runs already") {
			t.Error(out)
		}
	})
	step("the README's commands work as they stand", func(t *testing.T) {
		commands := commandsOf(t, "README.md", "bash")
		if len(commands) < 5 {
			t.Errorf("only %d commands found", len(commands))
		}
		for _, line := range commands {
			c.exec("bash", "-c", line)
		}
	})
	step("a fault makes the database slow, and goes", func(t *testing.T) {
		c.exec("devtool", "chaos", "db-latency", "400ms")
		if took := c.ask("/api/v1/notes?limit=1"); took < 400*time.Millisecond {
			t.Errorf("with 400 ms of latency the answer took %s", took)
		}
		c.exec("devtool", "chaos", "clear")
		if took := c.ask("/api/v1/notes?limit=1"); took > 300*time.Millisecond {
			t.Errorf("without latency the answer took %s", took)
		}
	})
	step("a captured request is played again, by the command of the task", func(t *testing.T) {
		if out := c.exec("bash", "-c", taskCommand(t, "replay: the last request")); !strings.Contains(out, "\nsame") {
			t.Error(out)
		}
	})
	step("a file saved on the host reloads the service", func(t *testing.T) {
		c.replace("service/internal/interface/http/notes.go", "status: http.StatusCreated", "status: http.StatusAccepted")
		began := time.Now()
		post := []string{"curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "localhost:8080/api/v1/notes",
			"-H", "Content-Type: application/json", "-d", `{"title":"new code","body":""}`}
		until(t, 100*time.Millisecond, func() error {
			if got := c.exec(post...); got != "202" {
				return fmt.Errorf("status %s, want 202", got)
			}
			return nil
		})
		st := c.status()
		if st.Reload.Count == 0 || st.Reload.Dropped != 0 {
			t.Errorf("receipt: %+v", st.Reload)
		}
		t.Logf("seen after %s, the reload took %d ms, watching by %s", time.Since(began).Round(time.Millisecond), st.Reload.LastMS, st.Reload.Watching)
	})
	step("Delve attaches to the server, and the request waits at the breakpoint", func(t *testing.T) {
		script := strings.Join([]string{"break service/internal/interface/http/notes.go:29", "continue", "clearall", "quit", "n"}, "\n")
		out := c.exec("bash", "-c", `
			dlv attach --allow-non-terminal-interactive=true "$(pgrep -nx 'server-[0-9a-f]+')" <<<"$1" >/tmp/delve 2>&1 &
			delve=$!
			until grep -q 'Breakpoint 1 set' /tmp/delve; do kill -0 $delve || break; sleep 0.1; done
			curl -s --max-time 60 -o /dev/null -w 'answered %{http_code}\n' 'localhost:8080/api/v1/notes?limit=1'
			wait $delve
			cat /tmp/delve`, "bash", script)
		if !strings.Contains(out, "answered 200") || !strings.Contains(out, "> [Breakpoint 1]") {
			t.Error(out)
		}
	})
	step("tests start servers of their own", func(t *testing.T) {
		c.exec("go", "test", "./seeds/...", "./devtool/internal/stack/embedded/...")
	})
	step("reset makes the data as new", func(t *testing.T) {
		c.exec("devtool", "reset")
		c.exec("devtool", "seed", "--verify")
	})
	step("opening it again takes no time and leaves the stack alone", func(t *testing.T) {
		before, began := c.status().Supervisor.PID, time.Now()
		c.up(patience)
		t.Logf("up again took %s", time.Since(began).Round(100*time.Millisecond))
		if after := c.status().Supervisor.PID; after != before {
			t.Errorf("supervisor %d became %d", before, after)
		}
	})
	step("the scripts of the command line run here too", func(t *testing.T) {
		c.exec("devtool", "down")
		c.replace("service/internal/interface/http/notes.go", "status: http.StatusAccepted", "status: http.StatusCreated")
		c.execWithin(buildPatience, "env", "DEVTOOL_TEST_ENGINE=attached", "go", "test", "-timeout", "20m", "./devtool", "-run", "TestScripts|TestDocuments")
	})
	step("after a stop of the containers the stack comes back by itself", func(t *testing.T) {
		c.docker("compose", "-p", c.project, "stop", "-t", "2")
		began := time.Now()
		c.up(patience)
		t.Logf("up after a stop took %s", time.Since(began).Round(100*time.Millisecond))
		if st := c.status(); st.State != control.Running {
			t.Errorf("state %s", st.State)
		}
	})
	step("code that does not build costs the stack, not the editor", func(t *testing.T) {
		c.exec("devtool", "down")
		c.replace("devtool/main.go", "package main", "package main\n\nvar broken int = true")
		if out := c.exec("sh", ".devcontainer/start.sh"); !strings.Contains(out, "then type:") {
			t.Error(out)
		}
	})
	step("git works in a worktree, whose containers are its own", func(t *testing.T) {
		tree := filepath.Join(filepath.Dir(clone), "fix")
		git(t, clone, "worktree", "add", "-q", tree)
		ownedByUser(t, clone, tree)
		w := &devContainer{cli: cli, folder: tree, t: t}
		t.Cleanup(func() { w.remove(t) })
		w.up(patience, "--skip-post-create")
		if w.project == c.project {
			t.Fatalf("both are the Compose project %s", w.project)
		}
		w.exec("sh", "-c", "git -c user.name=n -c user.email=e commit -q --allow-empty -m 'from in there'")
		if got := git(t, tree, "log", "-1", "--format=%s"); got != "from in there" {
			t.Errorf("on the host the last commit is %q", got)
		}
		if got := git(t, tree, "status", "--short"); got != "" {
			t.Errorf("opening it changed the worktree:\n%s", got)
		}
	})
}

// devContainer is the dev container of a folder.
type devContainer struct {
	cli    []string
	folder string
	t      *testing.T // the running step

	id, project string // after up
}

// devcontainerCLI returns the command that the dev container CLI is.
func devcontainerCLI(t *testing.T) []string {
	t.Helper()
	if path, err := exec.LookPath("devcontainer"); err == nil {
		return []string{path}
	}
	npx := []string{"npx", "--no-install", "@devcontainers/cli"}
	if exec.Command(npx[0], append(npx[1:], "--version")...).Run() != nil {
		t.Fatal("the dev container CLI is missing; type: npm install -g @devcontainers/cli@0.89.0")
	}
	return npx
}

// newClone copies this repository, as a git repository of an ordinary user.
func newClone(t *testing.T) string {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "goldenpath")
	if err := copyRepository("..", clone); err != nil {
		t.Fatal(err)
	}
	git(t, clone, "init", "-q")
	git(t, clone, "add", "-A")
	git(t, clone, "commit", "-q", "-m", "as it is")
	ownedByUser(t, clone)
	return clone
}

// git runs git as somebody who has no configuration.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_COUNT=3",
		"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_CONFIG_KEY_1=user.name", "GIT_CONFIG_VALUE_1=n", "GIT_CONFIG_KEY_2=user.email", "GIT_CONFIG_VALUE_2=e")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// ownedByUser gives folders to uid 1000 when we are root: a person who clones
// is not root, and the user in the container could not write root's files.
func ownedByUser(t *testing.T, folders ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, 1000, 1000))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a command of the host and returns its standard output.
func (c *devContainer) run(bound time.Duration, name string, args ...string) (stdout, all string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	// npx finds what is installed beside the working directory.
	cmd.Dir = ".."
	var out, both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &both
	err = cmd.Run()
	return strings.TrimSpace(out.String()), both.String() + out.String(), err
}

// devcontainer runs a command of the CLI for the folder.
func (c *devContainer) devcontainer(bound time.Duration, command string, args ...string) string {
	c.t.Helper()
	line := append(slices.Clone(c.cli[1:]), command, "--workspace-folder", c.folder)
	out, all, err := c.run(bound, c.cli[0], append(line, args...)...)
	if err != nil {
		c.t.Fatalf("devcontainer %s %v: %v\n%s", command, args, err, all[max(0, len(all)-8000):])
	}
	return out
}

func (c *devContainer) up(bound time.Duration, args ...string) {
	c.t.Helper()
	var result struct{ Outcome, ContainerID, ComposeProjectName string }
	out := c.devcontainer(bound, "up", args...)
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Outcome != "success" {
		c.t.Fatalf("devcontainer up: %v\n%s", err, out)
	}
	c.id, c.project = result.ContainerID, result.ComposeProjectName
}

// exec runs a command in the container, as the editor's terminal would.
func (c *devContainer) exec(args ...string) string {
	c.t.Helper()
	return c.execWithin(patience, args...)
}

func (c *devContainer) execWithin(bound time.Duration, args ...string) string {
	c.t.Helper()
	return c.devcontainer(bound, "exec", args...)
}

// fails runs a command in the container that must not succeed and whose words
// match.
func (c *devContainer) fails(words string, args ...string) {
	c.t.Helper()
	line := append(slices.Clone(c.cli[1:]), "exec", "--workspace-folder", c.folder)
	_, all, err := c.run(patience, c.cli[0], append(line, args...)...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !regexp.MustCompile(words).MatchString(all) {
		c.t.Errorf("%v: %v, want a failure that says %s:\n%s", args, err, words, all)
	}
}

func (c *devContainer) docker(args ...string) string {
	c.t.Helper()
	out, all, err := c.run(patience, "docker", args...)
	if err != nil {
		c.t.Fatalf("docker %v: %v\n%s", args, err, all)
	}
	return out
}

func (c *devContainer) status() control.Status {
	c.t.Helper()
	var st control.Status
	if err := json.Unmarshal([]byte(c.exec("devtool", "status", "--json")), &st); err != nil {
		c.t.Fatal(err)
	}
	return st
}

// ask sends a GET through the gateway, which must be answered with 200, and
// returns how long that took.
func (c *devContainer) ask(path string) time.Duration {
	c.t.Helper()
	var code int
	var seconds float64
	out := c.exec("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", "localhost:8080"+path)
	if _, err := fmt.Sscan(out, &code, &seconds); err != nil || code != 200 {
		c.t.Fatalf("GET %s: %s (%v)", path, out, err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// replace changes a file from the host.
func (c *devContainer) replace(file, old, changed string) {
	c.t.Helper()
	path := filepath.Join(c.folder, file)
	text, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(old)) {
		c.t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte(old), []byte(changed), 1), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// remove takes away containers, networks, volumes and images. By name: another
// project may have the same image.
func (c *devContainer) remove(t *testing.T) {
	if c.project == "" {
		return
	}
	used, _, _ := c.run(patience, "docker", "inspect", "--format", "{{.Config.Image}}", c.id)
	built, _, _ := c.run(patience, "docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference="+c.project+"-*")
	if _, all, err := c.run(patience, "docker", "compose", "-p", c.project, "down", "--volumes", "--timeout", "1"); err != nil {
		t.Errorf("%v\n%s", err, all)
	}
	for _, image := range slices.Compact(strings.Fields(used + "\n" + built)) {
		if _, all, err := c.run(patience, "docker", "image", "rm", image); err != nil && !strings.Contains(all, "No such image") {
			t.Errorf("%v\n%s", err, all)
		}
	}
}
