package play_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/play"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const recordedTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// exchange is a recorded POST.
func exchange() *replay.Exchange {
	return &replay.Exchange{
		ID: "4bf92f35-00f067aa", TraceID: recordedTrace, SpanID: "00f067aa0ba902b7",
		Request: replay.Request{
			Method: "POST", URL: "/api/v1/notes%2Fx?b=2&a=1", Host: "prod.example.com", Proto: "HTTP/1.1",
			Header: http.Header{
				"Content-Type": {"application/json"}, "Content-Length": {"999"}, "Accept": {"application/json"},
				"Traceparent": {"00-" + recordedTrace + "-00f067aa0ba902b7-01"}, "Tracestate": {"a=b"}, "Baggage": {"user=1"},
				"X-Request-Id": {"r-1"}, "Idempotency-Key": {"k-1"}, "Connection": {"keep-alive, X-Hop"}, "X-Hop": {"1"},
				"Transfer-Encoding": {"chunked"}, "Expect": {"100-continue"}, "Te": {"trailers"}, "Cookie": {"s=[redacted:0123abcd]"},
				"Authorization": {"Bearer [redacted:0123abcd]"}, "X-Many": {"1", "2"},
			},
			Body: replay.Body{State: replay.Full, Size: 11, Bytes: []byte(`{"a":"bcd"}`)},
		},
		Response: replay.Response{Status: 201, Body: replay.Body{State: replay.Full}},
		Redacted: []string{"request.header.authorization", "request.header.cookie", "response.body.token"},
	}
}

// seen is a request as the target got it.
type seen struct {
	*http.Request
	body string
}

// target serves h and tells what it got.
func target(t *testing.T, h http.HandlerFunc) (*url.URL, func() []seen) {
	t.Helper()
	var mu sync.Mutex
	var all []seen
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		all = append(all, seen{r, string(body)})
		mu.Unlock()
		if h != nil {
			h(w, r)
		}
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u, func() []seen { mu.Lock(); defer mu.Unlock(); return all }
}

func run(t *testing.T, ex *replay.Exchange, o play.Options) []play.Attempt {
	t.Helper()
	attempts, err := play.Play(t.Context(), ex, o)
	if err != nil {
		t.Fatal(err)
	}
	return attempts
}

func TestTheRequestIsSentAgain(t *testing.T) {
	u, got := target(t, nil)
	attempts := run(t, exchange(), play.Options{Target: u, Repeat: 3, Headers: map[string]string{"X-Extra": "e", "X-Many": ""}})
	if len(attempts) != 3 || len(got()) != 3 {
		t.Fatalf("%d attempts, %d requests", len(attempts), len(got()))
	}
	first, second := got()[0], got()[1]
	t.Run("with its method, path, query and body", func(t *testing.T) {
		if first.Method != "POST" || first.RequestURI != "/api/v1/notes%2Fx?b=2&a=1" || first.body != `{"a":"bcd"}` || first.ContentLength != 11 {
			t.Errorf("%s %s %q %d", first.Method, first.RequestURI, first.body, first.ContentLength)
		}
	})
	t.Run("to the host of the target", func(t *testing.T) {
		if first.Host != u.Host {
			t.Errorf("%s", first.Host)
		}
	})
	t.Run("in a trace of its own that points back", func(t *testing.T) {
		parts := regexp.MustCompile(`^00-([0-9a-f]{32})-[0-9a-f]{16}-01$`).FindStringSubmatch(first.Header.Get("Traceparent"))
		if parts == nil || parts[1] == recordedTrace || parts[1] != attempts[0].TraceID || attempts[0].TraceID == attempts[1].TraceID {
			t.Errorf("%q, %+v", first.Header.Get("Traceparent"), attempts)
		}
		if b := first.Header.Get("Baggage"); b != "devtool.replay.id=4bf92f35-00f067aa,devtool.replay.original_trace_id="+recordedTrace+",devtool.replay.original_span_id=00f067aa0ba902b7" {
			t.Errorf("baggage %q", b)
		}
		if of := first.Header.Get("X-Replay-Of"); of != recordedTrace {
			t.Errorf("X-Replay-Of %q", of)
		}
	})
	t.Run("with an idempotency key that is new each time", func(t *testing.T) {
		a, b := first.Header.Get("Idempotency-Key"), second.Header.Get("Idempotency-Key")
		if a == "" || a == "k-1" || a == b {
			t.Errorf("%q, %q", a, b)
		}
	})
	t.Run("without what belonged to the recorded connection, or was redacted", func(t *testing.T) {
		for _, name := range []string{"Tracestate", "X-Request-Id", "Connection", "X-Hop", "Transfer-Encoding", "Expect", "Te", "Cookie",
			"Authorization", "X-Many", "Accept-Encoding", "User-Agent"} {
			if v := first.Header.Values(name); len(v) != 0 {
				t.Errorf("%s: %q", name, v)
			}
		}
	})
	t.Run("with what was asked for", func(t *testing.T) {
		if first.Header.Get("X-Extra") != "e" || first.Header.Get("Accept") != "application/json" {
			t.Errorf("%v", first.Header)
		}
	})
	t.Run("in the trace that the caller opened, if it did", func(t *testing.T) {
		trace := strings.Repeat("ab", 16)
		a := run(t, exchange(), play.Options{Target: u, NewTrace: func() (string, string) { return trace, "00f067aa0ba902b7" }})
		if a[0].TraceID != trace {
			t.Errorf("%+v", a)
		}
	})
}

