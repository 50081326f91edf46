package main_test

import (
	"net/http"
	"testing"

	"connectrpc.com/connect"

	notesv1 "example.com/goldenpath/service/api/gen/notes/v1"
	"example.com/goldenpath/service/api/gen/notes/v1/notesv1connect"
)

// TestProtocols: Connect, gRPC and gRPC-Web reach the service on the gateway's
// one port, and find what HTTP wrote.
func TestProtocols(t *testing.T) {
	x := newSandbox(t)
	x.run("up", "-d")
	service := x.status().Endpoints["service"]

	// gRPC needs HTTP/2, here without TLS.
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	h2c := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer h2c.CloseIdleConnections()
	for name, tc := range map[string]struct {
		client  *http.Client
		options []connect.ClientOption
	}{
		"Connect":             {http.DefaultClient, nil},
		"Connect over HTTP/2": {h2c, nil},
		"gRPC":                {h2c, []connect.ClientOption{connect.WithGRPC()}},
		"gRPC-Web":            {http.DefaultClient, []connect.ClientOption{connect.WithGRPCWeb()}},
	} {
		t.Run(name, func(t *testing.T) {
			notes := notesv1connect.NewNotesServiceClient(tc.client, service, tc.options...)
			created, err := notes.CreateNote(t.Context(), connect.NewRequest(&notesv1.CreateNoteRequest{Title: name, Body: "through the gateway"}))
			if err != nil {
				t.Fatal(err)
			}
			if created.Header().Get("X-Trace-Id") == "" {
				t.Error("the answer has no trace id")
			}
			code, body, err := get(service + "/api/v1/notes/" + created.Msg.GetNote().GetId())
			if err != nil || code != http.StatusOK {
				t.Errorf("HTTP finds %d %s, %v", code, body, err)
			}
			_, err = notes.GetNote(t.Context(), connect.NewRequest(&notesv1.GetNoteRequest{Id: "00000000-0000-4000-8000-000000000000"}))
			if connect.CodeOf(err) != connect.CodeNotFound {
				t.Errorf("a note that is not there: %v", err)
			}
		})
	}
}
