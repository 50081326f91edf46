// Package binaries finds PostgreSQL's server programs on this machine, and
// fetches them where there are none.
package binaries

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Oldest is the first major version that will do: DROP DATABASE … WITH (FORCE),
// which a reset needs, came with it.
const Oldest = 13

// Set is a folder with initdb and postgres of one version.
type Set struct {
	Dir     string // as it was found
	Version string // "15.18"
	Major   int    // 15
}

// Initdb is the path of initdb.
func (s Set) Initdb() string { return filepath.Join(s.Dir, "initdb") }

// Postgres is the path of the server.
func (s Set) Postgres() string { return filepath.Join(s.Dir, "postgres") }

// Places says where to look. The zero value looks nowhere.
type Places struct {
	// Wanted, when not empty, is the only folder that is looked at: the
	// environment variable PGBIN.
	Wanted string
	// Path is a list of folders as in the environment variable PATH; the first
	// that has the programs wins.
	Path string
	// Globs are patterns of folders where packages put the programs; the newest
	// version wins.
	Globs []string
}

// SystemPlaces is where this machine's PostgreSQL may be: PGBIN, PATH, and the
// folders of Debian, Red Hat, Homebrew and Postgres.app.
func SystemPlaces(getenv func(string) string) Places {
	return Places{
		Wanted: getenv("PGBIN"),
		Path:   getenv("PATH"),
		Globs: []string{
			"/usr/lib/postgresql/*/bin",
			"/usr/pgsql-*/bin",
			"/usr/libexec/postgresql*",
			"/opt/homebrew/opt/postgresql@*/bin",
			"/usr/local/opt/postgresql@*/bin",
			"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
		},
	}
}

// Find returns the programs to use. ok is false when there are none; the error
// is for a Wanted folder that does not have them, or the end of ctx.
func Find(ctx context.Context, p Places) (found Set, ok bool, err error) {
	if p.Wanted != "" {
		set, err := inspect(ctx, p.Wanted)
		if err != nil {
			return Set{}, false, fmt.Errorf("look at PGBIN=%s: %w", p.Wanted, err)
		}
		return set, true, nil
	}
	for _, dir := range filepath.SplitList(p.Path) {
		// A link such as /usr/local/bin/postgres has no initdb or share folder
		// beside it that counts; what it points to does.
		real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil || !filepath.IsAbs(real) {
			continue
		}
		if set, err := inspect(ctx, filepath.Dir(real)); err == nil {
			return set, true, nil
		}
	}
	for _, pattern := range p.Globs {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			set, err := inspect(ctx, dir)
			if err == nil && newer(set, found) {
				found, ok = set, true
			}
		}
	}
	// A look that was cut short has not seen that there is none.
	return found, ok, ctx.Err()
}

func newer(a, b Set) bool {
	if a.Major != b.Major {
		return a.Major > b.Major
	}
	return minor(a.Version) > minor(b.Version)
}

func minor(version string) int {
	_, after, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(after)
	if err != nil {
		return 0
	}
	return n
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) ((\d+)(?:\.\d+)*)`)

// inspect asks the server in dir for its version.
func inspect(ctx context.Context, dir string) (Set, error) {
	set := Set{Dir: dir}
	for _, program := range []string{set.Initdb(), set.Postgres()} {
		info, err := os.Stat(program)
		if err != nil {
			return Set{}, err
		}
		if info.IsDir() || info.Mode()&0o111 == 0 {
			return Set{}, fmt.Errorf("%s is not a program", program)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, set.Postgres(), "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return Set{}, fmt.Errorf("ask %s for its version: %w", set.Postgres(), err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return Set{}, fmt.Errorf("ask %s for its version: it says %q", set.Postgres(), clip(string(out), 80))
	}
	set.Version = string(match[1])
	set.Major, err = strconv.Atoi(string(match[2]))
	if err != nil {
		return Set{}, fmt.Errorf("ask %s for its version: %w", set.Postgres(), err)
	}
	if set.Major < Oldest {
		return Set{}, fmt.Errorf("%s is PostgreSQL %s; %d or later is needed", dir, set.Version, Oldest)
	}
	return set, nil
}

func clip(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) > n {
		return s[:n]
	}
	return s
}
