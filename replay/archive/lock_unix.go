//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package archive

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A process holds a lock on the segment that it writes. The lock goes with the
// process, whatever kills it, and works across containers, where process ids
// do not.

// own takes the lock of a file that was just created. Only a reader that asks
// for the owner can be in the way, for a moment.
func own(f *os.File) error { return flock(f, unix.LOCK_EX) }

// tryOwn takes the lock of a file if nobody has it.
func tryOwn(f *os.File) bool { return flock(f, unix.LOCK_EX|unix.LOCK_NB) == nil }

// owned reports whether a process has the lock of a file.
func owned(f *os.File) bool {
	if err := flock(f, unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return errors.Is(err, unix.EWOULDBLOCK)
	}
	_ = flock(f, unix.LOCK_UN) // closing the file does it too
	return false
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
