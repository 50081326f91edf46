package port

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// reserve binds the address without listening: connections are refused, and
// nobody else gets the port. Linux lets a listener with SO_REUSEADDR, which Go
// sets, bind it as well (socket(7)).
func reserve(addr *net.TCPAddr) (io.Closer, error) {
	family := syscall.AF_INET6
	var address syscall.Sockaddr = &syscall.SockaddrInet6{Port: addr.Port, Addr: [16]byte(addr.IP.To16())}
	if ip := addr.IP.To4(); ip != nil {
		family = syscall.AF_INET
		address = &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(ip)}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	socket := os.NewFile(uintptr(fd), addr.String())
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return nil, errors.Join(fmt.Errorf("share address: %w", err), socket.Close())
	}
	if err := syscall.Bind(fd, address); err != nil {
		return nil, errors.Join(fmt.Errorf("bind %s: %w", addr, err), socket.Close())
	}
	return socket, nil
}
