package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// initdbTimeout is far above what initdb takes on a slow laptop.
const initdbTimeout = 2 * time.Minute

// scratchPrefix begins the folders in which initdb works. They are renamed when
// it is done, so one that is found is what a killed initdb left.
const scratchPrefix = "initdb-"

func (c *Cluster) removeScratch() error {
	dirs, err := filepath.Glob(filepath.Join(c.Home, scratchPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove what an interrupted initdb left: %w", err)
		}
	}
	return nil
}

func (c *Cluster) initialise(ctx context.Context) (err error) {
	defer func() {
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("make a new database in %s: %w", c.Home, ErrDiskFull)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, initdbTimeout, fmt.Errorf("it took longer than %s", initdbTimeout))
	defer cancel()
	scratch, err := os.MkdirTemp(c.Home, scratchPrefix)
	if err != nil {
		return fmt.Errorf("make a new database: %w", err)
	}
	defer os.RemoveAll(scratch)
	password := filepath.Join(scratch, "password")
	if err := os.WriteFile(password, []byte(c.Password+"\n"), 0o600); err != nil {
		return fmt.Errorf("make a new database: %w", err)
	}
	if c.Credential != nil {
		for _, path := range []string{scratch, password} {
			if err := os.Chown(path, int(c.Credential.UID), int(c.Credential.GID)); err != nil {
				return fmt.Errorf("make a new database: %w", err)
			}
		}
	}
	data := filepath.Join(scratch, "data")
	if err := c.initdb(ctx, data, password); err != nil {
		return err
	}
	if err := os.Rename(data, c.Data()); err != nil {
		return fmt.Errorf("make a new database: %w", err)
	}
	return nil
}

// initdb prefers C.UTF-8, which sorts alike everywhere and knows upper case
// beyond ASCII. Where the system lacks it, as older macOS does, C sorts the same.
func (c *Cluster) initdb(ctx context.Context, data, password string) error {
	var said string
	for _, locale := range []string{"C.UTF-8", "C"} {
		out, err := c.run(ctx, "initdb", c.Binaries.Initdb(),
			"--pgdata="+data, "--username="+c.Superuser, "--pwfile="+password,
			"--auth=scram-sha-256", "--encoding=UTF8", "--locale="+locale, "--no-sync")
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && (strings.Contains(out, "No space left on device") || c.lacksRoom()) {
			return fmt.Errorf("make a new database in %s: %w", c.Home, ErrDiskFull)
		}
		said = lastLines(out, 3)
		if !strings.Contains(out, "invalid locale") || ctx.Err() != nil {
			return fmt.Errorf("make a new database: %w: %s", err, said)
		}
		if err := os.RemoveAll(data); err != nil {
			return fmt.Errorf("make a new database: %w", err)
		}
	}
	return fmt.Errorf("make a new database: initdb accepts neither locale C.UTF-8 nor C: %s", said)
}

// smallestRoom is what a new data directory takes, of which 16 MB are its log.
// Short of it initdb has usually removed what it wrote, so this much was there
// at most.
const smallestRoom = 50 << 20

// lacksRoom says whether the disk is why initdb failed: the server that it
// starts may be aborted without a word.
func (c *Cluster) lacksRoom() bool {
	var stat unix.Statfs_t
	if err := unix.Statfs(c.Home, &stat); err != nil {
		return false
	}
	return uint64(stat.Bavail)*uint64(stat.Bsize) < smallestRoom //nolint:unconvert // the types differ between systems
}

// output collects the words of a program that says little.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := 64<<10 - o.buf.Len(); room > 0 {
		o.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func lastLines(text string, n int) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
