package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/goldenpath/chaos"
)

// apiVersion is the version of Toxiproxy whose API this is.
const apiVersion = "2.12.0"

// The limits on a request. The largest that makes sense has a few kilobytes.
const (
	largestBody = 1 << 20
	bodyTimeout = 5 * time.Second
)

// refusal is an error as Toxiproxy's API gives it.
type refusal struct {
	Message string `json:"error"`
	Status  int    `json:"status"`
}

func (r *refusal) Error() string { return r.Message }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{Message: fmt.Sprintf(format, args...), Status: status}
}

// api serves Toxiproxy's HTTP API.
type api struct{ engine *Engine }

// Handler serves the HTTP API of Toxiproxy v2.12.0 over the engine's proxies
// and faults. A toxic that is added there is a fault with the default lease; a
// proxy that is disabled is down. Proxies can be made there, on loopback unless
// Config.ListenAnywhere says otherwise, and taken away again, but not those that
// were added.
//
// Web pages are refused: a caller of another origin, one with a browser's user
// agent, and one whose Host header is neither loopback nor one of Config.Hosts.
// The last is what DNS rebinding looks like: a page of a name that is made to
// lead here has that name in its Host header, and the origin to go with it.
func (e *Engine) Handler() http.Handler {
	a := api{e}
	mux := http.NewServeMux()
	handle := func(pattern string, h func(*http.Request) (int, any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { reply(w, r, h) })
	}
	handle("GET /version", a.version)
	handle("POST /reset", a.reset)
	handle("POST /populate", a.populate)
	handle("GET /proxies", a.listProxies)
	handle("POST /proxies", a.createProxy)
	handle("GET /proxies/{proxy}", a.showProxy)
	handle("POST /proxies/{proxy}", a.updateProxy)
	handle("PATCH /proxies/{proxy}", a.updateProxy)
	handle("DELETE /proxies/{proxy}", a.deleteProxy)
	handle("GET /proxies/{proxy}/toxics", a.listToxics)
	handle("POST /proxies/{proxy}/toxics", a.createToxic)
	handle("GET /proxies/{proxy}/toxics/{toxic}", a.showToxic)
	handle("POST /proxies/{proxy}/toxics/{toxic}", a.updateToxic)
	handle("PATCH /proxies/{proxy}/toxics/{toxic}", a.updateToxic)
	handle("DELETE /proxies/{proxy}/toxics/{toxic}", a.deleteToxic)
	return a.guard(mux)
}

// guard keeps web pages out.
func (a api) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.allowed(r); err != nil {
			writeError(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// allowed says why a request is refused, if it is.
func (a api) allowed(r *http.Request) error {
	known := func(name string) bool { return strings.EqualFold(name, hostOf(r.Host)) }
	if hosts := a.engine.config.Hosts; !isLoopback(hostOf(r.Host)) && !slices.ContainsFunc(hosts, known) {
		return refuse(http.StatusForbidden, "host %q is not loopback and not among the allowed hosts %q", r.Host, hosts)
	}
	if strings.HasPrefix(r.UserAgent(), "Mozilla/") {
		return refuse(http.StatusForbidden, "user agent not allowed")
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return refuse(http.StatusForbidden, "origin %q is not allowed", origin)
		}
	}
	return nil
}

// hostOf takes the port off, if there is one.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// isLoopback reports whether the host is this machine's loopback interface by
// its name or number. Other names are not looked up.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// reply writes what a handler returns.
func reply(w http.ResponseWriter, r *http.Request, h func(*http.Request) (int, any, error)) {
	// Not every ResponseWriter has deadlines; the server's own hold then.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, largestBody)
	status, body, err := h(r)
	if err != nil {
		writeError(w, err)
		return
	}
	write(w, status, body)
}

// write sends JSON. A client that has gone cannot be told so.
func write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// writeError is the one place where an error becomes a status.
func writeError(w http.ResponseWriter, err error) {
	r := asRefusal(err)
	write(w, r.Status, r)
}

// asRefusal gives an error its status.
func asRefusal(err error) *refusal {
	var known *refusal
	var wrong *chaos.UsageError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &wrong):
		return refuse(http.StatusBadRequest, "bad request body: %s (%s)", wrong.What, wrong.Hint)
	case errors.As(err, &large):
		return refuse(http.StatusRequestEntityTooLarge, "request body is larger than %d bytes", large.Limit)
	case errors.Is(err, ErrUnknownProxy):
		return refuse(http.StatusNotFound, "proxy not found")
	case errors.Is(err, ErrUnknownFault):
		return refuse(http.StatusNotFound, "toxic not found")
	case errors.Is(err, ErrProxyExists):
		return refuse(http.StatusConflict, "proxy already exists")
	case errors.Is(err, ErrClosed):
		return refuse(http.StatusServiceUnavailable, "%v", err)
	}
	return refuse(http.StatusInternalServerError, "%v", err)
}

// read decodes the body of a request. Unknown fields are let be, as Toxiproxy
// does: its clients send whole objects back.
func read(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	if err := decoder.Decode(into); err != nil {
		return badBody(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("there is more behind the first JSON value")
		}
		return badBody(err)
	}
	return nil
}

// badBody is what is answered to a body that cannot be read.
func badBody(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return refuse(http.StatusBadRequest, "bad request body: %v", err)
}

func (a api) version(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]string{"version": apiVersion}, nil
}

// reset clears every fault, which enables every proxy.
func (a api) reset(*http.Request) (int, any, error) {
	_, err := a.engine.Clear()
	return http.StatusNoContent, nil, err
}
