package port

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// open gives a port of this machine.
func open(t *testing.T) *Port {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := New(l)
	t.Cleanup(func() { p.Close() })
	return p
}

// dial says what a client of the port gets.
func dial(p *Port) error {
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		return err
	}
	return c.Close()
}

func TestPort(t *testing.T) {
	t.Run("it is shut and opened again, the same each time", func(t *testing.T) {
		p := open(t)
		for range 50 {
			if err := p.Shut(); err != nil {
				t.Fatal(err)
			}
			if err := dial(p); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("shut: %v", err)
			}
			if l, err := p.Open(); l == nil || err != nil {
				t.Fatalf("open: %v, %v", l, err)
			}
			if err := dial(p); err != nil {
				t.Errorf("open: %v", err)
			}
		}
	})

	t.Run("opening what is open and shutting what is shut do nothing", func(t *testing.T) {
		p := open(t)
		if l, err := p.Open(); l != nil || err != nil {
			t.Errorf("open: %v, %v", l, err)
		}
		for range 2 {
			if err := p.Shut(); err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("a port that was taken is an error, and opens once it is free", func(t *testing.T) {
		p := open(t)
		if err := p.Shut(); err != nil {
			t.Fatal(err)
		}
		other, err := net.ListenTCP("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Open(); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("open: %v", err)
		}
		other.Close()
		if l, err := p.Open(); l == nil || err != nil {
			t.Errorf("open: %v", err)
		}
	})

	t.Run("closed, it belongs to nobody", func(t *testing.T) {
		p := open(t)
		if err := errors.Join(p.Shut(), p.Close()); err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenTCP("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
}
