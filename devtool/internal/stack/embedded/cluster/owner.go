package cluster

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"

	"example.com/goldenpath/devtool/internal/process"
)

// ServerUser is who runs PostgreSQL's programs, which refuse to work as root:
// nobody else (nil) for an ordinary user; for root the user postgres, else
// nobody.
func ServerUser(uid int, lookup func(name string) (*user.User, error)) (*process.Credential, error) {
	if uid != 0 {
		return nil, nil
	}
	var last error
	for _, name := range []string{"postgres", "nobody"} {
		u, err := lookup(name)
		if err != nil {
			last = err
			continue
		}
		id, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read the user id of %s: %w", name, err)
		}
		group, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read the group id of %s: %w", name, err)
		}
		return &process.Credential{UID: uint32(id), GID: uint32(group)}, nil
	}
	return nil, fmt.Errorf("find a user to run PostgreSQL as: %w", last)
}

// mayEnter goes by the permission bits alone.
func mayEnter(info fs.FileInfo, c process.Credential) bool {
	mode := info.Mode().Perm()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case stat.Uid == c.UID:
			return mode&0o100 != 0
		case stat.Gid == c.GID:
			return mode&0o010 != 0
		}
	}
	return mode&0o001 != 0
}
