package reload

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// extensions of the files that may go into a Go program: its code and what it
// commonly embeds, and the files of the module and of the environment (.env is
// an extension to air). Tests do not.
var extensions = []string{
	"go", "mod", "sum", "work", "env",
	"sql", "yaml", "yml", "json", "toml", "graphql", "html", "tmpl",
}

// neverWatched are directories that are left out wherever they are. Hidden ones
// are, too: air does not enter them.
var neverWatched = []string{"testdata", "node_modules"}

// scope is what is watched.
type scope struct {
	Root       string   `json:"root"` // absolute, no symbolic links
	Extensions []string `json:"extensions"`
	Exclude    []string `json:"exclude"` // directories, relative to Root
}

// enters says whether the directory at rel, relative to the root, is watched.
func (s scope) enters(rel string) bool {
	name := filepath.Base(rel)
	return rel == "." || !strings.HasPrefix(name, ".") && !slices.Contains(neverWatched, name) && !slices.Contains(s.Exclude, rel)
}

// includes says whether a change of the file called name matters.
func (s scope) includes(name string) bool {
	if strings.HasSuffix(name, "_test.go") {
		return false
	}
	// go ignores such files; editors make them.
	if filepath.Ext(name) == ".go" && strings.ContainsAny(name[:1], "._#") {
		return false
	}
	return slices.Contains(s.Extensions, strings.TrimPrefix(filepath.Ext(name), "."))
}

// skipped lists the directories that air must be told not to enter, relative to
// the root.
func (s scope) skipped() []string {
	var dirs []string
	s.walk(func(rel string, _ fs.DirEntry) {}, func(rel string) {
		if !strings.HasPrefix(filepath.Base(rel), ".") {
			dirs = append(dirs, rel)
		}
	})
	return dirs
}

// latest returns the file that was changed last, relative to the root, and when.
// A file that was removed leaves no trace.
func (s scope) latest() (file string, at time.Time) {
	s.walk(func(rel string, e fs.DirEntry) {
		if !s.includes(e.Name()) {
			return
		}
		if info, err := e.Info(); err == nil && info.ModTime().After(at) {
			file, at = rel, info.ModTime()
		}
	}, func(string) {})
	return file, at
}

// walk visits the files below the directories that are watched, and the roots of
// those that are not. What cannot be read is passed over.
func (s scope) walk(file func(rel string, e fs.DirEntry), skipped func(rel string)) {
	_ = filepath.WalkDir(s.Root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(s.Root, path)
		if err != nil {
			return nil
		}
		if !e.IsDir() {
			file(rel, e)
			return nil
		}
		if !s.enters(rel) {
			skipped(rel)
			return fs.SkipDir
		}
		return nil
	})
}
