package stack

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/project"
)

func TestChoose(t *testing.T) {
	choose := func(t *testing.T, asked, variable string, composeFile bool) (Choice, error) {
		t.Helper()
		t.Setenv(engineVariable, variable)
		p := &project.Project{Root: t.TempDir(), Compose: "compose.yaml"}
		if composeFile {
			if err := os.WriteFile(filepath.Join(p.Root, p.Compose), []byte("services: {}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return Choose(t.Context(), p, asked)
	}
	t.Run("what is asked for comes first", func(t *testing.T) {
		if c, err := choose(t, "compose", "attached", false); err != nil || c != (Choice{"compose", "as asked"}) {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("then what the environment says, as that of the dev container does", func(t *testing.T) {
		for _, asked := range []string{"", "auto"} {
			if c, err := choose(t, asked, "attached", true); err != nil || c != (Choice{"attached", "DEVTOOL_ENGINE says so"}) {
				t.Errorf("%v, %v", c, err)
			}
		}
	})
	t.Run("without a compose file it is embedded", func(t *testing.T) {
		if c, err := choose(t, "auto", "", false); err != nil || c.Engine != "embedded" || !strings.Contains(c.Why, "compose.yaml") {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("without Docker it is embedded, and the reason says so", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if c, err := choose(t, "auto", "auto", true); err != nil || c.Engine != "embedded" || !strings.Contains(c.Why, "no docker on the PATH") {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("with a Docker that does not answer it is embedded, and the reason says so", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "docker.sock"))
		c, err := choose(t, "", "", true)
		if err != nil || c.Engine != "embedded" || !strings.Contains(c.Why, "docker") {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("an engine that there is not is wrong usage", func(t *testing.T) {
		for _, asked := range []string{"podman", "Compose"} {
			_, err := choose(t, asked, "", true)
			var f *console.Failure
			if !errors.As(err, &f) || f.Exit != console.ExitUsage {
				t.Errorf("%v", err)
			}
		}
		if _, err := choose(t, "auto", "nonsense", true); err == nil {
			t.Error("a variable that names no engine was accepted")
		}
	})
}

func TestTrace(t *testing.T) {
	dir := t.TempDir()
	t.Run("where nothing was used there is nothing to take down", func(t *testing.T) {
		if got := readTrace(dir); got != (trace{down: true}) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("it says which engine and whether it is down", func(t *testing.T) {
		for _, want := range []trace{{"compose", false}, {"compose", true}, {"embedded", false}} {
			if err := want.write(dir); err != nil {
				t.Fatal(err)
			}
			if got := readTrace(dir); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	})
	t.Run("garbage names no engine that would be cleaned up", func(t *testing.T) {
		if err := os.WriteFile(tracePath(dir), []byte("\x00 garbage\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CleanUp(t.Context(), &project.Project{Root: t.TempDir(), Compose: "compose.yaml"}, dir, true); err != nil {
			t.Error(err)
		}
	})
	t.Run("attached, new data is for the next up to make", func(t *testing.T) {
		if err := (trace{"attached", true}).write(dir); err != nil {
			t.Fatal(err)
		}
		p := &project.Project{Root: t.TempDir(), Compose: "compose.yaml"}
		if err := CleanUp(t.Context(), p, dir, false); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(laterPath(dir)); err == nil {
			t.Error("down without --volumes asks for new data")
		}
		if err := CleanUp(t.Context(), p, dir, true); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(laterPath(dir)); err != nil {
			t.Error(err)
		}
	})
}
