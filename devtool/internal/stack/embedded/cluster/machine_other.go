//go:build unix && !linux

package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bootID names this boot of the machine (macOS: the kernel's boot session).
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(id)
}

// processes lists the server of postmaster.pid when its command line names this
// data directory. Its children cannot be told apart here; a new server waits
// for them itself, because it sees their shared memory.
func (c *Cluster) processes() []int {
	pid := c.serverPID()
	if pid == 0 {
		return nil
	}
	out, err := exec.Command("ps", "-o", "stat=,command=", "-p", strconv.Itoa(pid)).Output()
	line := strings.TrimSpace(string(out))
	if err != nil || strings.HasPrefix(line, "Z") || !strings.Contains(line, c.Data()) {
		return nil
	}
	return []int{pid}
}

// writeOut has PostgreSQL write its files out, one by one.
func (c *Cluster) writeOut(ctx context.Context) error {
	out, err := c.run(ctx, "initdb --sync-only", c.Binaries.Initdb(), "--sync-only", "--pgdata="+c.Data())
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(out, 2))
	}
	return nil
}
