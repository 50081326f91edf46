package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/console"
)

// Programs that do what real ones do on days that cannot be arranged.
func TestPostgresWithFakePrograms(t *testing.T) {
	fake := func(t *testing.T, w *worktree, initdb, postgres string) *Postgres {
		t.Helper()
		bin := filepath.Join(w.Dir, "bin")
		for name, script := range map[string]string{"initdb": initdb,
			"postgres": `[ "$1" = --version ] && { echo "postgres (PostgreSQL) 15.99"; exit 0; }` + "\n" + postgres} {
			write(t, filepath.Join(bin, name), "#!/bin/sh\n"+script+"\n")
			if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PGBIN", bin)
		return postgresOf(w)
	}
	// makes just enough of a data directory
	const makes = `for a; do case $a in --pgdata=*) d=${a#--pgdata=};; esac; done
mkdir -p "$d/global" && echo 15 > "$d/PG_VERSION" && : > "$d/global/pg_control"`

	t.Run("a full disk during initdb is named, and nothing is left", func(t *testing.T) {
		w := newWorktree(t)
		p := fake(t, w, `echo "initdb: error: could not write file: No space left on device" >&2; exit 1`, "exit 1")
		err := p.Start(t.Context())
		var failure *console.Failure
		if !errors.As(err, &failure) || !strings.Contains(err.Error(), "no space left") || !strings.Contains(failure.NextStep(), "free") {
			t.Errorf("error %v", err)
		}
		if left, err := filepath.Glob(filepath.Join(w.Dir, "db", "*")); err != nil || len(left) > 0 {
			t.Errorf("left over: %v, %v", left, err)
		}
	})

	t.Run("a disk that is full at the start is not a reason to give up data", func(t *testing.T) {
		w := newWorktree(t)
		p := fake(t, w, makes, `echo 'PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device' >&2; exit 1`)
		err := p.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("error %v", err)
		}
		if aside, _ := filepath.Glob(filepath.Join(w.Dir, "db", "*.aside")); len(aside) > 0 {
			t.Errorf("data was set aside: %v", aside)
		}
	})

	t.Run("a server that ends at once is quoted", func(t *testing.T) {
		w := newWorktree(t)
		p := fake(t, w, makes, `echo "LOG:  hello" >&2; echo "FATAL:  could not create semaphores" >&2; exit 1`)
		err := p.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), "could not create semaphores") || strings.Contains(err.Error(), "hello") {
			t.Errorf("error %v", err)
		}
	})

	t.Run("a server that never answers is given up with its context", func(t *testing.T) {
		w := newWorktree(t)
		p := fake(t, w, makes, `trap 'exit 0' INT TERM; while :; do sleep 0.05; done`)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := p.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if records := w.Registry.Records(); len(records) > 0 {
			t.Errorf("left running: %v", records)
		}
	})

	t.Run("a locale that the system lacks is replaced", func(t *testing.T) {
		w := newWorktree(t)
		p := fake(t, w, `case "$*" in *--locale=C.UTF-8*) echo 'initdb: error: invalid locale name "C.UTF-8"' >&2; exit 1;; esac
`+makes, `echo "FATAL:  far enough" >&2; exit 1`)
		if err := p.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "far enough") {
			t.Errorf("error %v", err)
		}
	})
}
