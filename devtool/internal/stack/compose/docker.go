package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/goldenpath/devtool/internal/console"
)

const (
	answerTimeout = 2 * time.Second
	// insteadHint is what a machine without Docker can do.
	insteadHint = "devtool up --engine embedded"
)

// saidError is a call of the docker CLI that failed, with what it said.
type saidError struct {
	said  string
	cause error
}

func (e *saidError) Error() string {
	if e.said == "" {
		return e.cause.Error()
	}
	return e.said
}

func (e *saidError) Unwrap() error { return e.cause }

// command is a call of the CLI. When ctx ends, so do the call and the plugins
// that it started.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// said runs a call and returns its standard output.
func said(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err := cmd.Run()
	switch {
	case err == nil:
		return out.Bytes(), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, &saidError{said: gist(words.String()), cause: err}
}

// docker calls the CLI about what is there already.
func docker(ctx context.Context, args ...string) ([]byte, error) {
	return said(ctx, command(ctx, args...))
}

// environment is what the CLI is called with: the user's own, so that contexts
// and credentials are the user's, without what would name another project, and
// with output that can be read by a program.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_REMOVE_ORPHANS"}, name)
	})
	return append(env, "COMPOSE_PROGRESS=plain", "COMPOSE_ANSI=never", "DOCKER_CLI_HINTS=false")
}

// mostWords bounds what is quoted of Docker.
const mostWords = 6

// gist is what matters of the CLI's output: Compose begins lines of progress
// with a space and warnings with time= or WARN.
func gist(output string) string {
	var kept []string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "time=") || strings.HasPrefix(strings.ToUpper(line), "WARN") {
			continue
		}
		line = strings.TrimPrefix(line, "Error response from daemon: ")
		line = strings.TrimPrefix(line, "Error: ")
		kept = append(kept, line)
	}
	return strings.Join(kept[max(0, len(kept)-mostWords):], "\n")
}

// Answers asks whether a Docker engine with Compose v2 can run containers whose
// ports are within reach, and returns the engine's version. The error says why
// not. It takes at most two seconds.
func Answers(ctx context.Context) (version string, err error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return "", console.Fail(console.ExitFailed, "install Docker (https://docs.docker.com/get-docker/), or "+insteadHint,
			"there is no docker on the PATH")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errSilent)
	defer cancel()
	type answer struct {
		out []byte
		err error
	}
	ask := func(args ...string) <-chan answer {
		got := make(chan answer, 1)
		go func() {
			out, err := docker(ctx, args...)
			got <- answer{bytes.TrimSpace(out), err}
		}()
		return got
	}
	// At the same time, as each takes a tenth of a second on a busy machine.
	place := ask("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	engine := ask("version", "--format", "{{.Server.Version}}")
	plugin := ask("compose", "version", "--short")
	where, e, p := <-place, <-engine, <-plugin
	if e.err != nil {
		return "", explainSilence(e.err, string(where.out))
	}
	if p.err != nil {
		return "", console.Fail(console.ExitFailed, "install Compose v2 (Debian: apt-get install docker-compose-plugin), or "+insteadHint,
			"docker has no plugin for Compose: %v", p.err)
	}
	if major, _, _ := strings.Cut(strings.TrimPrefix(string(p.out), "v"), "."); major == "0" || major == "1" {
		return "", console.Fail(console.ExitFailed, "install Compose v2, or "+insteadHint, "docker compose is version %s, 2 or newer is needed", p.out)
	}
	if where.err == nil && elsewhere(string(where.out)) {
		return "", console.Fail(console.ExitFailed, "docker context use default (or unset DOCKER_HOST), or "+insteadHint,
			"docker runs containers at %s, where the ports that they publish are out of reach", where.out)
	}
	return string(e.out), nil
}

var errSilent = fmt.Errorf("no answer within %s", answerTimeout)

// explainSilence tells why the engine did not answer.
func explainSilence(err error, place string) error {
	at := ""
	if place != "" {
		at = " at " + place
	}
	text := err.Error()
	switch {
	case errors.Is(err, errSilent):
		return console.Fail(console.ExitFailed, "restart Docker, or "+insteadHint, "docker%s does not answer within %s", at, answerTimeout)
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(text, "permission denied"):
		return console.Fail(console.ExitFailed, "sudo usermod -aG docker $USER and log in again, or "+insteadHint,
			"this user may not use docker%s: permission denied", at)
	case local(place) && (strings.Contains(text, "Cannot connect to the Docker daemon") || strings.Contains(text, "failed to connect to the docker API")):
		return console.Fail(console.ExitFailed, "start Docker, or "+insteadHint, "docker does not run: nothing answers%s", at)
	case place != "":
		return console.Fail(console.ExitFailed, "docker context ls (or echo $DOCKER_HOST) says where docker looks, or "+insteadHint,
			"docker cannot be reached%s: %s", at, text)
	}
	return console.Fail(console.ExitFailed, "docker version says it again once it is mended, or "+insteadHint, "docker does not work: %s", text)
}

// local says whether an endpoint of docker is a socket of this machine.
func local(place string) bool {
	return strings.HasPrefix(place, "unix://") || strings.HasPrefix(place, "npipe://")
}

// elsewhere says whether an endpoint of docker is on another machine.
func elsewhere(place string) bool {
	u, err := url.Parse(place)
	if place == "" || err != nil || local(place) || u.Hostname() == "localhost" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}
