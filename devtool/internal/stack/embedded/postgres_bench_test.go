package embedded

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/process"
)

// BenchmarkPostgresWarmStart compares Start on existing data with the same
// server started by hand and asked over one connection that is tried in a loop.
func BenchmarkPostgresWarmStart(b *testing.B) {
	dir, err := os.MkdirTemp("", "embedded-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	registry, err := process.OpenRegistry(filepath.Join(dir, "processes.json"))
	if err != nil {
		b.Fatal(err)
	}
	p := NewPostgres(Config{Dir: dir, Registry: registry}, PostgresOptions{Name: "db", Database: "postgres", User: "app", Password: "secret"})
	ctx := context.Background()
	if err := p.Start(ctx); err != nil {
		b.Fatal(err)
	}
	var ours, byHand, stopping time.Duration
	for b.Loop() {
		began := time.Now()
		if err := p.Stop(ctx); err != nil {
			b.Fatal(err)
		}
		stopping += time.Since(began)
		byHand += startByHand(b, p)
		began = time.Now()
		if err := p.Start(ctx); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
	}
	if err := p.Stop(ctx); err != nil {
		b.Fatal(err)
	}
	n := float64(b.N) * float64(time.Millisecond)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours)/n, "ms/start")
	b.ReportMetric(float64(byHand)/n, "ms/by-hand")
	b.ReportMetric(float64(stopping)/n, "ms/stop")
	b.ReportMetric(float64(ours)/float64(byHand), "x-by-hand")
}

// startByHand runs postgres on p's data until the first answer, and stops it.
func startByHand(b *testing.B, p *Postgres) time.Duration {
	b.Helper()
	c := p.run.Load().cluster
	_, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	proc, err := process.Start(process.Spec{Name: "by-hand", Path: c.Binaries.Postgres(), StopSignal: syscall.SIGINT,
		Args: []string{"-D", c.Data(), "-c", "port=" + port}, Dir: c.Home, Credential: c.Credential}, p.cfg.Registry)
	if err != nil {
		b.Fatal(err)
	}
	for p.Probe(context.Background()) != nil {
		select {
		case <-proc.Done():
			b.Fatal(proc.Err())
		default:
		}
	}
	took := time.Since(began)
	if err := proc.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
	return took
}
