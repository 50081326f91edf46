package redact_test

import (
	"net/http"
	"strings"
	"testing"

	"example.com/goldenpath/replay"
)

// BenchmarkExchange is the redaction of a small request and a page of notes.
func BenchmarkExchange(b *testing.B) {
	p := policy()
	page := []byte(`{"data":[` + strings.Repeat(`{"id":"018f4e0a-1111-4222-8333-444455556666","title":"a note","body":"some words about something","created_at":"2026-01-02T15:04:05Z","version":3},`, 20) +
		`{}],"error":null,"meta":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}}`)
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"*/*"}, "User-Agent": {"bench/1.0"},
		"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
	b.ReportAllocs()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		ex := replay.Exchange{
			Request:  replay.Request{URL: "/api/v1/notes?limit=20", Header: header, Body: replay.Body{State: replay.Full}},
			Response: replay.Response{Header: header, Body: replay.Body{State: replay.Full, Bytes: page}},
		}
		p.Exchange(&ex)
	}
}
