package compose

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/console"
)

// fakeDocker puts a docker on the PATH that answers as script says: a case for
// each of its words.
func fakeDocker(t *testing.T, version, compose, context string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\ncase $1 in\nversion) " + version + ";;\ncompose) " + compose + ";;\ncontext) " + context + ";;\nesac\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestAnswers(t *testing.T) {
	const socket, fine = "echo unix:///var/run/docker.sock", "echo 2.26.1"

	t.Run("a machine without docker is told so", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := Answers(t.Context())
		fails(t, err, "no docker on the PATH", "install Docker")
	})

	t.Run("the version of an engine that answers is given", func(t *testing.T) {
		fakeDocker(t, "echo 29.1.0", "echo v2.40.3-desktop.1", socket)
		if version, err := Answers(t.Context()); version != "29.1.0" || err != nil {
			t.Errorf("%q, %v", version, err)
		}
	})

	// What docker says is quoted from versions 26 to 29 of its CLI.
	for _, c := range []struct{ name, version, compose, context, text, hint string }{
		{"without Compose", "echo 29.1.0", `echo "unknown flag: --short" >&2; exit 125`, socket, "no plugin for Compose", "docker-compose-plugin"},
		{"with Compose v1", "echo 29.1.0", "echo 1.29.2", socket, "version 1.29.2", "Compose v2"},
		{"whose socket is closed to the user",
			`echo "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied" >&2; exit 1`,
			fine, socket, "may not use docker at unix:///var/run/docker.sock", "usermod"},
		{"that does not run",
			`echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >&2; exit 1`,
			fine, socket, "does not run", "start Docker"},
		{"that does not run, in the words of version 29",
			`echo "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory" >&2; exit 1`,
			fine, socket, "does not run", "start Docker"},
		{"that DOCKER_HOST leads astray to",
			`echo "Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?" >&2; exit 1`,
			fine, "echo tcp://127.0.0.1:1", "cannot be reached at tcp://127.0.0.1:1", "DOCKER_HOST"},
		{"whose context is missing", `echo "Failed to initialize: unable to resolve docker endpoint: context \"x\": context not found" >&2; exit 1`,
			fine, "exit 1", "context not found", "docker version"},
		{"on another machine", "echo 29.1.0", fine, "echo ssh://me@build.example.com", "out of reach", "docker context use default"},
		{"that hangs", "sleep 30", fine, socket, "does not answer within 2s", "restart Docker"},
	} {
		t.Run("an engine "+c.name+" is told as such, within two seconds", func(t *testing.T) {
			fakeDocker(t, c.version, c.compose, c.context)
			began := time.Now()
			_, err := Answers(t.Context())
			fails(t, err, c.text, c.hint)
			if hint := console.HintOf(err); !strings.HasSuffix(hint, "devtool up --engine embedded") {
				t.Errorf("the way out is not in %q", hint)
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestAnswersOfTheRealCLI(t *testing.T) {
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("needs the docker CLI, not an engine")
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, c := range []struct{ name, host, text, hint string }{
		{"a socket that is not there", "unix:///nonexistent.sock", "does not run", "start Docker"},
		{"a port that nobody listens on", "tcp://127.0.0.1:1", "cannot be reached at tcp://127.0.0.1:1", "DOCKER_HOST"},
		{"a host that never answers", "tcp://" + silent.Addr().String(), "does not answer", "restart Docker"},
	} {
		t.Run(c.name+" is told as such", func(t *testing.T) {
			t.Setenv("DOCKER_HOST", c.host)
			_, err := Answers(t.Context())
			fails(t, err, c.text, c.hint)
		})
	}

	t.Run("a start without an engine fails with the same words", func(t *testing.T) {
		w := newWorktree(t, redisFile)
		t.Setenv("DOCKER_HOST", "unix:///nonexistent.sock")
		fails(t, w.redis().Start(t.Context()), "start redis: docker does not run", "--engine embedded")
	})
}

func TestAnswersOfTheEngine(t *testing.T) {
	needsDocker(t)
	began := time.Now()
	version, err := Answers(t.Context())
	if err != nil || version == "" {
		t.Errorf("version %q: %v", version, err)
	}
	t.Logf("Docker %s answered in %s", version, time.Since(began))
}

// path is a way to the engine that can be cut, as when Docker is stopped.
type path struct {
	listener net.Listener
	mu       sync.Mutex
	cut      bool
	conns    []net.Conn
	all      sync.WaitGroup
}

// newPath makes DOCKER_HOST lead through it.
func newPath(t *testing.T) *path {
	t.Helper()
	place := strings.TrimSpace(cli(t, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"))
	network, addr, _ := strings.Cut(place, "://")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &path{listener: l}
	p.all.Add(1)
	go func() {
		defer p.all.Done()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.join(conn, network, addr)
		}
	}()
	t.Cleanup(func() { l.Close(); p.set(true); p.all.Wait() })
	t.Setenv("DOCKER_HOST", "tcp://"+l.Addr().String())
	return p
}

func (p *path) join(conn net.Conn, network, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	engine, err := net.Dial(network, addr)
	if err != nil || p.cut {
		conn.Close()
		return
	}
	p.conns = append(p.conns, conn, engine)
	for _, way := range [][2]net.Conn{{conn, engine}, {engine, conn}} {
		p.all.Add(1)
		go func() {
			defer p.all.Done()
			io.Copy(way[0], way[1])
			way[0].Close()
		}()
	}
}

// set cuts the path or mends it.
func (p *path) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func TestDockerGoesAway(t *testing.T) {
	needsDocker(t)

	t.Run("all containers count as ended, and are gone on with when it is back", func(t *testing.T) {
		w := newWorktree(t, redisFile)
		way := newPath(t)
		r := w.redis()
		startAll(t, r)
		addr := r.Addr()
		way.set(true)
		awaitDone(t, r)
		fails(t, r.Start(t.Context()), "start redis: docker cannot be reached", "--engine embedded")
		way.set(false)
		if err := r.Start(t.Context()); err != nil || r.Addr() != addr {
			t.Errorf("at %s, was at %s: %v", r.Addr(), addr, err)
		}
		if !w.hasSaid("found running") {
			t.Error("nothing was said of it")
		}
	})

	for _, after := range []time.Duration{150 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond} {
		t.Run("a start that it leaves after "+after.String()+" says so soon", func(t *testing.T) {
			w := newWorktree(t, projectFile(t))
			way := newPath(t)
			x := New(w.Config).three()
			timer := time.AfterFunc(after, func() { way.set(true) })
			defer timer.Stop()
			began := time.Now()
			fails(t, x.db.Start(t.Context()), "docker cannot be reached", "--engine embedded")
			if took := time.Since(began); took > after+10*time.Second {
				t.Errorf("it took %s", took)
			}
			way.set(false)
			stopAll(t, x.all()...)
		})
	}
}
