package app

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"example.com/goldenpath/service/internal/observability"
)

// BenchmarkCapture is the whole server on a real PostgreSQL, with capture and
// without, under 8 clients that write and read notes. Both run side by side and
// have short turns, so that the machine's other work hits both. It reports the
// median over the turns of requests with capture to requests without.
//
//	go test ./service/internal/app -run '^$' -bench Capture -benchtime 40x
func BenchmarkCapture(b *testing.B) {
	environ, _ := dependencies(b)
	log := observability.NewLogger(io.Discard, zapcore.InfoLevel, "notes", "bench")
	serve := func(extra ...string) string {
		p, err := Server(context.Background(), settings(b, append(environ, extra...)...), log)
		running(b, p, err)
		return "http://" + p.HTTPAddr + "/api/v1/notes"
	}
	off, on := serve(), serve("CAPTURE_DIR="+b.TempDir())
	turn(b, off)
	turn(b, on)
	var ratios, offs, ons []float64
	for i := 0; b.Loop(); i++ {
		var without, with float64
		if i%2 == 0 { // neither is always the first
			without, with = turn(b, off), turn(b, on)
		} else {
			with, without = turn(b, on), turn(b, off)
		}
		offs, ons, ratios = append(offs, without), append(ons, with), append(ratios, with/without)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(offs), "off-req/s")
	b.ReportMetric(middle(ons), "on-req/s")
	b.ReportMetric(middle(ratios), "ratio")
}

func middle(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// turn sends requests for a moment and returns how many were answered a second.
func turn(b *testing.B, url string) float64 {
	const (
		clients = 8
		length  = 250 * time.Millisecond
	)
	var answered atomic.Int64
	var done sync.WaitGroup
	began := time.Now()
	for range clients {
		done.Add(1)
		go func() {
			defer done.Done()
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for i := 0; time.Since(began) < length; i++ {
				method, target, body := http.MethodGet, url+"?limit=5", ""
				if i%2 == 0 {
					method, target, body = http.MethodPost, url, `{"title":"a note that is kept","body":"of ordinary length, with words enough to count"}`
				}
				r, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/json")
				response, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode >= 300 {
					b.Errorf("%d, %v", response.StatusCode, err)
					return
				}
				answered.Add(1)
			}
		}()
	}
	done.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds()
}
