package embedded

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
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

// portBook remembers the port of one server of one worktree in a file. A file
// that says nothing useful is as good as none.
type portBook struct{ file, seed string }

func newPortBook(dir, name string) portBook {
	return portBook{file: filepath.Join(dir, name+".port"), seed: dir + "\x00" + name}
}

// listen binds the remembered port, else one derived from the worktree and the
// server's name, else the next free one, and remembers it. moved is the port
// that was remembered and is taken, 0 when there is none.
func (b portBook) listen() (l net.Listener, moved int, err error) {
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
		l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			return nil, 0, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
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

// reserve is listen for a server that binds the port itself. Between the two
// another program may take it; the caller then asks again.
func (b portBook) reserve() (port, moved int, err error) {
	l, moved, err := b.listen()
	if err != nil {
		return 0, 0, err
	}
	port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return 0, 0, fmt.Errorf("release port %d: %w", port, err)
	}
	return port, moved, nil
}

func (b portBook) remembered() int {
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

func movedText(name string, from, to int) string {
	return fmt.Sprintf("%s: port %d is taken by another program, so it uses %d from now on", name, from, to)
}
