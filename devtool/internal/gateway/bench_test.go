package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkGateway measures what the gateway costs over the standard library's
// plain reverse proxy. Both are asked in turn, so that a busy machine slows both;
// x-plain is the ratio of their median times, 1 being no cost at all.
func BenchmarkGateway(b *testing.B) {
	for _, c := range []struct{ name, method, body string }{
		{"GET", "GET", ""},
		{"POST of 1 KiB", "POST", strings.Repeat("x", 1<<10)},
		{"POST of 1 MiB", "POST", strings.Repeat("x", 1<<20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			backend := start(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n, _ := io.Copy(io.Discard, r.Body)
				if n == 0 {
					n = 1 << 10
				}
				_, _ = io.WriteString(w, strings.Repeat("y", int(n)))
			}))
			g, ours := open(b, Config{})
			g.Swap(backend.addr)
			plain := plainProxy(b, backend.addr)
			ask := func(c2 *http.Client, url string) time.Duration {
				began := time.Now()
				req, err := http.NewRequest(c.method, url, strings.NewReader(c.body))
				if err != nil {
					b.Fatal(err)
				}
				resp, err := c2.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 {
					b.Fatal(resp.Status, err)
				}
				return time.Since(began)
			}
			toOurs, toPlain := client(b, false), client(b, false)
			var gateway, reference []time.Duration
			runtime.GC()
			for b.Loop() {
				gateway = append(gateway, ask(toOurs, ours))
				reference = append(reference, ask(toPlain, plain))
			}
			median := func(d []time.Duration) float64 {
				slices.Sort(d)
				return float64(d[len(d)/2])
			}
			b.ReportMetric(median(gateway)/1e3, "µs-gateway")
			b.ReportMetric(median(reference)/1e3, "µs-plain")
			b.ReportMetric(median(gateway)/median(reference), "x-plain")
		})
	}
}

func plainProxy(b *testing.B, addr string) string {
	b.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	transport := &http.Transport{MaxIdleConnsPerHost: maxIdlePerBackend, DisableCompression: true}
	proxy.Transport = transport
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // or large bodies fail now and then: see Gateway.ServeHTTP
		proxy.ServeHTTP(w, r)
	}))
	b.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

// BenchmarkGatewayParallel measures how many requests pass with eight clients at
// a time, as a part of what the plain proxy lets pass.
func BenchmarkGatewayParallel(b *testing.B) {
	const clients, requests = 8, 250
	backend := start(b, says(strings.Repeat("y", 1<<10)))
	g, ours := open(b, Config{})
	g.Swap(backend.addr)
	plain := plainProxy(b, backend.addr)
	c := client(b, false)
	round := func(url string) time.Duration {
		began := time.Now()
		done := make(chan error, clients)
		for range clients {
			go func() {
				for range requests {
					resp, err := c.Get(url)
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					if err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range clients {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	}
	round(ours)
	round(plain)
	var gateway, reference time.Duration
	for b.Loop() {
		gateway += round(ours)
		reference += round(plain)
	}
	perSecond := func(d time.Duration) float64 { return float64(b.N*clients*requests) / d.Seconds() }
	b.ReportMetric(perSecond(gateway), "req/s-gateway")
	b.ReportMetric(perSecond(reference), "req/s-plain")
	b.ReportMetric(perSecond(gateway)/perSecond(reference), "x-plain")
}
