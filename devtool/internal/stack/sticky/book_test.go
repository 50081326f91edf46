package sticky

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBook(t *testing.T) {
	t.Run("a port is remembered", func(t *testing.T) {
		dir := t.TempDir()
		first, _, err := Open(dir, "db").Reserve()
		if err != nil {
			t.Fatal(err)
		}
		again, moved, err := Open(dir, "db").Reserve()
		if err != nil || again != first || moved != 0 {
			t.Errorf("%d, then %d, moved from %d, %v", first, again, moved, err)
		}
	})

	t.Run("another worktree gets another port while the first is in use", func(t *testing.T) {
		l, _, err := Open(t.TempDir(), "db").Listen()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		other, _, err := Open(t.TempDir(), "db").Listen()
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if l.Addr().String() == other.Addr().String() {
			t.Errorf("both have %s", l.Addr())
		}
	})

	t.Run("a port that is taken is left, and the new one is remembered", func(t *testing.T) {
		dir := t.TempDir()
		thief, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		taken := thief.Addr().(*net.TCPAddr).Port
		write(t, filepath.Join(dir, "db.port"), fmt.Sprint(taken))
		port, moved, err := Open(dir, "db").Reserve()
		if err != nil || port == taken || moved != taken {
			t.Errorf("port %d, moved from %d, %v; %d was taken", port, moved, err, taken)
		}
		if again, _, err := Open(dir, "db").Reserve(); err != nil || again != port {
			t.Errorf("then %d, %v; want %d", again, err, port)
		}
	})

	t.Run("a port to avoid is left though it could be bound, and the new one is remembered", func(t *testing.T) {
		dir := t.TempDir()
		first, _, err := Open(dir, "db").Reserve()
		if err != nil {
			t.Fatal(err)
		}
		port, moved, err := Open(dir, "db").Reserve(first)
		if err != nil || port == first || moved != first {
			t.Errorf("port %d, moved from %d, %v; %d was to be avoided", port, moved, err, first)
		}
		if again, _, err := Open(dir, "db").Reserve(); err != nil || again != port {
			t.Errorf("then %d, %v; want %d", again, err, port)
		}
	})

	for _, garbage := range []string{"", "ninety", "-5", "0", "99999999999999999999", "70000", "22\n23", strings.Repeat("1", 1<<16)} {
		t.Run(fmt.Sprintf("a port file with %.12q is as good as none", garbage), func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "db.port"), garbage)
			port, moved, err := Open(dir, "db").Reserve()
			if err != nil || port < firstPort || moved != 0 {
				t.Errorf("port %d, moved from %d, %v", port, moved, err)
			}
		})
	}

	t.Run("a folder that cannot be written is an error, and the port is free again", func(t *testing.T) {
		gone := filepath.Join(t.TempDir(), "gone")
		if _, _, err := Open(gone, "db").Reserve(); err == nil || !strings.Contains(err.Error(), "remember the port") {
			t.Errorf("error %v", err)
		}
	})
}
