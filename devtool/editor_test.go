package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestEditorFiles: what the editor reads is not compiled, so this looks that
// its parts agree.
func TestEditorFiles(t *testing.T) {
	t.Run("a debug session starts a task that there is", func(t *testing.T) {
		var launch struct {
			Configurations []struct{ Name, PreLaunchTask string }
		}
		readCommented(t, ".vscode/launch.json", &launch)
		for _, c := range launch.Configurations {
			if c.PreLaunchTask != "" {
				taskCommand(t, c.PreLaunchTask)
			}
		}
	})
	t.Run("settings and recommendations can be read", func(t *testing.T) {
		readCommented(t, ".vscode/settings.json", &map[string]any{})
		readCommented(t, ".vscode/extensions.json", &map[string]any{})
	})
	t.Run("the dev container asks for no privileges", func(t *testing.T) {
		var c map[string]any
		readCommented(t, ".devcontainer/devcontainer.json", &c)
		for _, field := range []string{"privileged", "securityOpt", "mounts", "features", "runArgs"} {
			if _, ok := c[field]; ok {
				t.Errorf("it has %q", field)
			}
		}
	})
	t.Run("it has the Go of production and the linter of CI", func(t *testing.T) {
		same(t, `FROM (?:--\S+ )?golang:([\d.]+)`, "Dockerfile", ".devcontainer/Dockerfile")
		same(t, `golangci(?:=|-lint@)(v[\d.]+)`, ".ci/run", ".devcontainer/Dockerfile")
	})
}

// taskCommand returns the command line of a task of the editor.
func taskCommand(t *testing.T, label string) string {
	t.Helper()
	var tasks struct {
		Tasks []struct{ Label, Command string }
	}
	readCommented(t, ".vscode/tasks.json", &tasks)
	for _, task := range tasks.Tasks {
		if task.Label == label {
			return task.Command
		}
	}
	t.Fatalf(".vscode/tasks.json has no task %q", label)
	return ""
}

var commentLine = regexp.MustCompile(`(?m)^\s*//.*$`)

// readCommented reads a JSON file of the repository that may have lines of
// comment.
func readCommented(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(commentLine.ReplaceAll(text, nil), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// same checks that two files of the repository name one version.
func same(t *testing.T, pattern, file, other string) {
	t.Helper()
	version := func(file string) string {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		found := ""
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			if found != "" && found != m[1] {
				t.Errorf("%s has both %s and %s", file, found, m[1])
			}
			found = m[1]
		}
		if found == "" {
			t.Fatalf("%s has nothing like %s", file, pattern)
		}
		return found
	}
	if a, b := version(file), version(other); a != b {
		t.Errorf("%s has %s, %s has %s", file, a, other, b)
	}
}
