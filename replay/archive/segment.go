package archive

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
	liveSuffix   = ".jsonl"
	sealedSuffix = ".jsonl.zst"
	indexSuffix  = ".idx"
	tempSuffix   = ".tmp"

	dirMode  = 0o700
	fileMode = 0o600
)

// segmentName is the time of the start, the process, and a number where both
// are the same. Names sort by time.
var segmentName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{9}Z-\d+(-\d+)?$`)

func nameAt(start time.Time, pid, again int) string {
	name := fmt.Sprintf("%s-%d", start.UTC().Format("20060102T150405.000000000Z"), pid)
	if again > 0 {
		name = fmt.Sprintf("%s-%d", name, again)
	}
	return name
}

// segment is one segment of a directory, as it was when it was listed.
type segment struct {
	dir, name string
	sealed    bool
	size      int64 // of all its files
	modified  time.Time
}

func (s segment) live() string  { return filepath.Join(s.dir, s.name+liveSuffix) }
func (s segment) done() string  { return filepath.Join(s.dir, s.name+sealedSuffix) }
func (s segment) index() string { return filepath.Join(s.dir, s.name+indexSuffix) }

// segments lists the segments of a directory, oldest first, and the temporary
// files that a crash left behind. A segment of which both forms are there is
// not sealed yet.
func segments(dir string) (list []segment, temps []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	found := map[string]*segment{}
	sizes := map[string]int64{}
	for _, e := range entries {
		base, suffix, ok := strings.Cut(e.Name(), ".jsonl")
		if !ok {
			base, suffix = strings.TrimSuffix(e.Name(), indexSuffix), indexSuffix
		}
		// The fraction of a second has a dot, so base is the whole name.
		if strings.HasSuffix(e.Name(), tempSuffix) {
			temps = append(temps, filepath.Join(dir, e.Name()))
			continue
		}
		if !segmentName.MatchString(base) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // sealed or removed since
		}
		if err != nil {
			return nil, nil, err
		}
		sizes[base] += info.Size()
		switch suffix {
		case "":
			found[base] = &segment{dir: dir, name: base, modified: info.ModTime()}
		case ".zst":
			if found[base] == nil {
				found[base] = &segment{dir: dir, name: base, sealed: true, modified: info.ModTime()}
			}
		}
	}
	for name, s := range found {
		s.size = sizes[name]
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	return list, temps, nil
}

// remove deletes the files of the segment. An index without lines is nothing,
// so it goes last.
func (s segment) remove() error {
	var failed error
	for _, path := range []string{s.live(), s.done(), s.index()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
