// Receiver stands where the profile observability would: it takes OTLP/HTTP
// spans on 4318 and syslog datagrams on 5514, and prints one JSON object a line
// for each.
package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// received is a span or a datagram.
type received struct {
	Service string `json:"service,omitempty"`
	TraceID string `json:"trace_id,omitempty"`
	Span    string `json:"span,omitempty"`
	Line    string `json:"line,omitempty"`
}

func main() {
	conn, err := net.ListenPacket("udp", ":5514")
	if err != nil {
		log.Fatal(err)
	}
	go datagrams(conn)
	http.HandleFunc("POST /v1/traces", spans)
	log.Fatal(http.ListenAndServe(":4318", nil))
}

func datagrams(conn net.PacketConn) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			log.Fatal(err)
		}
		put(received{Line: string(buf[:n])})
	}
}

func spans(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var batch tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &batch)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, rs := range batch.GetResourceSpans() {
		var service string
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				put(received{Service: service, TraceID: hex.EncodeToString(s.GetTraceId()), Span: s.GetName()})
			}
		}
	}
}

// put writes in one call, so that lines do not mix.
func put(r received) {
	line, err := json.Marshal(r)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		log.Fatal(err)
	}
}