func TestOnlyLoopbackIsATarget(t *testing.T) {
	resolver := func(ips ...string) func(context.Context, string) ([]netip.Addr, error) {
		return func(context.Context, string) ([]netip.Addr, error) {
			var all []netip.Addr
			for _, ip := range ips {
				all = append(all, netip.MustParseAddr(ip))
			}
			return all, nil
		}
	}
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for name, o := range map[string]play.Options{
		"no target":                    {},
		"a public address":             {Target: parse("http://192.0.2.1/")},
		"every address":                {Target: parse("http://0.0.0.0:8080/")},
		"a private address":            {Target: parse("http://10.0.0.1/")},
		"a mapped address":             {Target: parse("http://[::ffff:192.0.2.1]/")},
		"a link-local address":         {Target: parse("http://[fe80::1%25lo]/")},
		"a name with a public one":     {Target: parse("http://db.internal/"), Resolve: resolver("127.0.0.1", "192.0.2.1")},
		"a name without any":           {Target: parse("http://db.internal/"), Resolve: resolver()},
		"another scheme":               {Target: parse("ftp://127.0.0.1/")},
		"no port":                      {Target: parse("http://127.0.0.1:0/")},
		"a client that cannot be kept": {Target: parse("http://127.0.0.1:1/"), Client: &http.Client{Transport: roundTripper{}}},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			var refused *play.RefusedError
			if _, err := play.Play(t.Context(), exchange(), o); !errors.As(err, &refused) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a name that changes its address later gets nothing", func(t *testing.T) {
		u, got := target(t, nil)
		lookups := 0
		o := play.Options{
			Target: parse("http://rebind.example:" + u.Port()), Repeat: 2,
			Resolve: func(context.Context, string) ([]netip.Addr, error) {
				lookups++
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			},
		}
		run(t, exchange(), o)
		if lookups != 1 || len(got()) != 2 || got()[0].Host != "rebind.example:"+u.Port() {
			t.Errorf("%d look-ups, %d requests", lookups, len(got()))
		}
	})
	t.Run("a proxy of the environment or the client is not used", func(t *testing.T) {
		proxy, proxied := target(t, nil)
		t.Setenv("HTTP_PROXY", proxy.String())
		u, got := target(t, nil)
		client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy),
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled on its own") }}}
		run(t, exchange(), play.Options{Target: u, Client: client})
		if len(got()) != 1 || len(proxied()) != 0 {
			t.Errorf("%d, %d by the proxy", len(got()), len(proxied()))
		}
	})
	t.Run("a redirect elsewhere is returned and not followed", func(t *testing.T) {
		u, got := target(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		})
		a := run(t, exchange(), play.Options{Target: u})
		if len(got()) != 1 || a[0].Err != nil || a[0].Response.Status != http.StatusFound {
			t.Errorf("%+v", a)
		}
	})
	t.Run("a recorded path cannot name another host", func(t *testing.T) {
		u, got := target(t, nil)
		ex := exchange()
		ex.Request.URL = "//192.0.2.1/x?y"
		run(t, ex, play.Options{Target: u})
		if len(got()) != 1 || got()[0].RequestURI != "//192.0.2.1/x?y" {
			t.Errorf("%v", got())
		}
	})
}

type roundTripper struct{}

func (roundTripper) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("used") }

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	u, got := target(t, nil)
	edit := func(f func(*replay.Exchange)) *replay.Exchange {
		ex := exchange()
		f(ex)
		return ex
	}
	for name, c := range map[string]struct {
		ex    *replay.Exchange
		force bool // sends it
	}{
		"an upgraded connection":   {edit(func(ex *replay.Exchange) { ex.Response.Body.State = replay.Upgraded }), false},
		"CONNECT":                  {edit(func(ex *replay.Exchange) { ex.Request.Method = "CONNECT" }), false},
		"an empty capture":         {&replay.Exchange{}, false},
		"a method with spaces":     {edit(func(ex *replay.Exchange) { ex.Request.Method = "GET /" }), false},
		"a path that is none":      {edit(func(ex *replay.Exchange) { ex.Request.URL = "x" }), false},
		"a path with a bad escape": {edit(func(ex *replay.Exchange) { ex.Request.URL = "/%zz" }), false},
		"a truncated body":         {edit(func(ex *replay.Exchange) { ex.Request.Body.State = replay.Truncated }), true},
		"an aborted body":          {edit(func(ex *replay.Exchange) { ex.Request.Body.State = replay.Aborted }), true},
		"a body that was not kept": {edit(func(ex *replay.Exchange) {
			ex.Request.Body = replay.Body{State: replay.Full, Omitted: "it is binary"}
		}), true},
	} {
		t.Run(name, func(t *testing.T) {
			var refused *play.RefusedError
			if _, err := play.Play(t.Context(), c.ex, play.Options{Target: u}); !errors.As(err, &refused) {
				t.Errorf("%v", err)
			}
			_, err := play.Play(t.Context(), c.ex, play.Options{Target: u, Force: true})
			if sent := err == nil; sent != c.force {
				t.Errorf("with force: %v", err)
			}
		})
	}
	if n := len(got()); n != 3 {
		t.Errorf("%d requests were sent", n)
	}
}
