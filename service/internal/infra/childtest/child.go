// Package childtest runs a server for the tests of one process, and sees to it
// that the server ends when the process does, however that ends.
package childtest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// patience is for a machine that is busy with other tests.
const patience = 60 * time.Second

// hold runs its arguments after the first, a signal, as a child. When standard
// input ends, which it does with the process at its other end, it sends the
// child the signal. It ends when the child does.
const hold = `signal=$1; shift
exec 3<&0
"$@" 3<&- & child=$!
{ read -r _ <&3; kill -s "$signal" $child; } & watch=$!
wait $child
kill $watch 2>/dev/null`

// Child is a server, and the shell that holds it.
type Child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   string
	ended chan struct{}
}

// Start runs a command in the folder dir, where it also keeps what the command
// says, and ends it with a signal ("TERM", "QUIT") when Stop is called or this
// process is gone. attr may be nil. The caller stops the child.
func Start(dir string, attr *syscall.SysProcAttr, signal string, command ...string) (*Child, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", hold, "hold", signal}, command...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = dir, log, log, attr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	c := &Child{cmd: cmd, stdin: stdin, log: log.Name(), ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		_ = cmd.Wait() // how it ended is in the log
	}()
	return c, nil
}

// Answers waits until ask returns nil. It fails, with the child's own words,
// when the child ends first.
func (c *Child) Answers(ask func() error) error {
	deadline := time.After(patience)
	for {
		err := ask()
		select {
		case <-c.ended: // and if something answered, it was not the child
			return fmt.Errorf("the server ended:\n%s", c.words())
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-deadline:
			return fmt.Errorf("the server did not answer within %s: %w\n%s", patience, err, c.words())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (c *Child) words() []byte {
	out, _ := os.ReadFile(c.log) // without it there is still the error
	return bytes.TrimSpace(out)
}

// Stop ends the child, if it has not ended yet, and waits for it.
func (c *Child) Stop() error {
	_ = c.stdin.Close() // it is closed already when the child has ended
	select {
	case <-c.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("stopping the server (shell %d): it still ran after %s", c.cmd.Process.Pid, patience)
	}
}
