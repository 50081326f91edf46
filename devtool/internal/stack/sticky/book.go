// Package sticky gives a server the same port at every start in its worktree.
package sticky

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Ports that nobody remembers yet are taken from here: below the range that
// Linux (32768 and up) and macOS (49152 and up) hand out to outgoing
// connections, so that a port stays free while the stack is down.
const (
	firstPort = 20000
	portCount = 12000
)

// Book remembers the port of one server of one worktree in a file. A file that
// says nothing useful is as good as none.
type Book struct{ file, seed string }

// Open returns the book of the server with this name, which lies in dir, the
// worktree's own directory.
func Open(dir, name string) Book {
	return Book{file: filepath.Join(dir, name+".port"), seed: dir + "\x00" + name}
}

// Listen binds the remembered port on 127.0.0.1, else one derived from the
// worktree and the server's name, else the next free one, and remembers it.
// moved is the port that was remembered and is taken, 0 when there is none.
//
// Ports in avoid count as taken: a Docker engine in a machine of its own may
// know of holders that binding here does not show.
func (b Book) Listen(avoid ...int) (l net.Listener, moved int, err error) {
	remembered := b.remembered()
	hash := fnv.New32a()
	hash.Write([]byte(b.seed))
	start := int(hash.Sum32() % portCount)
	try := make([]int, 0, 202)
	if remembered != 0 {
		try = append(try, remembered)
	}
	for i := range 200 {
		try = append(try, firstPort+(start+i)%portCount)
	}
	try = append(try, 0) // whatever the system has
	for _, port := range try {
		if slices.Contains(avoid, port) {
			continue
		}
		l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			break
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if port == remembered {
		return l, 0, nil
	}
	if err := os.WriteFile(b.file, []byte(strconv.Itoa(port)+"\n"), 0o600); err != nil {
		l.Close()
		return nil, 0, fmt.Errorf("remember the port: %w", err)
	}
	return l, remembered, nil
}

// Reserve is Listen for a server that binds the port itself. Between the two
// another program may take it; the caller then asks again.
func (b Book) Reserve(avoid ...int) (port, moved int, err error) {
	l, moved, err := b.Listen(avoid...)
	if err != nil {
		return 0, 0, err
	}
	port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return 0, 0, fmt.Errorf("release port %d: %w", port, err)
	}
	return port, moved, nil
}

func (b Book) remembered() int {
	data, err := os.ReadFile(b.file)
	if err != nil || len(data) > 16 {
		return 0
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || port < 1024 || port > 65535 {
		return 0
	}
	return port
}

// Moved is what a person is told about a port that Listen or Reserve gave up.
func Moved(name string, from, to int) string {
	return fmt.Sprintf("%s: port %d is taken by another program, so it uses %d from now on", name, from, to)
}
