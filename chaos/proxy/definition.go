package proxy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/goldenpath/chaos"
)

// Definition is a proxy as Toxiproxy's configuration file describes it, and
// what is ours besides: Protocol and Public.
type Definition struct {
	Name     string
	Listen   string // "host:port"; empty is any port of 127.0.0.1
	Upstream string // "host:port", which need not answer yet
	Disabled bool   // its port stays closed until somebody enables it
	// Protocol is a kind of chaos.Target; empty is "tcp".
	Protocol string
	// Public is the "host:port" that clients of Kafka are told to dial; empty is
	// where the proxy listens. It is for a proxy that listens on every interface
	// and is known to its clients by a name, as in a container.
	Public string
}

// untilEnabled is the lease of the fault that keeps the port of a disabled
// definition closed. It is how the proxy is meant to be and not a fault that
// somebody may forget, so it does not end by itself.
const untilEnabled = 100 * 365 * 24 * time.Hour

// ReadDefinitions reads a configuration file of Toxiproxy: a JSON array of
// objects with name, listen, upstream and enabled, and the optional protocol and
// public. A field that is none of these is an error, since a slip in "protocol"
// would let clients of Kafka past the proxy. The error has a line for each
// problem that there is, with the index and the field: "[1].upstream: …".
func ReadDefinitions(data []byte) ([]Definition, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, notAList(data, err)
	}
	if list == nil {
		return nil, errors.New("null is not a JSON array of proxies")
	}
	definitions := make([]Definition, len(list))
	names, listens := make(map[string]int), make(map[string]int)
	var problems []error
	for i, raw := range list {
		d, wrong := readDefinition(raw)
		unique := func(field, value string, seen map[string]int) {
			if first, taken := seen[value]; taken {
				wrong.add(field, "%q is that of [%d] already", value, first)
			} else if value != "" {
				seen[value] = i
			}
		}
		unique("name", d.Name, names)
		if !strings.HasSuffix(d.Listen, ":0") {
			unique("listen", spelling(d.Listen), listens)
		}
		for _, field := range slices.Sorted(maps.Keys(wrong)) {
			problems = append(problems, fmt.Errorf("[%d]%s: %s", i, field, wrong[field]))
		}
		definitions[i] = d
	}
	return definitions, errors.Join(problems...)
}

// notAList says why data is no JSON array, and where.
func notAList(data []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return errors.New(`this is not a JSON array of proxies, as in [{"name":"db","listen":"127.0.0.1:15432","upstream":"127.0.0.1:5432"}]`)
	}
	before := data[:min(max(syntax.Offset-1, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("line %d, column %d: this is not JSON: %w", line, column, err)
}

// wrong has the first problem of each field, by ".field"; "" is the whole.
type wrong map[string]string

func (w wrong) add(field, format string, args ...any) {
	if field != "" {
		field = "." + field
	}
	if _, ok := w[field]; !ok {
		w[field] = fmt.Sprintf(format, args...)
	}
}

// readDefinition reads one element. What it does not find stays zero.
func readDefinition(raw json.RawMessage) (Definition, wrong) {
	var d Definition
	w := make(wrong)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		w.add("", "this is not an object with name, listen and upstream")
		return d, w
	}
	enabled := true
	texts := map[string]*string{"name": &d.Name, "listen": &d.Listen, "upstream": &d.Upstream, "protocol": &d.Protocol, "public": &d.Public}
	for name, value := range fields {
		// Toxiproxy reads names of fields without regard to case.
		field := strings.ToLower(name)
		switch text, ok := texts[field]; {
		case field == "enabled":
			if json.Unmarshal(value, &enabled) != nil {
				w.add(field, "it must be true or false")
			}
		case !ok:
			w.add(strconv.Quote(name), "there is no such field; there are name, listen, upstream, enabled, protocol and public")
		case json.Unmarshal(value, text) != nil:
			w.add(field, "it must be a string")
		}
	}
	d.Disabled = !enabled
	d.check(w)
	return d, w
}

// protocols are the kinds of chaos.Target.
func protocols() []string { return []string{"tcp", "postgres", "redis", "kafka"} }

// check adds what is wrong with the values.
func (d Definition) check(w wrong) {
	if d.Name == "" {
		w.add("name", "it is missing")
	}
	switch host, port, err := splitAddress(d.Upstream); {
	case d.Upstream == "":
		w.add("upstream", "it is missing")
	case err != nil || host == "" || port == 0:
		w.add("upstream", "%q is not host:port", d.Upstream)
	}
	if _, _, err := splitAddress(d.Listen); err != nil && d.Listen != "" {
		w.add("listen", "%q is not host:port", d.Listen)
	}
	if d.Protocol != "" && !slices.Contains(protocols(), d.Protocol) {
		w.add("protocol", "%q is none of %s", d.Protocol, strings.Join(protocols(), ", "))
	}
	switch host, port, err := splitAddress(d.Public); {
	case d.Public == "":
	case err != nil || host == "" || port == 0:
		w.add("public", "%q is not host:port", d.Public)
	case d.Protocol != "kafka":
		w.add("public", `it goes with "protocol": "kafka", whose clients are told an address`)
	}
}

// splitAddress takes "host:port" apart. The host may be empty and the port 0.
func splitAddress(address string) (host string, port uint16, err error) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(number, 10, 16)
	return host, uint16(n), err
}

// Open listens for a proxy as it is defined and opens it. Unlike one that was
// added, callers of the HTTP API may change it and take it away.
func (e *Engine) Open(d Definition) (*Proxy, error) {
	d.Listen = cmp.Or(d.Listen, "127.0.0.1:0")
	d.Protocol = cmp.Or(d.Protocol, "tcp")
	l, err := net.Listen("tcp", d.Listen) //nolint:noctx // it opens at once and stays open
	if err != nil {
		return nil, fmt.Errorf("open proxy %s: %w", d.Name, err)
	}
	p, err := e.add(d, l, false)
	if err != nil || !d.Disabled {
		return p, err
	}
	if _, err := e.Apply(chaos.Spec{Target: d.Name, Type: chaos.Down, For: untilEnabled}); err != nil {
		return nil, errors.Join(err, e.remove(p))
	}
	return p, nil
}
