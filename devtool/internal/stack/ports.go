package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/process"
)

// scan is how far above the wanted port a free one is looked for.
const scan = 200

// ports binds the listeners that people and processes use. What a worktree got
// once it asks for again, so that a port that was taken leads to the same other
// one every time.
type ports struct {
	path   string // remembers name: port
	sticky map[string]int
	moved  []control.Moved
}

func openPorts(stateDir string) *ports {
	p := &ports{path: filepath.Join(stateDir, "ports.json"), sticky: map[string]int{}}
	// A file that is missing or broken means that nothing is remembered.
	if data, err := os.ReadFile(p.path); err == nil {
		_ = json.Unmarshal(data, &p.sticky)
	}
	return p
}

// listen binds the port that name had the last time, else the wanted one, else
// the next free one.
func (p *ports) listen(name string, wanted int) (net.Listener, error) {
	first := wanted
	if s := p.sticky[name]; s > 0 && s < 65536 {
		first = s
	}
	l, err := bind(first)
	for port := wanted; err != nil && port < wanted+scan && port < 65536; port++ {
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			break
		}
		if !p.reserved(name, port) {
			l, err = bind(port)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s: ports %d to %d: %w", name, wanted, wanted+scan-1, err)
	}
	got := l.Addr().(*net.TCPAddr).Port
	p.sticky[name] = got
	if got != wanted {
		p.moved = append(p.moved, control.Moved{Name: name, Wanted: wanted, Got: got, Holder: process.Holder(wanted)})
	}
	return l, nil
}

// reserved says whether another name of this worktree holds the port.
func (p *ports) reserved(name string, port int) bool {
	for n, s := range p.sticky {
		if n != name && s == port {
			return true
		}
	}
	return false
}

func (p *ports) save() error {
	data, err := json.MarshalIndent(p.sticky, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path, data, 0o600); err != nil {
		return fmt.Errorf("remember the ports: %w", err)
	}
	return nil
}

func bind(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// freePorts finds n ports that nobody listens on now. They are held until all
// are found, so that they differ.
func freePorts(n int) ([]int, error) {
	var found []int
	for range n {
		l, err := bind(0)
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		found = append(found, l.Addr().(*net.TCPAddr).Port)
	}
	return found, nil
}
