package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"example.com/goldenpath/service/internal/config"
	"example.com/goldenpath/service/internal/observability"
)

// healthTimeout is a moment more than the checks of /readyz may take, so that an
// optional dependency that hangs does not make the process look dead.
const healthTimeout = 3 * time.Second

// health asks the running process, at the address that its own configuration
// gives, whether it is ready. It is there for containers whose image has neither
// a shell nor curl.
func (p program) health(environ []string, stdio Stdio) int {
	// No secret is used here, and the process itself has refused a bad one.
	c, report := config.Load(config.Sources{Environ: environ, Unused: []string{"DATABASE_URL", "REDIS_URL"}})
	if !report.OK() {
		_ = report.Text(stdio.Err)
		return exitFailed
	}
	variable, addr := p.role.admin(c)
	state, ready, err := ask(addr)
	if err != nil {
		return failed(p.role, stdio, &startError{err, fmt.Sprintf("see whether the %s runs, with the same %s", p.role, variable)})
	}
	if !ready {
		fmt.Fprintln(stdio.Err, state)
		return exitFailed
	}
	fmt.Fprintln(stdio.Out, state)
	return exitOK
}

// ask returns the state of the process whose admin port is at addr, with the
// checks that fail, and whether it should be given work.
func ask(addr string) (state string, ready bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(addr)+"/readyz", nil)
	if err != nil {
		return "", false, fmt.Errorf("ask %s: %w", addr, err)
	}
	// A transport of its own: the default one would go through HTTP_PROXY.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return "", false, fmt.Errorf("ask %s: %w", addr, err)
	}
	defer response.Body.Close()
	var r observability.Readiness
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&r); err != nil || r.Status == "" {
		return "", false, fmt.Errorf("ask %s: it answered %s, which is no readiness", addr, response.Status)
	}
	var failing []string
	for _, check := range r.Checks {
		if check.Status != "ok" {
			failing = append(failing, check.Name+": "+check.Error)
		}
	}
	state = strings.Join(append([]string{r.Status}, failing...), "; ")
	// pgx writes an error over several lines, and this is to be one.
	return strings.Join(strings.Fields(state), " "), response.StatusCode == http.StatusOK, nil
}

// reachable is where one reaches, from this machine, who listens on addr.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch ip := net.ParseIP(host); {
	case !ip.IsUnspecified():
		return addr
	case ip.To4() != nil:
		return net.JoinHostPort("127.0.0.1", port)
	default:
		return net.JoinHostPort("::1", port)
	}
}
