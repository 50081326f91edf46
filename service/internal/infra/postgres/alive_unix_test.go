//go:build unix

package postgres

import (
	"net"
	"testing"
	"time"
)

// connected returns both ends of a TCP connection, the first as the pool has it.
func connected(t *testing.T) (ours net.Conn, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialer := net.Dialer{}
	ours, err = newSockets().watch(dialer.DialContext)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	theirs = c.(*net.TCPConn)
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// becomesDead waits for what the other end did to arrive.
func becomesDead(t *testing.T, c net.Conn) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for alive(c) {
		select {
		case <-deadline:
			t.Fatal("the connection is still taken for alive")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAlive(t *testing.T) {
	t.Run("a connection that is silent is alive", func(t *testing.T) {
		if c, _ := connected(t); !alive(c) {
			t.Error("it is not")
		}
	})
	t.Run("one that somebody reads from is looked at without waiting", func(t *testing.T) {
		c, theirs := connected(t)
		read := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		answer := make(chan bool, 1)
		go func() { answer <- alive(c) }()
		select {
		case is := <-answer:
			if !is {
				t.Error("it is taken for dead")
			}
		case <-time.After(10 * time.Second):
			t.Error("looking at it waits for the reader")
		}
		theirs.Close()
		<-read
		becomesDead(t, c)
	})
	t.Run("one that the other side closed is dead", func(t *testing.T) {
		c, theirs := connected(t)
		theirs.Close()
		becomesDead(t, c)
	})
	t.Run("one that the other side reset is dead", func(t *testing.T) {
		c, theirs := connected(t)
		if err := theirs.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		theirs.Close()
		becomesDead(t, c)
	})
	t.Run("one that has something to say unasked is dead", func(t *testing.T) {
		c, theirs := connected(t)
		if _, err := theirs.Write([]byte("E")); err != nil {
			t.Fatal(err)
		}
		becomesDead(t, c)
	})
	t.Run("one that we closed is dead", func(t *testing.T) {
		c, _ := connected(t)
		c.Close()
		if alive(c) {
			t.Error("it is not")
		}
	})
	t.Run("one that has no socket is taken at its word", func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		if !alive(a) {
			t.Error("it is not")
		}
	})
}
