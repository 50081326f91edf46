//go:build !linux

package port

import (
	"io"
	"net"
)

// reserve does nothing: this system does not let a port be bound twice, so a
// reservation would be in the way of the listener that it is for.
func reserve(*net.TCPAddr) (io.Closer, error) { return nil, nil }
