package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// errLocked says that another supervisor of this worktree lives.
var errLocked = errors.New("another supervisor runs for this worktree")

// Lock is the right to be the supervisor of a worktree. The kernel takes it
// back when its holder dies, however it dies.
type Lock struct{ f *os.File }

type holder struct {
	PID int `json:"pid"`
}

// acquire takes the lock of the state directory, or returns errLocked.
func acquire(stateDir string) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(stateDir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for try := 0; errors.Is(err, syscall.EWOULDBLOCK) && try < 10; try++ {
		// Holder takes the lock for an instant, to look; that is no supervisor.
		time.Sleep(5 * time.Millisecond)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("take the lock %s: %w", f.Name(), err)
	}
	data, err := json.Marshal(holder{os.Getpid()})
	if err == nil {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(data, 0)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write the lock: %w", err)
	}
	return &Lock{f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() { l.f.Close() }

// Holder returns the pid of the supervisor that holds the state directory's
// lock, or 0 when none lives.
func Holder(stateDir string) int {
	f, err := os.Open(filepath.Join(stateDir, "lock"))
	if err != nil {
		return 0
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return 0
	}
	var h holder
	if json.NewDecoder(f).Decode(&h) != nil {
		return 0
	}
	return h.PID
}
