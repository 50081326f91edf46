package reload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	stagePrefix = ".stage-"
	// stageLife is after what time a build that left its stage behind is taken to
	// be dead.
	stageLife = time.Hour
	// keptBuilds are never pruned: the newest was just reported, the one before
	// may still run.
	keptBuilds = 2
)

var buildName = regexp.MustCompile(`^(.+)-[0-9a-f]{16}$`)

type kept struct {
	path  string
	saved time.Time
}

// kept lists the binaries of each process, the newest first.
func (b *Builder) kept() (map[string][]kept, error) {
	entries, err := os.ReadDir(b.OutDir)
	if err != nil {
		return nil, err
	}
	all := map[string][]kept{}
	for _, e := range entries {
		name := buildName.FindStringSubmatch(e.Name())
		info, err := e.Info()
		if name == nil || err != nil || !info.Mode().IsRegular() {
			continue // not ours, or gone this moment
		}
		all[name[1]] = append(all[name[1]], kept{filepath.Join(b.OutDir, e.Name()), info.ModTime()})
	}
	for _, list := range all {
		slices.SortStableFunc(list, func(x, y kept) int { return y.saved.Compare(x.saved) })
	}
	return all, nil
}

// newest returns the last build of a process, or "".
func (b *Builder) newest(process string) string {
	all, err := b.kept()
	if err != nil || len(all[process]) == 0 {
		return ""
	}
	return all[process][0].path
}

// Prune removes old binaries. Those named in inUse stay, and so do the newest two
// of each process. Call it after a swap: only the supervisor knows what runs.
func (b *Builder) Prune(inUse ...string) error {
	all, err := b.kept()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("prune old builds: %w", err)
	}
	var failed []error
	for _, list := range all {
		for _, k := range list[min(keptBuilds, len(list)):] {
			if !slices.Contains(inUse, k.path) {
				failed = append(failed, os.Remove(k.path))
			}
		}
	}
	failed = append(failed, b.sweep())
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("prune old builds: %w", err)
	}
	return nil
}

// sweep removes what builds that were killed left behind.
func (b *Builder) sweep() error {
	entries, err := os.ReadDir(b.OutDir)
	if err != nil {
		return err
	}
	var failed []error
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), stagePrefix) && time.Since(info.ModTime()) > stageLife {
			failed = append(failed, os.RemoveAll(filepath.Join(b.OutDir, e.Name())))
		}
	}
	return errors.Join(failed...)
}
