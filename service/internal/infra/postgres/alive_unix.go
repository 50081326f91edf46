//go:build unix

package postgres

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// alive looks at the socket of an idle connection without waiting and without
// taking anything from it. Silence is what an idle connection has to say: an end
// of file or a reset is a server that closed it, and bytes are the farewell of
// one that is about to (57P01 and its kin) or a notice, after which a new
// connection is the safe choice.
func alive(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	// Control, and not Read: pgx reads in the background when a write was slow,
	// and that Read may still be waiting on the idle connection. Read here would
	// wait for it.
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		silent = errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
	})
	return err == nil && silent
}
