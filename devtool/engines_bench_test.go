package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/seeds"
)

// BenchmarkEngines: `up -d` to the first 200 with no data ("cold", images and
// build cache are there) and with ("warm"), and `reset`, on each engine. The
// peer of reset is what one types without it: docker compose down -v, up --wait,
// migrate, seed.
//
//	go test ./devtool -run '^$' -bench Engines -benchtime 5x
func BenchmarkEngines(b *testing.B) {
	if err := exec.Command("docker", "version").Run(); err != nil {
		b.Skip("needs Docker: docker version does not answer")
	}
	for _, name := range []string{"embedded", "compose"} {
		b.Run(name, func(b *testing.B) {
			x := newSandboxOn(b, name)
			x.upTimed() // builds, and learns the ports
			service := x.status().Endpoints["service"]
			x.run("down", "--volumes")
			var cold, warm, waits, resets, peers []time.Duration
			for b.Loop() {
				took, _ := x.upTimed()
				cold = append(cold, took)
				for range 3 {
					time.Sleep(time.Second) // as people type: the next copy has been made meanwhile
					began := time.Now()
					x.run("reset")
					resets = append(resets, time.Since(began))
				}
				x.run("down")
				took, wait := x.upTimed()
				warm, waits = append(warm, took), append(waits, wait)
				if code, body, err := get(service + "/api/v1/notes?limit=1"); code != http.StatusOK {
					b.Fatal(code, body, err)
				}
				x.run("down", "--volumes")
				peers = append(peers, x.withoutReset())
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(cold).Seconds(), "s/cold")
			b.ReportMetric(median(warm).Seconds(), "s/warm")
			b.ReportMetric(median(waits).Seconds(), "s/warm-servers")
			b.ReportMetric(median(resets).Seconds(), "s/reset")
			b.ReportMetric(median(peers).Seconds(), "s/compose-down-up-migrate-seed")
			b.ReportMetric(median(peers).Seconds()/median(resets).Seconds(), "x-faster")
		})
	}
}

// upTimed brings the stack up and returns how long that took, and the slowest of
// the dependencies.
func (x *sandbox) upTimed() (took, servers time.Duration) {
	x.b.Helper()
	began := time.Now()
	out := x.run("up", "-d", "--json")
	took = time.Since(began)
	for line := range strings.Lines(string(out)) {
		var e control.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			x.b.Fatalf("%s: %v", line, err)
		}
		if e.Kind == "step" && e.State == "end" && (e.Name == "db" || e.Name == "redis" || e.Name == "kafka") {
			servers = max(servers, time.Duration(e.MS)*time.Millisecond)
		}
	}
	return took, servers
}

// withoutReset does by hand what reset does.
func (x *sandbox) withoutReset() time.Duration {
	x.b.Helper()
	port := freePort(x.b)
	compose := func(args ...string) {
		cmd := exec.Command("docker", append([]string{"compose", "-p", "goldenpath-by-hand"}, args...)...)
		var said bytes.Buffer
		cmd.Dir, cmd.Stderr = x.work, &said
		cmd.Env = append(os.Environ(), fmt.Sprintf("POSTGRES_PORT=%d", port),
			fmt.Sprintf("REDIS_PORT=%d", freePort(x.b)), fmt.Sprintf("KAFKA_PORT=%d", freePort(x.b)))
		if err := cmd.Run(); err != nil {
			x.b.Fatalf("docker compose %v: %v\n%s", args, err, &said)
		}
	}
	up := []string{"up", "-d", "--wait", "postgres", "redis", "kafka"}
	compose(up...)
	defer compose("down", "-v")
	profile, err := seeds.Load(filepath.Join(x.work, "seeds", "data"), "dev")
	if err != nil {
		x.b.Fatal(err)
	}
	began := time.Now()
	compose("down", "-v")
	compose(up...)
	dropMigrateSeed(x.b, fmt.Sprintf("127.0.0.1:%d", port), filepath.Join(x.work, "service", "db", "migrations"), profile)
	return time.Since(began)
}
