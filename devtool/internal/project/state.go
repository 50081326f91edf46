package project

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Key names this worktree among all of the machine's: its folder's name, for
// people, and a hash of its path.
func (p *Project) Key() string {
	sum := sha256.Sum256([]byte(p.Root))
	base := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, filepath.Base(p.Root))
	if len(base) > 24 {
		base = base[:24]
	}
	return base + "-" + hex.EncodeToString(sum[:4])
}

// StateDir makes and returns the directory of what must survive a command but
// is nobody's to read: sockets, database files, binaries. It lies outside the
// worktree, as bind mounts of Docker Desktop break sockets and fsync.
//
// DEVTOOL_STATE_HOME comes first, then XDG_STATE_HOME, then ~/.local/state; for
// root it is /var/lib/devtool, since the user that PostgreSQL must run as
// cannot enter root's home.
func (p *Project) StateDir() (string, error) {
	home, err := stateHome()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(home, p.Key())
	// Others may pass (PostgreSQL's user, when we are root), not look.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", fmt.Errorf("make the state directory: %w", err)
	}
	return dir, nil
}

func stateHome() (string, error) {
	if dir := os.Getenv("DEVTOOL_STATE_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "devtool"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/devtool", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the state directory: %w", err)
	}
	return filepath.Join(home, ".local", "state", "devtool"), nil
}

// Socket is the path of the supervisor's control socket: in the state
// directory, or, where that would be longer than the 104 bytes that every
// unix's sockaddr_un holds, under the system's temporary directory.
func (p *Project) Socket() (string, error) {
	dir, err := p.StateDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "control.sock")
	if len(path) < 104 {
		return path, nil
	}
	sum := sha256.Sum256([]byte(dir))
	short := filepath.Join(os.TempDir(), fmt.Sprintf("devtool-%d", os.Getuid()))
	if err := os.MkdirAll(short, 0o700); err != nil {
		return "", fmt.Errorf("make the socket's directory: %w", err)
	}
	return filepath.Join(short, hex.EncodeToString(sum[:8])+".sock"), nil
}

// Local makes and returns a directory of things that a person may want to open:
// .devtool/NAME in the worktree, which git ignores.
func (p *Project) Local(name string) (string, error) {
	dir := filepath.Join(p.Root, ".devtool", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make %s: %w", dir, err)
	}
	return dir, nil
}
