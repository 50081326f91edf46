// Package cluster keeps the data directory of one PostgreSQL server: it is made
// whole or not at all, belongs to a user who may run a server, is not trusted
// after the machine crashed, and is never served twice.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack/embedded/binaries"
)

// Errors that callers tell apart.
var (
	// ErrUnreachable is a state directory that the server's user cannot enter.
	ErrUnreachable = errors.New("the server's user cannot reach the state directory")
	// ErrDiskFull is a file system without room for a database.
	ErrDiskFull = errors.New("no space left on the device")
)

// Cluster is the data directory of one major version. Another major version
// has a directory of its own beside it: upgrading the machine's PostgreSQL
// starts with a new database and leaves the old one alone, which beats both an
// error at every start and a pg_upgrade that nobody asked for.
//
// Its methods are not for concurrent use.
type Cluster struct {
	Home       string // folder of this server in the worktree's state directory
	Binaries   binaries.Set
	Superuser  string // made by initdb, with Password
	Password   string
	Credential *process.Credential // who runs the programs; nil: this process's user
	Registry   *process.Registry
	Tell       func(text string) // what a person must know
}

// Data is the data directory, for postgres -D.
func (c *Cluster) Data() string {
	return filepath.Join(c.Home, "data-"+strconv.Itoa(c.Binaries.Major))
}

// Prepare leaves a data directory that a server can start on: no server of an
// earlier supervisor works on it, it survived the last crash, it has been
// initialised, and its configuration is ours. When it fails nothing half done
// is left.
func (c *Cluster) Prepare(ctx context.Context) error {
	if err := c.openHome(); err != nil {
		return err
	}
	if err := c.EndLeftovers(ctx); err != nil {
		return err
	}
	if err := c.removeScratch(); err != nil {
		return err
	}
	if c.exists() {
		if booted, ok := c.crashed(); ok {
			// fsync is off, so what the file system holds after a crash of the
			// machine may be any mixture of old and new pages.
			if err := c.SetAside(fmt.Sprintf("the machine went down while PostgreSQL was running (boot %s)", booted)); err != nil {
				return err
			}
		}
	}
	if !c.exists() {
		if _, err := os.Lstat(c.Data()); err == nil {
			if err := c.SetAside("its data directory is not one"); err != nil {
				return err
			}
		}
		if others := c.otherMajors(); len(others) > 0 {
			c.Tell(fmt.Sprintf("PostgreSQL %d starts with a new database; the data of version %s is kept in %s",
				c.Binaries.Major, strings.Join(others, ", "), c.Home))
		}
		if err := c.initialise(ctx); err != nil {
			return err
		}
	}
	return c.configure()
}

// openHome makes the folder and sees to it that the server's user can work in it.
func (c *Cluster) openHome() error {
	if err := os.MkdirAll(c.Home, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", c.Home, err)
	}
	if c.Credential == nil {
		return nil
	}
	if err := os.Chown(c.Home, int(c.Credential.UID), int(c.Credential.GID)); err != nil {
		return fmt.Errorf("give %s to user id %d: %w", c.Home, c.Credential.UID, err)
	}
	for dir := filepath.Dir(c.Home); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look at %s: %w", dir, err)
		}
		if !mayEnter(info, *c.Credential) {
			return fmt.Errorf("%w: user id %d may not enter %s", ErrUnreachable, c.Credential.UID, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// exists says whether the data directory is one of this major version. initdb
// writes PG_VERSION first and pg_control late.
func (c *Cluster) exists() bool {
	version, err := os.ReadFile(filepath.Join(c.Data(), "PG_VERSION"))
	if err != nil || strings.TrimSpace(string(version)) != strconv.Itoa(c.Binaries.Major) {
		return false
	}
	_, err = os.Stat(filepath.Join(c.Data(), "global", "pg_control"))
	return err == nil
}

// SetAside moves the data directory out of the way, in place of what was set
// aside before, and says so. Nothing may run on it.
func (c *Cluster) SetAside(why string) error {
	aside := c.Data() + ".aside"
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("make room for data that is set aside: %w", err)
	}
	if err := os.Rename(c.Data(), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set the data directory aside: %w", err)
	}
	if err := c.forgetUse(); err != nil {
		return err
	}
	c.Tell(fmt.Sprintf("PostgreSQL starts with a new, empty database: %s. The old data is in %s", why, aside))
	return nil
}

func (c *Cluster) otherMajors() []string {
	dirs, err := filepath.Glob(filepath.Join(c.Home, "data-*"))
	if err != nil {
		return nil
	}
	var majors []string
	for _, dir := range dirs {
		major := strings.TrimPrefix(filepath.Base(dir), "data-")
		if _, err := strconv.Atoi(major); err == nil && dir != c.Data() {
			majors = append(majors, major)
		}
	}
	return majors
}

// run runs a program of the cluster to its end and returns what it wrote. It is
// on record, so that a supervisor that is killed leaves no initdb behind.
func (c *Cluster) run(ctx context.Context, name, path string, args ...string) (string, error) {
	var out output
	p, err := process.Start(process.Spec{
		Name: name, Path: path, Args: args, Dir: c.Home, Env: Environment(),
		Credential: c.Credential, Output: &out,
	}, c.Registry)
	if err != nil {
		return "", err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		<-p.Done()
		return out.String(), fmt.Errorf("run %s: %w", name, context.Cause(ctx))
	}
	if err := p.Err(); err != nil {
		return out.String(), fmt.Errorf("run %s: %w", name, err)
	}
	return out.String(), nil
}

// Environment is what PostgreSQL's programs get: nothing of the developer's
// PGDATA, PGHOST or PGPASSWORD, and messages in the language that we read.
func Environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// poll calls f every few milliseconds until it returns true or ctx ends.
func poll(ctx context.Context, f func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
