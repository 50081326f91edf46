package binaries

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// install writes programs that say this version.
func install(t *testing.T, dir, says string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "initdb"} {
		script := "#!/bin/sh\necho '" + says + "'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	ctx := context.Background()

	t.Run("the first on the path wins, links followed", func(t *testing.T) {
		root := t.TempDir()
		real := install(t, filepath.Join(root, "lib", "15", "bin"), "postgres (PostgreSQL) 15.18 (Debian 15.18-1)")
		install(t, filepath.Join(root, "other"), "postgres (PostgreSQL) 17.1")
		links := filepath.Join(root, "links")
		if err := os.Mkdir(links, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(links, "postgres")); err != nil {
			t.Fatal(err)
		}
		set, ok, err := Find(ctx, Places{Path: filepath.Join(root, "none") + ":" + links + ":" + filepath.Join(root, "other")})
		if err != nil || !ok {
			t.Fatalf("found %v, %v", ok, err)
		}
		want, err := filepath.EvalSymlinks(real)
		if err != nil {
			t.Fatal(err)
		}
		if set.Dir != want || set.Version != "15.18" || set.Major != 15 {
			t.Errorf("found %+v, want 15.18 in %s", set, want)
		}
	})

	t.Run("of the package folders the newest wins", func(t *testing.T) {
		root := t.TempDir()
		for _, v := range []string{"9.6.24", "14.2", "15.3", "15.18"} {
			install(t, filepath.Join(root, v, "bin"), "postgres (PostgreSQL) "+v)
		}
		set, ok, err := Find(ctx, Places{Globs: []string{filepath.Join(root, "*", "bin")}})
		if err != nil || !ok || set.Version != "15.18" {
			t.Errorf("found %+v, %v, %v", set, ok, err)
		}
	})

	t.Run("what cannot serve is passed over", func(t *testing.T) {
		root := t.TempDir()
		install(t, filepath.Join(root, "old"), "postgres (PostgreSQL) 12.22")
		install(t, filepath.Join(root, "odd"), "something else entirely")
		half := install(t, filepath.Join(root, "half"), "postgres (PostgreSQL) 16.1")
		if err := os.Remove(filepath.Join(half, "initdb")); err != nil {
			t.Fatal(err)
		}
		set, ok, err := Find(ctx, Places{Path: filepath.Join(root, "old") + ":" + filepath.Join(root, "odd") + ":" + half, Globs: []string{root + "/*"}})
		if err != nil || ok {
			t.Errorf("found %+v, %v, %v", set, ok, err)
		}
	})

	t.Run("PGBIN is taken at its word, and is an error where it is wrong", func(t *testing.T) {
		root := t.TempDir()
		wanted := install(t, filepath.Join(root, "wanted"), "postgres (PostgreSQL) 16.4")
		other := install(t, filepath.Join(root, "other"), "postgres (PostgreSQL) 17.1")
		set, ok, err := Find(ctx, Places{Wanted: wanted, Path: other})
		if err != nil || !ok || set.Dir != wanted {
			t.Errorf("found %+v, %v, %v", set, ok, err)
		}
		if _, _, err := Find(ctx, Places{Wanted: root, Path: other}); err == nil {
			t.Error("no error for a folder without programs")
		}
	})
}
