package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocuments: every command of these documents is run by a script, so that
// what they claim stays true. `go test ./...` is this very run.
func TestDocuments(t *testing.T) {
	for document, script := range map[string]string{
		"README.md":          "readme.txt",
		"docs/first-task.md": "first-task.txt",
	} {
		t.Run(document, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "script", script))
			if err != nil {
				t.Fatal(err)
			}
			commands := commandsOf(t, document, "sh")
			if len(commands) < 5 {
				t.Errorf("only %d commands found", len(commands))
			}
			for _, line := range commands {
				if line != "go test ./..." && !strings.Contains(string(text), "\n# $ "+line+"\n") {
					t.Errorf("testdata/script/%s does not run %q", script, line)
				}
			}
		})
	}
}

// commandsOf returns the lines of a document's blocks in a language: sh is typed
// on a machine, bash in the dev container.
func commandsOf(t *testing.T, document, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", document))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	inBlock := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "```"+language:
			inBlock = true
		case strings.HasPrefix(line, "```"):
			inBlock = false
		case inBlock && line != "":
			commands = append(commands, line)
		}
	}
	return commands
}
