package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/schema"
	"example.com/goldenpath/seeds"
)

// The benchmarks of the whole product. Each reports a figure and its ratio to a
// peer that is measured in the same run:
//
//	go test ./devtool -run '^$' -bench . -benchtime 5x

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// BenchmarkWarmUp: from typing `devtool up -d`, data there and binaries built,
// to the first 200. Its peer is what one would do by hand: start PostgreSQL on
// the same data, wait for a query, start the server, wait for its readiness.
func BenchmarkWarmUp(b *testing.B) {
	x := newSandbox(b)
	x.run("up", "-d")
	st := x.status()
	server := filepath.Join(b.TempDir(), "server")
	if out, err := exec.Command("sh", "-c", fmt.Sprintf("cd %s && go build -o %s ./service/cmd/server", x.work, server)).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	x.run("down")
	var ups, hands []time.Duration
	for b.Loop() {
		began := time.Now()
		x.run("up", "-d")
		if code, body, err := get(st.Endpoints["service"] + "/api/v1/notes?limit=1"); code != http.StatusOK {
			b.Fatal(code, body, err)
		}
		ups = append(ups, time.Since(began))
		x.run("down")
		hands = append(hands, x.byHand(server))
	}
	up, hand := median(ups), median(hands)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(up.Seconds(), "s/up")
	b.ReportMetric(hand.Seconds(), "s/by-hand")
	b.ReportMetric(up.Seconds()/hand.Seconds(), "x-by-hand")
}

