package record_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"example.com/goldenpath/replay/archive"
	"example.com/goldenpath/replay/record"
)

// A service captures what it serves, and another process finds it by trace id.
func Example() {
	dir, err := os.MkdirTemp("", "captures")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	writer, err := archive.Create(dir, archive.Options{})
	if err != nil {
		panic(err)
	}
	capture := record.Middleware(record.Config{
		Sink:    writer,
		Service: "notes",
		Identify: func(context.Context) (traceID, spanID, requestID string) {
			return "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "r-1"
		},
	})
	handler := capture(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
	}))
	body := strings.NewReader(`{"title":"a note","number":9007199254740993}`)
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/notes?token=secret", body))
	if err := writer.Close(); err != nil {
		panic(err)
	}

	reader, err := archive.Open(dir)
	if err != nil {
		panic(err)
	}
	found, err := reader.Find("4bf92f35")
	if err != nil {
		panic(err)
	}
	ex := found[0]
	fmt.Println(ex.ID, ex.Request.Method, ex.Request.Path(), ex.Response.Status, ex.Redacted)
	fmt.Println(string(ex.Request.Body.Bytes), ex.Request.Body.State)
	// Output:
	// 4bf92f35-00f067aa POST /notes 201 [request.query.token]
	// {"title":"a note","number":9007199254740993} full
}
