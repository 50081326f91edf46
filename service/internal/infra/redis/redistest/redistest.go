// Package redistest runs a Redis for one test: a real redis-server where there
// is one on the PATH, else miniredis.
package redistest

import (
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"example.com/goldenpath/service/internal/infra/childtest"
)

// Start returns the host:port of an empty Redis that ends with the test.
func Start(t testing.TB) string {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Log("there is no redis-server on the PATH: miniredis stands in")
		return startMini(t)
	}
	for range 5 { // another process may take a free port before the server does
		if addr, ok := startReal(t, binary); ok {
			return addr
		}
	}
	t.Fatalf("%s did not start", binary)
	return ""
}

func startMini(t testing.TB) string {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatalf("starting miniredis: %v", err)
	}
	// Its keys expire by a clock that has to be pushed.
	stop := make(chan struct{})
	var clock sync.WaitGroup
	clock.Go(func() {
		const step = 100 * time.Millisecond
		tick := time.NewTicker(step)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				m.FastForward(step)
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		clock.Wait()
		m.Close()
	})
	return m.Addr()
}

func startReal(t testing.TB, binary string) (addr string, ok bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	addr = l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()

	child, err := childtest.Start(t.TempDir(), nil, "TERM",
		binary, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second})
	defer client.Close()
	stop := func() {
		if err := child.Stop(); err != nil {
			t.Error(err)
		}
	}
	if err := child.Answers(func() error { return client.Ping(t.Context()).Err() }); err != nil {
		t.Log(err)
		stop()
		return "", false
	}
	t.Cleanup(stop)
	return addr, true
}
