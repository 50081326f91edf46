package compose

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/project"
)

const redisFile = `
services:
  redis:
    image: redis:8.2.3
    ports: ["127.0.0.1:${REDIS_PORT:-6379}:6379"]
`

var (
	redisDependency = project.Dependency{Name: "redis", Kind: "redis", Service: "redis"}
	dbDependency    = project.Dependency{Name: "db", Kind: "postgres", Service: "postgres", Database: "goldenpath", User: "goldenpath", Password: "goldenpath"}
)

func (w *worktree) redis() *Redis { return New(w.Config).Redis(redisDependency) }

// fails says that err tells and hints at these.
func fails(t *testing.T, err error, text, hint string) {
	t.Helper()
	var f *console.Failure
	if !errors.As(err, &f) || !strings.Contains(err.Error(), text) || !strings.Contains(console.HintOf(err), hint) {
		t.Errorf("error: %v\nhint: %s\nwant: %s\nhint: %s", err, console.HintOf(err), text, hint)
	}
	if err != nil && !t.Failed() {
		t.Logf("error: %v\nhint: %s", err, console.HintOf(err))
	}
}

func TestFile(t *testing.T) {
	needsDocker(t)
	for _, bad := range []struct{ name, file, text, hint string }{
		{"that is not YAML", "services:\n  redis:\n image: x\n  - q", "compose.yaml cannot be used: yaml: line", "config"},
		{"with a word that Compose does not know", "services: {redis: {image: x, prots: []}}", "prots", "config"},
		{"without the service", "services: {cache: {image: x}}", "no such service: redis", "devtool.yaml"},
		{"with a service that publishes nothing", "services: {redis: {image: x}}", "service redis publishes no port", `"127.0.0.1:${REDIS_PORT:-6379}:6379"`},
		{"with a service that publishes two ports", `services: {redis: {image: x, ports: ["127.0.0.1:1:6379", "127.0.0.1:2:8001"]}}`, "publishes 2 ports", "6379"},
		{"with a service that publishes to the network", `services: {redis: {image: x, ports: ["6379:6379"]}}`, "to the network", `"127.0.0.1:${REDIS_PORT:-6379}:6379"`},
	} {
		t.Run("a file "+bad.name+" is named, and nothing is made", func(t *testing.T) {
			w := newWorktree(t, bad.file)
			r := w.redis()
			fails(t, r.Start(t.Context()), bad.text, bad.hint)
			if left := w.left(t); left != "" {
				t.Errorf("left: %s", left)
			}
			stopAll(t, r)
		})
	}

	t.Run("a file that is not there is named", func(t *testing.T) {
		w := newWorktree(t, "")
		w.File = "deploy/compose.yaml"
		fails(t, w.redis().Start(t.Context()), "deploy/compose.yaml", "devtool.yaml")
	})

	t.Run("Down works with a file that is broken by now", func(t *testing.T) {
		w := newWorktree(t, redisFile)
		r := w.redis()
		startAll(t, r)
		write(t, w.Root+"/compose.yaml", "services: {")
		stopAll(t, r)
		if left := w.left(t); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

func TestContainerThatFails(t *testing.T) {
	needsDocker(t)

	t.Run("a volume of another major PostgreSQL is named, with the way out", func(t *testing.T) {
		w := newWorktree(t, projectFile(t))
		db := New(w.Config).Postgres(dbDependency)
		startAll(t, db)
		stopAll(t, db)
		cli(t, "run", "--rm", "--label", projectLabel+"="+w.Project, "--volume", w.Project+"_postgres:/data", "--entrypoint", "sh", "postgres:17.7",
			"-c", "echo 14 > /data/PG_VERSION")
		fails(t, db.Start(t.Context()), "another major version", "devtool up --fresh")
		stopAll(t, db)
		if err := New(w.Config).Down(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if err := db.Start(t.Context()); err != nil {
			t.Errorf("with new data: %v", err)
		}
	})

	t.Run("one that ends at once is quoted", func(t *testing.T) {
		w := newWorktree(t, redisFile+"    command: [sh, -c, 'echo my last words >&2; exit 3']\n")
		r := w.redis()
		fails(t, r.Start(t.Context()), "exit code 3", "compose.yaml")
		fails(t, r.Start(t.Context()), "my last words", "--fresh")
		stopAll(t, r)
	})

	t.Run("one without room on the disk says so", func(t *testing.T) {
		w := newWorktree(t, redisFile+"    command: [sh, -c, 'echo write x: No space left on device; exit 1']\n")
		r := w.redis()
		fails(t, r.Start(t.Context()), "disk of Docker is full", "docker system df")
		stopAll(t, r)
	})

	t.Run("one that runs and never answers is quoted when patience ends", func(t *testing.T) {
		w := newWorktree(t, redisFile+"    command: [sh, -c, 'echo I sleep; exec sleep 1000']\n    stop_signal: SIGKILL\n"+
			"    healthcheck: {test: [CMD, 'false'], interval: 300ms, retries: 1}\n")
		c := New(w.Config)
		c.patience = 2 * time.Second
		r := c.Redis(redisDependency)
		err := r.Start(t.Context())
		fails(t, err, "no answer within 2.00 s", "devtool logs redis")
		fails(t, err, "I sleep", "--engine embedded")
		fails(t, err, "unhealthy", "docker inspect")
		stopAll(t, r)
	})

	t.Run("a user that the volume does not know is told at once", func(t *testing.T) {
		w := newWorktree(t, projectFile(t))
		stranger := dbDependency
		stranger.Password = "wrong"
		db := New(w.Config).Postgres(stranger)
		fails(t, db.Start(t.Context()), "password", "devtool.yaml")
		stopAll(t, db)
	})
}

func TestCtrlC(t *testing.T) {
	needsDocker(t)
	for _, ms := range []int{0, 200, 400, 600} {
		after := time.Duration(ms) * time.Millisecond
		t.Run("after "+after.String()+" the start returns soon and stop leaves nothing", func(t *testing.T) {
			w := newWorktree(t, projectFile(t))
			x := New(w.Config).three()
			ctx, cancel := context.WithTimeoutCause(t.Context(), after, context.Canceled)
			defer cancel()
			sideBySide(t, x.all(), func(s lifecycle) error {
				err := s.Start(ctx)
				if late := time.Since(deadline(ctx)); late > 10*time.Second {
					t.Errorf("it returned %s after Ctrl-C", late)
				}
				if err != nil && console.HintOf(err) != "" {
					t.Errorf("being stopped is told as a failure: %v", err)
				}
				return nil
			})
			stopAll(t, x.all()...)
			if left := cli(t, "ps", "--all", "--quiet", "--filter", "label="+projectLabel+"="+w.Project); left != "" {
				t.Errorf("left: %s", left)
			}
			if records := w.Registry.Records(); len(records) != 0 {
				t.Errorf("still on record: %v", records)
			}
			db := New(w.Config).Postgres(dbDependency)
			if err := db.Start(t.Context()); err != nil {
				t.Errorf("the next start: %v", err)
			}
			stopAll(t, db)
		})
	}
}

func deadline(ctx context.Context) time.Time {
	d, _ := ctx.Deadline()
	return d
}
