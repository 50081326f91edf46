package reload

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHandOver(t *testing.T) {
	// prepare writes a plan as a watcher does.
	prepare := func(t *testing.T, targets ...Target) (plan, *lifeline) {
		t.Helper()
		p := plan{Dir: t.TempDir(), Targets: targets, Environment: usualEnvironment()}
		root := module(t)
		p.Scope = scope{Root: root, Extensions: extensions}
		p.Builder = Builder{Root: root, OutDir: filepath.Join(p.Dir, "builds")}
		if err := p.write(); err != nil {
			t.Fatal(err)
		}
		life, err := throwLifeline(p.Dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			life.cut()
			ctx, cancel := context.WithTimeout(context.Background(), patient)
			defer cancel()
			if err := life.wait(ctx); err != nil {
				t.Error(err)
			}
		})
		return p, life
	}
	run := func(ctx context.Context, p plan, stage string, notify func(context.Context, Report) error) (int, string) {
		var said bytes.Buffer
		code := HandOver(ctx, stage, planPath(p.Dir), notify, &said)
		return code, said.String()
	}
	keep := func(reports *[]Report) func(context.Context, Report) error {
		return func(_ context.Context, r Report) error {
			*reports = append(*reports, r)
			return nil
		}
	}

	t.Run("it goes when its watcher's process is gone", func(t *testing.T) {
		p, life := prepare(t, bothTargets...)
		cmd := exec.Command(os.Args[0], "hand-over", "--to", "http://127.0.0.1:1", StageRest, "--config", planPath(p.Dir))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		life.cut()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a build that a newer one overtakes is not reported", func(t *testing.T) {
		p, _ := prepare(t, bothTargets[0])
		p.Builder.Flags = []string{"-a"} // long enough to be overtaken
		if err := p.write(); err != nil {
			t.Fatal(err)
		}
		overtake := make(chan error, 1)
		go func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for readMark(p.Dir, "turn") == "" {
				<-tick.C
			}
			_, err := take(p.Dir)
			overtake <- err
		}()
		var reports []Report
		code, said := run(context.Background(), p, StageBuild, keep(&reports))
		if err := <-overtake; err != nil {
			t.Fatal(err)
		}
		if code != 1 || said != "" || len(reports) != 0 {
			t.Fatalf("code %d, said %q, reports %+v", code, said, reports)
		}
	})

	t.Run("the rest is not built when the first part of the newest build did not succeed", func(t *testing.T) {
		p, _ := prepare(t, bothTargets...)
		if _, err := take(p.Dir); err != nil {
			t.Fatal(err)
		}
		gone, leave := context.WithCancel(context.Background())
		leave()
		var reports []Report
		if code, said := run(gone, p, StageRest, keep(&reports)); code != 0 || said != "" || len(reports) != 0 {
			t.Fatalf("code %d, said %q, reports %+v", code, said, reports)
		}
	})

	t.Run("a target of the rest that fails does not keep the others from being built", func(t *testing.T) {
		p, _ := prepare(t, Target{"server", "./server"}, Target{"broken", "./nowhere"}, Target{"worker", "./worker"})
		var reports []Report
		if code, said := run(context.Background(), p, StageBuild, keep(&reports)); code != 0 {
			t.Fatalf("code %d, said %q", code, said)
		}
		ctx, leave := context.WithCancel(context.Background())
		code, said := run(ctx, p, StageRest, func(ctx context.Context, r Report) error {
			if r.Process == "worker" {
				leave()
			}
			return keep(&reports)(ctx, r)
		})
		if code != 0 || said != "" || len(reports) != 3 || reports[1].OK || !reports[2].OK {
			t.Fatalf("code %d, said %q, reports %+v", code, said, reports)
		}
	})

	t.Run("a supervisor that does not hear is said, with its reason", func(t *testing.T) {
		p, _ := prepare(t, bothTargets[0])
		code, said := run(context.Background(), p, StageBuild, func(context.Context, Report) error {
			return errors.New("socket closed")
		})
		if code != 1 || !strings.Contains(said, "report the build of server: socket closed") {
			t.Fatalf("code %d, said %q", code, said)
		}
	})

	t.Run("a disk that fails is reported as a build that failed", func(t *testing.T) {
		p, _ := prepare(t, bothTargets[0])
		write(t, p.Dir, "file", "")
		p.Builder.OutDir = filepath.Join(p.Dir, "file", "builds")
		if err := p.write(); err != nil {
			t.Fatal(err)
		}
		var reports []Report
		code, _ := run(context.Background(), p, StageBuild, keep(&reports))
		if code != 1 || len(reports) != 1 || reports[0].OK || !strings.Contains(reports[0].Output, "not a directory") {
			t.Fatalf("code %d, reports %+v", code, reports)
		}
	})

	for _, c := range []struct{ name, stage, text, want string }{
		{"a plan that is no JSON", StageBuild, "garbage", "read the plan"},
		{"a plan without targets", StageBuild, "{}", "names no target"},
		{"a plan whose watcher never was", StageBuild, `{"dir":"/nowhere","targets":[{"process":"a","package":"b"}]}`, "lifeline"},
	} {
		t.Run(c.name+" is an error", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "plan.json")
			write(t, filepath.Dir(path), "plan.json", c.text)
			var said bytes.Buffer
			if code := HandOver(context.Background(), c.stage, path, nil, &said); code != 1 || !strings.Contains(said.String(), c.want) {
				t.Fatalf("code %d, said %q", code, said.String())
			}
		})
	}

	t.Run("a stage that does not exist is an error", func(t *testing.T) {
		p, _ := prepare(t, bothTargets[0])
		if code, said := run(context.Background(), p, "nonsense", nil); code != 1 || !strings.Contains(said, "there are build and rest") {
			t.Fatalf("code %d, said %q", code, said)
		}
	})
}

func TestEnvironmentDigest(t *testing.T) {
	root := t.TempDir()
	missing := EnvironmentDigest(root)
	write(t, root, ".env", "")
	empty := EnvironmentDigest(root)
	write(t, root, ".env", "A=1\n")
	one := EnvironmentDigest(root)
	if missing == empty || empty == one {
		t.Fatalf("missing %s, empty %s, one %s", missing, empty, one)
	}
	if again := EnvironmentDigest(root, ".env"); again != one {
		t.Fatalf("again %s, not %s", again, one)
	}
}
