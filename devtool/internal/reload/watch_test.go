package reload

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	root := module(t)
	s := supervise(t, root, bothTargets...)

	t.Run("a save brings both programs anew, the first target first", func(t *testing.T) {
		s.save("word/word.go", wordFile("two"))
		r := s.built("server")
		if got := says(t, r.Binary); got != "server two" {
			t.Fatalf("the new binary says %q", got)
		}
		if r.Trigger != filepath.Join("word", "word.go") || r.Saved.IsZero() || r.Duration <= 0 {
			t.Fatalf("report: %+v", r)
		}
		if got := says(t, s.built("worker").Binary); got != "worker two" {
			t.Fatalf("the new binary says %q", got)
		}
	})

	t.Run("a compile error is reported in the compiler's words, and the old binary is untouched", func(t *testing.T) {
		s.save("word/word.go", wordFile("three"))
		old := s.built("server")
		s.built("worker")
		s.save("word/word.go", "package word\n\nconst Word = thr ee\n")
		r := s.next()
		if r.OK || r.Process != "server" || r.Binary != "" {
			t.Fatalf("report: %+v", r)
		}
		if !strings.HasPrefix(r.Summary, "word/word.go:3:") || !strings.Contains(r.Output, r.Summary) {
			t.Fatalf("summary %q of %q", r.Summary, r.Output)
		}
		if got := says(t, old.Binary); got != "server three" {
			t.Fatalf("the old binary says %q", got)
		}
		s.save("word/word.go", wordFile("four"))
		if got := says(t, s.built("server").Binary); got != "server four" {
			t.Fatalf("the mended binary says %q", got)
		}
		s.built("worker")
	})

	t.Run("a file that is touched brings nothing new", func(t *testing.T) {
		s.save("word/word.go", wordFile("four"))
		for _, name := range []string{"server", "worker"} {
			if r := s.next(); !r.OK || !r.Unchanged || r.Process != name {
				t.Fatalf("report: %+v", r)
			}
		}
	})

	t.Run("a change of one program leaves the other as it is", func(t *testing.T) {
		s.save("worker/main.go", "package main\n\nfunc main() { println(\"worker alone\") }\n")
		if r := s.next(); r.Process != "server" || !r.Unchanged {
			t.Fatalf("report: %+v", r)
		}
		if got := says(t, s.built("worker").Binary); got != "worker alone" {
			t.Fatalf("the new binary says %q", got)
		}
	})

	t.Run("of two files saved together, one taken back is built again", func(t *testing.T) {
		before, err := os.ReadFile(filepath.Join(root, "server/main.go"))
		if err != nil {
			t.Fatal(err)
		}
		s.save("word/word.go", wordFile("five"))
		s.save("server/main.go", "package main\n\nfunc main() { println(\"server alone\") }\n")
		s.until("server", s.says("server alone"))
		s.save("server/main.go", string(before))
		s.until("server", s.says("server five"))
	})

	t.Run("of many saves in a row the last one wins", func(t *testing.T) {
		for _, word := range []string{"a", "b", "c", "d", "e", "f", "g", "last"} {
			s.save("word/word.go", wordFile(word))
		}
		s.until("server", s.says("server last"))
	})

	t.Run("a changed .env is told by the environment's digest", func(t *testing.T) {
		before := EnvironmentDigest(root)
		s.save(".env", "GREETING=hello\n")
		after := s.until("server", func(r Report) bool { return r.Environment != before })
		if after.Environment != EnvironmentDigest(root) || says(t, after.Binary) != "server last" {
			t.Fatalf("report: %+v", after)
		}
	})

	t.Run("air's chatter is not passed on", func(t *testing.T) {
		if said := s.output.String(); said != "" {
			t.Fatalf("said %q", said)
		}
	})

	t.Run("nothing is left after a stop, and a second one is harmless", func(t *testing.T) {
		s.save("word/word.go", wordFile("stopped")) // a build may be under way
		s.stop()
		s.stop()
		if left := processesOf(t, s.stateDir, root); len(left) > 0 {
			t.Fatalf("left: %q", left)
		}
		stages, err := filepath.Glob(filepath.Join(s.stateDir, "builds", stagePrefix+"*"))
		if err != nil || len(stages) > 0 {
			t.Fatalf("left: %q (%v)", stages, err)
		}
	})
}

func TestWatchEnds(t *testing.T) {
	t.Run("when air dies its last words are the error, and its hand-over goes", func(t *testing.T) {
		root := module(t)
		s := supervise(t, root, bothTargets...)
		if err := syscall.Kill(s.watcher.air.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-s.watcher.Done()
		if err := s.watcher.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("err: %v", err)
		}
		s.stop()
		// Nobody waits for it as air did, so it may be ending still.
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(patient); len(processesOf(t, s.stateDir, root)) > 0; <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("left: %q", processesOf(t, s.stateDir, root))
			}
		}
	})

	t.Run("go's own air of the module is run, and ends with all its processes", func(t *testing.T) {
		ours, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
		if err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		for _, name := range []string{"go.mod", "go.sum"} { // air is a tool of ours
			data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(ours)), name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, root, name, string(data))
		}
		write(t, root, "server/main.go", "package main\n\nfunc main() { println(\"one\") }\n")
		s := superviseWith(t, WatchConfig{Root: root, Targets: bothTargets[:1]})
		s.save("server/main.go", "package main\n\nfunc main() { println(\"two\") }\n")
		s.until("server", s.says("two"))
		s.stop()
		if left := processesOf(t, s.stateDir, root); len(left) > 0 {
			t.Fatalf("left: %q", left)
		}
	})

	t.Run("a save is found by polling", func(t *testing.T) {
		air, err := airBinary()
		if err != nil {
			t.Fatal(err)
		}
		s := superviseWith(t, WatchConfig{Root: module(t), Targets: bothTargets[:1], AirPath: air, Poll: true})
		s.save("word/word.go", wordFile("polled"))
		s.until("server", s.says("server polled"))
	})

	t.Run("without air in go.mod the hint is how to get it", func(t *testing.T) {
		_, err := Watch(WatchConfig{Root: module(t), StateDir: t.TempDir(), Targets: bothTargets, Command: []string{"true"}})
		var hinted interface{ NextStep() string }
		if !errors.As(err, &hinted) || hinted.NextStep() != "go get -tool github.com/air-verse/air@v1.67.4" {
			t.Fatalf("err: %v", err)
		}
	})

	t.Run("a hidden root is refused, for air would watch nothing", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), ".hidden")
		write(t, root, "go.mod", "module example.com/tiny\n")
		if _, err := Watch(WatchConfig{Root: root, StateDir: t.TempDir(), Targets: bothTargets, Command: []string{"true"}}); err == nil ||
			!strings.Contains(err.Error(), "hidden") {
			t.Fatalf("err: %v", err)
		}
	})
}

// processesOf lists the processes whose command line or working directory names
// one of the directories.
func processesOf(t *testing.T, dirs ...string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range all {
		cmdline, err := os.ReadFile(filepath.Join(p, "cmdline"))
		if err != nil {
			continue // gone
		}
		cwd, err := os.Readlink(filepath.Join(p, "cwd"))
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			if strings.Contains(string(cmdline), dir) || strings.HasPrefix(cwd, dir) {
				found = append(found, strings.ReplaceAll(string(cmdline), "\x00", " "))
				break
			}
		}
	}
	return found
}
