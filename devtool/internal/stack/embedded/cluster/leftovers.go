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
	"syscall"
	"time"
)

const (
	fastShutdown = 10 * time.Second // checkpoint included
	afterKill    = 5 * time.Second
)

// EndLeftovers ends the server, or what is left of one, that still works on the
// data directory: its supervisor was killed, or it was itself and its children
// have not noticed yet. Then it removes postmaster.pid, whose pid may belong to
// another program by now and would keep a new server from starting. Only
// processes that are certain to work on this very directory are touched.
func (c *Cluster) EndLeftovers(ctx context.Context) error {
	if left := c.processes(); len(left) > 0 {
		c.Tell("ending a PostgreSQL server that an earlier run left behind")
		if err := c.end(ctx, left); err != nil {
			return err
		}
	}
	err := os.Remove(filepath.Join(c.Data(), "postmaster.pid"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("remove a stale postmaster.pid: %w", err)
	}
	return nil
}

func (c *Cluster) end(ctx context.Context, left []int) error {
	gone := func() bool { return len(c.processes()) == 0 }
	// A server that is whole shuts down cleanly on SIGINT ("fast shutdown",
	// PostgreSQL documentation, 19.5). Children whose server is dead need the
	// harder way.
	if server := c.serverPID(); contains(left, server) {
		_ = syscall.Kill(server, syscall.SIGINT)
		limited, cancel := context.WithTimeout(ctx, fastShutdown)
		err := poll(limited, gone)
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for _, pid := range c.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	limited, cancel := context.WithTimeout(ctx, afterKill)
	defer cancel()
	if err := poll(limited, gone); err != nil {
		return fmt.Errorf("end the PostgreSQL server that an earlier run left behind: process %v does not go away", c.processes())
	}
	return nil
}

// serverPID is the pid on the first line of postmaster.pid, 0 when there is none.
func (c *Cluster) serverPID() int {
	data, err := os.ReadFile(filepath.Join(c.Data(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}

func contains(list []int, n int) bool {
	for _, have := range list {
		if have == n {
			return true
		}
	}
	return false
}
