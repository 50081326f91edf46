package stack

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// taken listens on a port that is free, and keeps it.
func taken(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

func TestPorts(t *testing.T) {
	dir := t.TempDir()
	other, wanted := taken(t)

	one := openPorts(dir)
	l, err := one.listen("gateway", wanted)
	if err != nil {
		t.Fatal(err)
	}
	got := l.Addr().(*net.TCPAddr).Port
	if got == wanted {
		t.Fatal("it listens on a port that is taken")
	}
	if len(one.moved) != 1 || one.moved[0].Wanted != wanted || one.moved[0].Got != got || one.moved[0].Holder == "" {
		t.Errorf("moved: %+v", one.moved)
	}
	if err := one.save(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	other.Close()

	t.Run("the port sticks when the wanted one is free again", func(t *testing.T) {
		two := openPorts(dir)
		l, err := two.listen("gateway", wanted)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if again := l.Addr().(*net.TCPAddr).Port; again != got {
			t.Errorf("port %d, before %d", again, got)
		}
	})
	t.Run("a file with garbage is as if there were none", func(t *testing.T) {
		three := openPorts(dir)
		if err := os.WriteFile(three.path, []byte("{\x00"), 0o600); err != nil {
			t.Fatal(err)
		}
		three = openPorts(dir)
		l, err := three.listen("gateway", wanted)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; port != wanted {
			t.Errorf("port %d, want %d", port, wanted)
		}
	})
	t.Run("free ports differ", func(t *testing.T) {
		ports, err := freePorts(20)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		for _, p := range ports {
			if seen[p] {
				t.Errorf("%d twice", p)
			}
			seen[p] = true
		}
	})
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	if pid := Holder(dir); pid != 0 {
		t.Errorf("nobody holds it, yet pid %d does", pid)
	}
	lock, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(dir); !errors.Is(err, errLocked) {
		t.Errorf("a second acquire: %v", err)
	}
	if pid := Holder(dir); pid != os.Getpid() {
		t.Errorf("held by %d, want %d", pid, os.Getpid())
	}
	lock.Release()
	if pid := Holder(dir); pid != 0 {
		t.Errorf("released, yet pid %d holds it", pid)
	}
	again, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}

func TestBackoff(t *testing.T) {
	now := time.Now()
	var b backoff
	var got []time.Duration
	for range 7 {
		got = append(got, b.step(now))
		now = now.Add(time.Second)
	}
	want := []time.Duration{0, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond, 3200 * time.Millisecond, 5 * time.Second}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if d := b.step(now.Add(time.Minute)); d != 0 {
		t.Errorf("after a quiet minute it pauses %s", d)
	}
}
