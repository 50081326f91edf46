package reload

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkSave measures the time from a saved file of the service to the report
// of its new binary, and that of a bare `go build` after a like change. They take
// turns, so that a busy machine slows both; x-bare is the ratio of their medians.
func BenchmarkSave(b *testing.B) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		b.Fatal(err)
	}
	// Two copies of the module: air must not see the bare builds' changes.
	watched, unwatched := filepath.Join(b.TempDir(), "watched"), filepath.Join(b.TempDir(), "unwatched")
	for _, to := range []string{watched, unwatched} {
		copyTree(b, strings.TrimSpace(string(out)), to)
	}
	const target, file = "./service/cmd/server", "service/internal/usecase/note/note.go"
	code, err := os.ReadFile(filepath.Join(watched, file))
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	change := func() string { // one that was never built before
		n++
		return fmt.Sprintf("%s\nvar change%d = %d\n", code, n, n)
	}
	binary := filepath.Join(b.TempDir(), "bare")
	bare := func() {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, target)
		cmd.Dir = unwatched
		if said, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, said)
		}
	}
	bare()
	s := supervise(b, watched, Target{"server", target})
	var saves, builds []time.Duration
	for b.Loop() {
		began := time.Now()
		s.save(file, change())
		s.built("server")
		saves = append(saves, time.Since(began))

		began = time.Now()
		write(b, unwatched, file, change())
		bare()
		builds = append(builds, time.Since(began))
	}
	slices.Sort(saves)
	slices.Sort(builds)
	save, build := saves[len(saves)/2], builds[len(builds)/2]
	b.ReportMetric(save.Seconds()*1e3, "ms-save")
	b.ReportMetric(build.Seconds()*1e3, "ms-bare")
	b.ReportMetric(save.Seconds()/build.Seconds(), "x-bare")
}

// copyTree copies a module without what is hidden.
func copyTree(b *testing.B, from, to string) {
	b.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case rel != "." && strings.HasPrefix(e.Name(), "."):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !e.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
	if err != nil {
		b.Fatal(err)
	}
}
