package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bootID names this boot of the machine (random(4)).
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}

// processes lists those that work on the data directory: a PostgreSQL server
// and each of its children have it as their working directory.
func (c *Cluster) processes() []int {
	data, err := os.Stat(c.Data())
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join("/proc", entry.Name())
		cwd, err := os.Stat(filepath.Join(dir, "cwd"))
		if err != nil || !os.SameFile(cwd, data) {
			continue
		}
		// A developer's shell may stand there as well.
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err == nil && strings.TrimSpace(string(name)) == "postgres" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// writeOut writes the whole file system out. That is several times faster than
// PostgreSQL's own initdb --sync-only, which goes file by file, a thousand of
// them. The call cannot be interrupted; after the time limit it ends by itself.
func (c *Cluster) writeOut(ctx context.Context) error {
	dir, err := os.Open(c.Data())
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer dir.Close()
		done <- unix.Syncfs(int(dir.Fd()))
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
