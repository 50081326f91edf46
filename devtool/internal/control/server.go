package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/reload"
)

// maxBody bounds what a client may send: build reports carry the compiler's
// output.
const maxBody = 4 << 20

// Listen opens the control socket at path for this user alone. A socket file
// that a crashed supervisor left is replaced; the caller holds the stack's
// lock, so no living one can own it.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	return l, nil
}

// Server serves a Backend. Serve returns when Close is called.
type Server struct{ http *http.Server }

// NewServer returns a server of b.
func NewServer(b Backend) *Server {
	h := &handler{b: b}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", h.status)
	mux.HandleFunc("POST /v1/down", h.down)
	mux.HandleFunc("POST /v1/reset", h.reset)
	mux.HandleFunc("POST /v1/seed", h.seed)
	mux.HandleFunc("POST /v1/restart/{name}", h.restart)
	mux.HandleFunc("GET /v1/logs", h.logs)
	mux.HandleFunc("POST /v1/faults", h.applyFault)
	mux.HandleFunc("DELETE /v1/faults", h.clearFaults)
	mux.HandleFunc("POST /v1/builds", h.built)
	return &Server{&http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}}
}

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close lets answers under way end for a moment, then closes the socket and
// every connection.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		return s.http.Close()
	}
	return nil
}

// failure is an error on the wire. Exit keeps its meaning for the caller's exit
// code.
type failure struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Exit  int    `json:"exit"`
}

type handler struct{ b Backend }

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err == nil {
		_ = json.NewEncoder(w).Encode(v) // the client is gone: nothing to tell it
		return
	}
	f := failure{Error: err.Error(), Hint: console.HintOf(err), Exit: console.ExitFailed}
	var known *console.Failure
	var usage *chaos.UsageError
	switch {
	case errors.As(err, &known):
		f.Exit = known.Exit
	case errors.As(err, &usage):
		f.Exit, f.Hint = console.ExitUsage, usage.Hint
	}
	w.WriteHeader(http.StatusUnprocessableEntity)
	_ = json.NewEncoder(w).Encode(f)
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v); err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) { answer(w, h.b.Status(), nil) }

func (h *handler) down(w http.ResponseWriter, _ *http.Request) {
	h.b.Down()
	answer(w, struct{}{}, nil)
}

func (h *handler) reset(w http.ResponseWriter, r *http.Request) {
	report, err := h.b.Reset(r.Context())
	answer(w, report, err)
}

func (h *handler) seed(w http.ResponseWriter, r *http.Request) {
	var q SeedRequest
	if !decode(w, r, &q) {
		return
	}
	report, err := h.b.Seed(r.Context(), q)
	answer(w, report, err)
}

func (h *handler) restart(w http.ResponseWriter, r *http.Request) {
	answer(w, struct{}{}, h.b.Restart(r.Context(), r.PathValue("name")))
}

func (h *handler) logs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	tail, _ := strconv.Atoi(q.Get("tail")) // the client wrote it
	w.Header().Set("Content-Type", "application/jsonl")
	enc := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	// The connection breaks off when either side goes; there is no one left to
	// tell of an error then.
	_ = h.b.Logs(r.Context(), LogQuery{Names: q["name"], Tail: tail, Follow: q.Get("follow") != ""}, func(l Line) error {
		if err := enc.Encode(l); err != nil {
			return err
		}
		return flush.Flush()
	})
}

func (h *handler) applyFault(w http.ResponseWriter, r *http.Request) {
	var s chaos.Spec
	if !decode(w, r, &s) {
		return
	}
	fault, err := h.b.ApplyFault(s)
	answer(w, fault, err)
}

func (h *handler) clearFaults(w http.ResponseWriter, r *http.Request) {
	gone, err := h.b.ClearFaults(r.URL.Query()["id"]...)
	answer(w, gone, err)
}

func (h *handler) built(w http.ResponseWriter, r *http.Request) {
	var report reload.Report
	if !decode(w, r, &report) {
		return
	}
	h.b.Built(report)
	answer(w, struct{}{}, nil)
}