// byHand starts PostgreSQL and the server as a person would.
func (x *sandbox) byHand(server string) time.Duration {
	x.b.Helper()
	var data string
	_ = filepath.WalkDir(x.state, func(path string, d os.DirEntry, _ error) error {
		if d != nil && d.Name() == "PG_VERSION" && data == "" {
			data = filepath.Dir(path)
		}
		return nil
	})
	if data == "" {
		x.b.Fatal("no data directory")
	}
	port, admin := freePort(x.b), freePort(x.b)
	began := time.Now()
	postgres := exec.Command(postgresBinary(x.b), "-D", data, "-p", strconv.Itoa(port))
	runAsOwner(postgres, data)
	if err := postgres.Start(); err != nil {
		x.b.Fatal(err)
	}
	defer func() { _ = postgres.Process.Signal(os.Interrupt); _ = postgres.Wait() }()
	url := fmt.Sprintf("postgres://goldenpath:goldenpath@127.0.0.1:%d/goldenpath?sslmode=disable", port)
	until(x.b, 2*time.Millisecond, func() error {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		return conn.Ping(context.Background())
	})
	cmd := exec.Command(server)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+url, "HTTP_ADDR=127.0.0.1:0", fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin))
	if err := cmd.Start(); err != nil {
		x.b.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	until(x.b, 2*time.Millisecond, func() error {
		code, body, err := get(fmt.Sprintf("http://127.0.0.1:%d/readyz", admin))
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
	return time.Since(began)
}

// BenchmarkReset: `devtool reset` with 10,000 seeded notes, as the command takes
// it and as the supervisor does. Its peer drops the database, migrates and seeds
// it anew, on the same server, with no process to start.
func BenchmarkReset(b *testing.B) {
	x := newSandbox(b)
	x.edit("devtool.yaml", "profile: dev", "profile: load")
	x.run("up", "-d")
	st := x.status()
	var upstream string
	for _, d := range st.Dependencies {
		if d.Kind == "postgres" {
			upstream = d.Upstream
		}
	}
	profile, err := seeds.Load(filepath.Join(x.work, "seeds", "data"), "load")
	if err != nil {
		b.Fatal(err)
	}
	var resets, inside, naives []time.Duration
	for b.Loop() {
		began := time.Now()
		out := x.run("reset", "--json")
		resets = append(resets, time.Since(began))
		var report control.ResetReport
		if err := json.Unmarshal(out, &report); err != nil {
			b.Fatal(err)
		}
		inside = append(inside, time.Duration(report.MS)*time.Millisecond)
		naives = append(naives, dropMigrateSeed(b, upstream, filepath.Join(x.work, "service", "db", "migrations"), profile))
	}
	reset, work, naive := median(resets), median(inside), median(naives)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(reset.Seconds(), "s/command")
	b.ReportMetric(work.Seconds(), "s/reset")
	b.ReportMetric(naive.Seconds(), "s/drop-migrate-seed")
	b.ReportMetric(naive.Seconds()/work.Seconds(), "x-faster")
	b.ReportMetric(naive.Seconds()/reset.Seconds(), "x-faster-command")
}

func dropMigrateSeed(b testing.TB, upstream, migrations string, profile *seeds.Profile) time.Duration {
	b.Helper()
	ctx := context.Background()
	url := func(database string) string {
		return fmt.Sprintf("postgres://goldenpath:goldenpath@%s/%s?sslmode=disable", upstream, database)
	}
	began := time.Now()
	admin, err := pgx.Connect(ctx, url("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close(ctx)
	for _, sql := range []string{"DROP DATABASE IF EXISTS naive WITH (FORCE)", "CREATE DATABASE naive"} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := schema.Migrate(ctx, url("naive"), schema.Source{Dir: migrations}); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, url("naive"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := profile.Apply(ctx, conn, seeds.Options{}); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// The text that BenchmarkReload changes, and a request whose answer shows it.
const (
	shown     = "there is no note"
	shownFile = "service/internal/infra/postgres/notes.go"
	shownPath = "/api/v1/notes/00000000-0000-4000-8000-000000000000"
)

// look is how often BenchmarkReload looks whether the new code answers: seldom
// enough not to take the compiler's time, which its peer has to itself.
const look = 20 * time.Millisecond

// BenchmarkReload: from saving a file to the new code answering, while 200
// requests a second go through the gateway. Its peer is a bare incremental
// `go build` of the same package after the same change, under the same load.
func BenchmarkReload(b *testing.B) {
	x := newSandbox(b)
	bare := &sandbox{b: b, work: filepath.Join(b.TempDir(), "bare")}
	if err := copyRepository("..", bare.work); err != nil {
		b.Fatal(err)
	}
	x.run("up", "-d")
	service := x.status().Endpoints["service"]
	until(b, 100*time.Millisecond, func() error {
		if w := x.status().Reload.Watching; w == "" {
			return fmt.Errorf("not watching yet")
		}
		return nil
	})
	build := func() time.Duration {
		began := time.Now()
		cmd := exec.Command("go", "build", "-o", filepath.Join(bare.work, "server"), "./service/cmd/server")
		cmd.Dir = bare.work
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		return time.Since(began)
	}
	build()
	load := startLoad(b, service+"/api/v1/notes?limit=5", 200)
	var reloads, builds []time.Duration
	text := shown
	for i := 0; b.Loop(); i++ {
		next := fmt.Sprintf("there is no note %d", i)
		began := time.Now()
		x.edit(shownFile, text, next)
		until(b, look, func() error {
			_, body, err := get(service + shownPath)
			if err == nil && !strings.Contains(body, next) {
				err = fmt.Errorf("still %s", body)
			}
			return err
		})
		reloads = append(reloads, time.Since(began))
		reloaded := int64(i + 1)
		until(b, 100*time.Millisecond, func() error { // the worker too, before the peer has its turn
			if n := x.status().Reload.Count; int64(n) < 2*reloaded {
				return fmt.Errorf("%d reloads", n)
			}
			return nil
		})
		bare.edit(shownFile, text, next)
		builds = append(builds, build())
		text = next
	}
	sent, failed := load()
	st := x.status()
	reload, peer := median(reloads), median(builds)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(reload.Seconds(), "s/save-to-serving")
	b.ReportMetric(peer.Seconds(), "s/go-build")
	b.ReportMetric(reload.Seconds()/peer.Seconds(), "x-go-build")
	b.ReportMetric(float64(sent), "requests")
	b.ReportMetric(float64(failed), "failed")
	b.ReportMetric(float64(st.Reload.Held), "held")
	if failed > 0 || st.Reload.Dropped > 0 {
		b.Errorf("%d of %d requests failed, the gateway counts %d dropped", failed, sent, st.Reload.Dropped)
	}
}

// startLoad sends requests at a rate until the function that it returns is
// called, which says how many there were and how many were not answered 200.
func startLoad(b *testing.B, url string, perSecond int) (stop func() (sent, failed int64)) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	var n, bad atomic.Int64
	done.Add(1)
	go func() {
		defer done.Done()
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			done.Add(1)
			go func() {
				defer done.Done()
				n.Add(1)
				if code, body, err := get(url); code != http.StatusOK {
					bad.Add(1)
					b.Log(code, body, err)
				}
			}()
		}
	}()
	return func() (int64, int64) {
		cancel()
		done.Wait()
		return n.Load(), bad.Load()
	}
}

// BenchmarkMemory: the supervisor at rest, after a hundred requests, with
// embedded Kafka and whatever Redis there is. The limit is 100 MB.
func BenchmarkMemory(b *testing.B) {
	x := newSandbox(b)
	x.run("up", "-d")
	st := x.status()
	for range 100 {
		if code, body, err := get(st.Endpoints["service"] + "/api/v1/notes"); code != http.StatusOK {
			b.Fatal(code, body, err)
		}
	}
	var kb float64
	for b.Loop() {
		out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(st.Supervisor.PID)).Output()
		if err != nil {
			b.Fatal(err)
		}
		kb, err = strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(kb*1024/1e6, "MB")
	b.ReportMetric(kb*1024/1e8, "x-limit")
}
