package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// syncTimeout bounds the write-out at the end of a session. When it runs out,
// nothing is lost but the trust in this data after the next boot.
const syncTimeout = 5 * time.Second

// The file of this name holds the boot in which a server has been writing to
// the data directory, from before its start until all it wrote is on the disk.
// Found in a later boot it means that the machine went down in between. Within
// one boot a killed server has lost nothing: the system's cache is complete,
// and PostgreSQL recovers from its log.
func (c *Cluster) useFile() string { return c.Data() + ".in-use" }

// MarkInUse is called before a server starts.
func (c *Cluster) MarkInUse() error {
	if err := os.WriteFile(c.useFile(), []byte(bootID()+"\n"), 0o600); err != nil {
		return fmt.Errorf("note that PostgreSQL runs: %w", err)
	}
	return nil
}

// MarkClean is called after a server has shut down as it should. It writes the
// data directory out to the disk first.
func (c *Cluster) MarkClean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if err := c.writeOut(ctx); err != nil {
		return fmt.Errorf("write the data of PostgreSQL out: %w", err)
	}
	return c.forgetUse()
}

func (c *Cluster) forgetUse() error {
	if err := os.Remove(c.useFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note that PostgreSQL has stopped: %w", err)
	}
	return nil
}

// crashed says whether the machine went down while the data was in use, and in
// which boot.
func (c *Cluster) crashed() (boot string, yes bool) {
	data, err := os.ReadFile(c.useFile())
	if err != nil {
		return "", false
	}
	boot = strings.TrimSpace(string(data))
	if len(boot) > 64 {
		boot = boot[:64]
	}
	return boot, boot != bootID()
}
