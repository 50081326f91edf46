package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestREADME: every command of the README is run by the script readme.txt, so
// that what the README claims stays true. `go test ./...` is this very run.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "script", "readme.txt"))
	if err != nil {
		t.Fatal(err)
	}
	inBlock, commands := false, 0
	for _, line := range strings.Split(string(readme), "\n") {
		switch {
		case line == "```sh":
			inBlock = true
		case strings.HasPrefix(line, "```"):
			inBlock = false
		case inBlock && line != "" && line != "go test ./...":
			commands++
			if !strings.Contains(string(script), "\n# $ "+line+"\n") {
				t.Errorf("testdata/script/readme.txt does not run %q", line)
			}
		}
	}
	if commands < 5 {
		t.Errorf("only %d commands found in the README", commands)
	}
}
