package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/chaos/proxy"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/process"
)

// healthTimeout leaves a health check of two seconds time to start the program.
const healthTimeout = 1500 * time.Millisecond

type proxyOptions struct {
	host   string
	port   uint16
	config string
	seed   int64
	allow  []string
}

func (a *app) proxyCommand() *cobra.Command {
	var o proxyOptions
	c := &cobra.Command{
		Use:   "proxy",
		Short: "The fault proxies alone, in the place of toxiproxy-server",
		Long: "Runs fault proxies and Toxiproxy's HTTP API until Ctrl-C or SIGTERM, without a project or a\n" +
			"stack. --config is Toxiproxy's file: a JSON array of name, listen, upstream and enabled.\n" +
			"docs/proxy.md has the fields that Kafka needs.",
		Example: "  devtool proxy --config proxies.json\n" +
			"  devtool proxy --host 0.0.0.0 --allow-host toxiproxy --config /etc/proxies.json",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.proxy(c.Context(), o) },
	}
	c.Flags().StringVar(&o.host, "host", "localhost", "`address` that the API listens at; 0.0.0.0 is every interface")
	c.Flags().Uint16Var(&o.port, "port", 8474, "port of the API; 0 is any that is free")
	c.Flags().StringVar(&o.config, "config", "", "JSON `file` with the proxies to open, read once")
	c.Flags().Int64Var(&o.seed, "seed", 1, "seed of the faults' random draws")
	c.Flags().StringArrayVar(&o.allow, "allow-host", nil, "`name` by which callers reach the API besides localhost; may be repeated")
	c.AddCommand(a.proxyCheckCommand())
	return c
}

// proxy runs the proxies until ctx ends.
func (a *app) proxy(ctx context.Context, o proxyOptions) error {
	hosts, err := o.hosts()
	if err != nil {
		return err
	}
	definitions, err := a.definitions(o.config)
	if err != nil {
		return err
	}
	log := &lineLock{w: a.Err}
	say := func(text string) { fmt.Fprintf(log, "%s %s\n", time.Now().Format(time.TimeOnly), text) }
	engine := proxy.New(proxy.Config{
		Seed: uint64(o.seed), OnEvent: proxy.Narrate(say), Hosts: hosts, ListenAnywhere: true,
	})
	defer func() {
		if err := engine.Close(); err != nil {
			say(fmt.Sprintf("close the proxies: %v", err))
		}
	}()
	l, err := net.Listen("tcp", net.JoinHostPort(o.host, strconv.Itoa(int(o.port))))
	if err != nil {
		return listenFailure("the API", int(o.port), err, fmt.Sprintf("%s proxy --host 127.0.0.1 --port %d", self(), max(o.port+1, 8474)))
	}
	server := &http.Server{Handler: engine.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	defer server.Close()
	for i, d := range definitions {
		p, err := engine.Open(d)
		if err != nil {
			l.Close()
			_, port, _ := net.SplitHostPort(d.Listen)
			number, _ := strconv.Atoi(port)
			return listenFailure("proxy "+d.Name, number, err, fmt.Sprintf("give [%d].listen in %s another address", i, o.config))
		}
		say(opened(p, d))
	}
	say("toxiproxy API on http://" + l.Addr().String())
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		say("anyone who reaches that port can break these connections, and open proxies to all that this machine reaches")
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err = <-served:
	case <-ctx.Done():
		server.Close()
		err = <-served
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API: %w", err)
	}
	say("ending; open connections are closed")
	return nil
}

// hosts are the names that the API may be called by: those that are allowed, and
// the one that it listens at.
func (o proxyOptions) hosts() ([]string, error) {
	for _, name := range o.allow {
		if net.ParseIP(name) == nil && (name == "" || strings.ContainsAny(name, ":/*@ ")) {
			return nil, console.Fail(console.ExitUsage, "--allow-host toxiproxy", "--allow-host %q: must be a host alone, with no scheme, port or wildcard", name)
		}
	}
	hosts := slices.Clone(o.allow)
	if ip := net.ParseIP(o.host); ip == nil || !ip.IsUnspecified() {
		hosts = append(hosts, o.host)
	}
	return hosts, nil
}

// definitions reads the proxies of a file; there are none without one.
func (a *app) definitions(file string) ([]proxy.Definition, error) {
	if file == "" {
		return nil, nil
	}
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.dir, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, console.Wrap(fmt.Errorf("read the proxies: %w", err), console.ExitUsage, "--config must name a JSON file; docs/proxy.md has one")
	}
	definitions, err := proxy.ReadDefinitions(data)
	if err != nil {
		return nil, console.Fail(console.ExitUsage, "docs/proxy.md lists every field",
			"%s is not valid:\n  %s", file, strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	return definitions, nil
}

// opened says where a proxy leads.
func opened(p *proxy.Proxy, d proxy.Definition) string {
	text := fmt.Sprintf("%s: %s leads to %s", p.Name(), p.Addr(), p.Upstream())
	if d.Public != "" {
		text += ", clients are told " + d.Public
	}
	return text
}

// listenFailure says who holds the port, where that is the cause. hint is what to
// do instead.
func listenFailure(what string, port int, err error, hint string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op
		}
		return console.Wrap(fmt.Errorf("listen for %s: %w", what, err), console.ExitFailed, hint)
	}
	by := ""
	if holder := process.Holder(port); holder != "" {
		by = " by " + holder
		hint += ", or stop " + holder
	}
	return console.Fail(console.ExitFailed, hint, "listen for %s: port %d is taken%s", what, port, by)
}

func (a *app) proxyCheckCommand() *cobra.Command {
	var addr string
	c := &cobra.Command{
		Use: "check", Short: "Ask whether the API answers, as a container's health check", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.proxyCheck(c.Context(), addr) },
	}
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:8474", "`host:port` of the API")
	return c
}

func (a *app) proxyCheck(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	version, err := toxiproxyVersion(ctx, addr)
	if err != nil {
		if asked := (*url.Error)(nil); errors.As(err, &asked) {
			err = asked.Err // without the URL, which is said already
		}
		return console.Wrap(fmt.Errorf("no toxiproxy API on %s: %w", addr, err), console.ExitNo, self()+" proxy, or --addr where it listens")
	}
	_, err = fmt.Fprintf(a.Out, "toxiproxy API %s on %s\n", version, addr)
	return err
}

// toxiproxyVersion asks an API for its version. What answers otherwise is
// another program.
func toxiproxyVersion(ctx context.Context, addr string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/version", nil)
	if err != nil {
		return "", err
	}
	// A proxy for HTTP is not asked on the way to what is next door.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Version, Error string }
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	switch {
	case err == nil && answer.Version != "":
		return answer.Version, nil
	case err == nil && answer.Error != "":
		return "", fmt.Errorf("it refuses: %s", answer.Error)
	}
	return "", fmt.Errorf("what listens there answers GET /version with status %d and no version", resp.StatusCode)
}
