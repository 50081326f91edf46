package proxy

import (
	"errors"
	"net"
	"net/http"

	"example.com/goldenpath/chaos"
)

// proxyJSON is a proxy as Toxiproxy's API has it.
type proxyJSON struct {
	Name     string      `json:"name"`
	Listen   string      `json:"listen"`
	Upstream string      `json:"upstream"`
	Enabled  bool        `json:"enabled"`
	Toxics   []toxicJSON `json:"toxics"`
}

// proxyInput is what a caller may send of it.
type proxyInput struct {
	Name     string  `json:"name"`
	Listen   *string `json:"listen"`
	Upstream *string `json:"upstream"`
	Enabled  *bool   `json:"enabled"`
}

// describe is the proxy as the API shows it.
func (a api) describe(p *Proxy) proxyJSON {
	return proxyJSON{
		Name:     p.Name(),
		Listen:   p.Addr(),
		Upstream: p.Upstream(),
		Enabled:  p.Enabled(),
		Toxics:   a.toxics(p.Name()),
	}
}

// named is the proxy that the path of a request names.
func (a api) named(r *http.Request) (*Proxy, error) {
	return a.engine.Proxy(r.PathValue("proxy"))
}

func (a api) listProxies(*http.Request) (int, any, error) {
	all := make(map[string]proxyJSON)
	for _, p := range a.engine.Proxies() {
		all[p.Name()] = a.describe(p)
	}
	return http.StatusOK, all, nil
}

func (a api) showProxy(r *http.Request) (int, any, error) {
	p, err := a.named(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, a.describe(p), nil
}

func (a api) createProxy(r *http.Request) (int, any, error) {
	var in proxyInput
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	p, err := a.create(in)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, a.describe(p), nil
}

// create opens a proxy that the program does not own.
func (a api) create(in proxyInput) (*Proxy, error) {
	switch {
	case in.Name == "":
		return nil, refuse(http.StatusBadRequest, "missing required field: name")
	case in.Upstream == nil || *in.Upstream == "":
		return nil, refuse(http.StatusBadRequest, "missing required field: upstream")
	}
	if err := checkUpstream(*in.Upstream); err != nil {
		return nil, refuse(http.StatusBadRequest, "bad request body: %v", err)
	}
	if _, err := a.engine.Proxy(in.Name); err == nil {
		return nil, ErrProxyExists
	}
	listen, err := a.listen(in.Listen)
	if err != nil {
		return nil, err
	}
	return a.engine.Open(Definition{
		Name: in.Name, Listen: listen, Upstream: *in.Upstream,
		Disabled: in.Enabled != nil && !*in.Enabled,
	})
}

// listen is the address to listen at: with none any port of 127.0.0.1. Where
// only loopback will do, no host is 127.0.0.1 too.
func (a api) listen(listen *string) (string, error) {
	if listen == nil || *listen == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(*listen)
	if err != nil {
		return "", refuse(http.StatusBadRequest, "bad request body: listen %q is not host:port", *listen)
	}
	if a.engine.config.ListenAnywhere {
		return *listen, nil
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if !isLoopback(host) {
		return "", refuse(http.StatusBadRequest, "listen %q is not loopback; use 127.0.0.1:%s", *listen, port)
	}
	return net.JoinHostPort(host, port), nil
}

// enable takes a proxy up or down. What is so already is left, and so is nil.
func (a api) enable(p *Proxy, enabled *bool) error {
	if enabled == nil || *enabled == p.Enabled() {
		return nil
	}
	if !*enabled {
		_, err := a.engine.Apply(chaos.Spec{Target: p.Name(), Type: chaos.Down})
		return err
	}
	_, err := a.engine.drop(func(f *fault) bool { return f.spec.Target == p.Name() && f.closesPort() }, FaultOff)
	return err
}

func (a api) updateProxy(r *http.Request) (int, any, error) {
	p, err := a.named(r)
	if err != nil {
		return 0, nil, err
	}
	var in proxyInput
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	if err := a.update(p, in); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, a.describe(p), nil
}

// update changes a proxy. A new upstream drops the connections to the old one.
func (a api) update(p *Proxy, in proxyInput) error {
	if in.Listen != nil && *in.Listen != "" && spelling(*in.Listen) != spelling(p.Addr()) {
		return refuse(http.StatusConflict, "proxy %s listens on %s; to move it, delete it and create it anew", p.Name(), p.Addr())
	}
	if in.Upstream != nil && *in.Upstream != "" && *in.Upstream != p.Upstream() {
		if p.owned {
			return refuse(http.StatusConflict, "the upstream of proxy %s belongs to the program that made it", p.Name())
		}
		if err := checkUpstream(*in.Upstream); err != nil {
			return refuse(http.StatusBadRequest, "bad request body: %v", err)
		}
		p.SetUpstream(*in.Upstream)
		p.CloseConnections()
	}
	return a.enable(p, in.Enabled)
}

func (a api) deleteProxy(r *http.Request) (int, any, error) {
	p, err := a.named(r)
	if err != nil {
		return 0, nil, err
	}
	if p.owned {
		return 0, nil, refuse(http.StatusConflict, "proxy %s belongs to the program that made it; disable it instead", p.Name())
	}
	return http.StatusNoContent, nil, a.engine.remove(p)
}

// populate creates the proxies of a list and leaves those that exist as the
// list has them. Toxiproxy takes one that differs away and makes it anew; here
// it is changed, within what update allows.
func (a api) populate(r *http.Request) (int, any, error) {
	var list []proxyInput
	if err := read(r, &list); err != nil {
		return 0, nil, err
	}
	for i, in := range list {
		if in.Name == "" {
			return 0, nil, refuse(http.StatusBadRequest, "missing required field: name at proxy %d", i+1)
		}
		if in.Upstream == nil || *in.Upstream == "" {
			return 0, nil, refuse(http.StatusBadRequest, "missing required field: upstream at proxy %d", i+1)
		}
	}
	done := make([]proxyJSON, 0, len(list))
	for _, in := range list {
		p, err := a.engine.Proxy(in.Name)
		if errors.Is(err, ErrUnknownProxy) {
			p, err = a.create(in)
		} else if err == nil {
			err = a.update(p, in)
		}
		if err != nil {
			return 0, nil, err
		}
		done = append(done, a.describe(p))
	}
	return http.StatusCreated, map[string]any{"proxies": done}, nil
}
