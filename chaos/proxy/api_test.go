package proxy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

// api serves the engine's HTTP API and returns its address.
func api(t *testing.T, e *proxy.Engine) string {
	t.Helper()
	s := httptest.NewServer(e.Handler())
	t.Cleanup(func() {
		s.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s.URL
}

func TestToxiproxyClient(t *testing.T) {
	// stock gives Toxiproxy's own client of a new engine.
	stock := func(t *testing.T) (*proxy.Engine, *proxy.Proxy, *toxiproxy.Client) {
		e, p := start(t, proxy.Config{}, echo(t))
		return e, p, toxiproxy.NewClient(api(t, e))
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	t.Run("it lists proxies and their toxics", func(t *testing.T) {
		e, p, client := stock(t)
		apply(t, e, chaos.Latency, map[string]any{"latency": 5, "jitter": 1})
		all, err := client.Proxies()
		must(t, err)
		db := all["db"]
		if len(all) != 1 || db.Listen != p.Addr() || db.Upstream != p.Upstream() || !db.Enabled {
			t.Errorf("proxies: %+v", db)
		}
		if len(db.ActiveToxics) != 1 || fmt.Sprint(db.ActiveToxics[0]) != "{latency latency downstream 1 map[jitter:1 latency:5]}" {
			t.Errorf("toxics: %v", db.ActiveToxics)
		}
		version, err := client.Version()
		must(t, err)
		if !bytes.Contains(version, []byte(`"version":"2.12.0"`)) {
			t.Errorf("version: %s", version)
		}
	})

	t.Run("a toxic that it adds is a fault with a lease, acts, is changed and removed", func(t *testing.T) {
		e, p, client := stock(t)
		c := dial(t, p)
		mustAsk(t, c)
		db, err := client.Proxy("db")
		must(t, err)
		added, err := db.AddToxic("", "latency", "upstream", 1, toxiproxy.Attributes{"latency": 200})
		must(t, err)
		if added.Name != "latency_upstream" {
			t.Errorf("added: %+v", added)
		}
		if took := mustAsk(t, c); took < 200*time.Millisecond {
			t.Errorf("with latency took %s", took)
		}
		f := e.Faults()[0]
		if f.ID != "db-latency_upstream" || f.Stream != chaos.Upstream || time.Until(f.ExpiresAt) > 15*time.Minute || f.Hits != 1 {
			t.Errorf("fault: %+v", f)
		}
		_, err = db.AddToxic("", "latency", "upstream", 1, nil)
		wantStatus(t, err, http.StatusConflict)
		updated, err := db.UpdateToxic("latency_upstream", -1, toxiproxy.Attributes{"jitter": 3})
		must(t, err)
		if fmt.Sprint(updated.Attributes) != "map[jitter:3 latency:200]" || updated.Toxicity != 1 {
			t.Errorf("updated: %+v", updated)
		}
		must(t, db.RemoveToxic("latency_upstream"))
		if took := mustAsk(t, c); took >= 200*time.Millisecond {
			t.Errorf("without latency took %s", took)
		}
		wantStatus(t, unwrap(db.RemoveToxic("latency_upstream")), http.StatusNotFound)
	})

	t.Run("a toxic of toxicity 0 acts on nothing", func(t *testing.T) {
		e, p, client := stock(t)
		db, err := client.Proxy("db")
		must(t, err)
		_, err = db.AddToxic("never", "reset_peer", "downstream", 0, nil)
		must(t, err)
		mustAsk(t, dial(t, p))
		if f := e.Faults()[0]; f.Type != chaos.Reset || f.Hits != 0 {
			t.Errorf("fault: %+v", f)
		}
	})

	t.Run("disable is down, and enable and reset undo it", func(t *testing.T) {
		e, p, client := stock(t)
		db, err := client.Proxy("db")
		must(t, err)
		must(t, db.Disable())
		if attempt(p) == nil {
			t.Error("a disabled proxy answers")
		}
		if faults := e.Faults(); len(faults) != 1 || faults[0].Type != chaos.Down {
			t.Errorf("faults: %+v", faults)
		}
		must(t, db.Enable())
		mustAsk(t, dial(t, p))
		must(t, db.Disable())
		must(t, client.ResetState())
		mustAsk(t, dial(t, p))
		if faults := e.Faults(); len(faults) != 0 {
			t.Errorf("faults: %+v", faults)
		}
	})

	t.Run("it makes proxies on loopback and takes them away, but none of the program's", func(t *testing.T) {
		e, p, client := stock(t)
		made, err := client.CreateProxy("other", "127.0.0.1:0", p.Upstream())
		must(t, err)
		other, err := e.Proxy("other")
		must(t, err)
		mustAsk(t, dial(t, other))
		if made.Listen != other.Addr() {
			t.Errorf("listens on %s", made.Listen)
		}
		_, err = made.AddToxic("", "latency", "", 1, toxiproxy.Attributes{"latency": 1})
		must(t, err)
		must(t, made.Delete())
		if _, err := net.Dial("tcp", other.Addr()); err == nil {
			t.Error("a deleted proxy answers")
		}
		if faults := e.Faults(); len(faults) != 0 {
			t.Errorf("faults: %+v", faults)
		}
		_, err = client.CreateProxy("db", "127.0.0.1:0", p.Upstream())
		wantStatus(t, err, http.StatusConflict)
		_, err = client.CreateProxy("open", "0.0.0.0:0", p.Upstream())
		wantStatus(t, err, http.StatusBadRequest)
		db, err := client.Proxy("db")
		must(t, err)
		wantStatus(t, unwrap(db.Delete()), http.StatusConflict)
		db.Upstream = "127.0.0.1:1"
		wantStatus(t, db.Save(), http.StatusConflict)
		mustAsk(t, dial(t, p))
	})

	t.Run("populate makes what is not there and leaves what is", func(t *testing.T) {
		e, p, client := stock(t)
		list := []toxiproxy.Proxy{
			{Name: "db", Listen: p.Addr(), Upstream: p.Upstream(), Enabled: true},
			{Name: "other", Listen: "127.0.0.1:0", Upstream: p.Upstream(), Enabled: false},
		}
		done, err := client.Populate(list)
		must(t, err)
		if len(done) != 2 || done[0].Listen != p.Addr() || done[1].Enabled {
			t.Errorf("populated: %+v", done)
		}
		if got := len(e.Proxies()); got != 2 {
			t.Errorf("%d proxies", got)
		}
	})
}

// unwrap takes off what the client puts around the errors of the API.
func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return err
}

// wantStatus wants an error of the API.
func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	for err != nil {
		if refused, ok := err.(*toxiproxy.ApiError); ok { //nolint:errorlint // the client wraps in a way of its own, see unwrap
			if refused.Status != status || refused.Message == "" {
				t.Errorf("refused with %d %q, want %d", refused.Status, refused.Message, status)
			}
			return
		}
		if unwrap(err) == err { //nolint:errorlint // the end of the chain
			break
		}
		err = unwrap(err)
	}
	t.Errorf("%v is no error of the API, want %d", err, status)
}

func TestAPI(t *testing.T) {
	e, p := start(t, proxy.Config{}, echo(t))
	url := api(t, e)
	for _, test := range []struct {
		fact, method, path, body string
		header                   map[string]string
		status                   int
	}{
		{"a body that is not JSON", "POST", "/proxies/db/toxics", "latency", nil, 400},
		{"no body", "POST", "/proxies/db/toxics", "", nil, 400},
		{"a body with more behind it", "POST", "/proxies/db/toxics", `{"type":"latency"} {}`, nil, 400},
		{"a toxic of the wrong shape", "POST", "/proxies/db/toxics", `[1]`, nil, 400},
		{"a toxic of an unknown type", "POST", "/proxies/db/toxics", `{"type":"laser"}`, nil, 400},
		{"a toxic with no type", "POST", "/proxies/db/toxics", `{}`, nil, 400},
		{"a toxic down", "POST", "/proxies/db/toxics", `{"type":"down"}`, nil, 400},
		{"a wrong stream", "POST", "/proxies/db/toxics", `{"type":"latency","stream":"sideways"}`, nil, 400},
		{"an attribute of the wrong type", "POST", "/proxies/db/toxics", `{"type":"latency","attributes":{"latency":"1s"}}`, nil, 400},
		{"an attribute with a fraction", "POST", "/proxies/db/toxics", `{"type":"latency","attributes":{"latency":1.5}}`, nil, 400},
		{"an attribute that overflows", "POST", "/proxies/db/toxics", `{"type":"latency","attributes":{"latency":1e300}}`, nil, 400},
		{"an unknown attribute", "POST", "/proxies/db/toxics", `{"type":"latency","attributes":{"latancy":1}}`, nil, 400},
		{"a slicer that would never end", "POST", "/proxies/db/toxics", `{"type":"slicer","attributes":{"average_size":0}}`, nil, 400},
		{"toxicity above 1", "POST", "/proxies/db/toxics", `{"type":"latency","toxicity":2}`, nil, 400},
		{"a body of 2 MiB", "POST", "/proxies/db/toxics", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413},
		{"an unknown proxy", "GET", "/proxies/cache", "", nil, 404},
		{"an unknown toxic", "GET", "/proxies/db/toxics/none", "", nil, 404},
		{"a toxic for an unknown proxy", "POST", "/proxies/cache/toxics", `{"type":"latency"}`, nil, 404},
		{"an unknown path", "GET", "/nowhere", "", nil, 404},
		{"a wrong method", "PUT", "/proxies", "", nil, 405},
		{"a proxy with no name", "POST", "/proxies", `{"upstream":"127.0.0.1:1"}`, nil, 400},
		{"a proxy with no upstream", "POST", "/proxies", `{"name":"x"}`, nil, 400},
		{"a proxy with a bad upstream", "POST", "/proxies", `{"name":"x","upstream":"nowhere"}`, nil, 400},
		{"a proxy with a bad listen", "POST", "/proxies", `{"name":"x","upstream":"127.0.0.1:1","listen":"nowhere"}`, nil, 400},
		{"a proxy that is to move", "POST", "/proxies/db", `{"listen":"127.0.0.1:1"}`, nil, 409},
		{"a list that is not one", "POST", "/populate", `{}`, nil, 400},
		{"a list with a nameless proxy", "POST", "/populate", `[{"upstream":"127.0.0.1:1"}]`, nil, 400},
		{"a page of another origin", "GET", "/proxies", "", map[string]string{"Origin": "https://example.com"}, 403},
		{"a page without an origin", "POST", "/reset", "", map[string]string{"Origin": "null"}, 403},
		{"a host that is not loopback", "GET", "/proxies", "", map[string]string{"Host": "rebound.example.com"}, 403},
		{"a browser", "GET", "/proxies", "", map[string]string{"User-Agent": "Mozilla/5.0"}, 403},
	} {
		t.Run(test.fact+" is refused", func(t *testing.T) {
			r, err := http.NewRequest(test.method, url+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range test.header {
				r.Header.Set(name, value)
			}
			if host := test.header["Host"]; host != "" {
				r.Host = host
			}
			begin := time.Now()
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, test.status, body)
			}
			var refused struct {
				Error  string
				Status int
			}
			if unrouted := test.status == 405 || test.path == "/nowhere"; !unrouted {
				if err := json.Unmarshal(body, &refused); err != nil || refused.Error == "" || refused.Status != test.status {
					t.Errorf("body %s: %v", body, err)
				}
			}
			if took := time.Since(begin); took > soon {
				t.Errorf("took %s", took)
			}
		})
	}

	t.Run("what was refused changed nothing", func(t *testing.T) {
		if faults := e.Faults(); len(faults) != 0 {
			t.Errorf("faults: %+v", faults)
		}
		if got := len(e.Proxies()); got != 1 {
			t.Errorf("%d proxies", got)
		}
		mustAsk(t, dial(t, p))
	})

	t.Run("a page of the same origin and the names of loopback are let in", func(t *testing.T) {
		for _, host := range []string{"localhost:8474", "127.0.0.1", "[::1]:8474"} {
			r, err := http.NewRequest("GET", url+"/version", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			r.Header.Set("Origin", "http://"+host)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", host, resp.StatusCode)
			}
		}
	})

	t.Run("garbage on the port ends that connection alone", func(t *testing.T) {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(soon))
		c.Write(append(pattern(4096), "\r\n\r\n"...))
		if _, err := io.ReadAll(c); isTimeout(err) {
			t.Errorf("read: %v", err)
		}
		resp, err := http.Get(url + "/proxies")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	})
}

func TestHosts(t *testing.T) {
	e, p := start(t, proxy.Config{Hosts: []string{"toxiproxy", "10.0.0.7"}, ListenAnywhere: true}, echo(t))
	url := api(t, e)
	for _, test := range []struct {
		host, origin, agent string
		status              int
	}{
		{host: "toxiproxy:8474", status: 200},
		{host: "ToxiProxy", status: 200},
		{host: "10.0.0.7:8474", status: 200},
		{host: "localhost:8474", status: 200},
		{host: "toxiproxy:8474", origin: "http://toxiproxy:8474", status: 200},
		{host: "rebound.example.com:8474", status: 403},
		{host: "toxiproxy.example.com", status: 403},
		{host: "10.0.0.8:8474", status: 403},
		{host: "toxiproxy:8474", origin: "http://rebound.example.com", status: 403},
		{host: "toxiproxy:8474", origin: "http://toxiproxy:3000", status: 403},
		{host: "toxiproxy:8474", agent: "Mozilla/5.0", status: 403},
	} {
		t.Run(fmt.Sprintf("a call to %s from origin %q and agent %q is answered with %d", test.host, test.origin, test.agent, test.status), func(t *testing.T) {
			r, err := http.NewRequest("GET", url+"/proxies", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = test.host
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			if test.agent != "" {
				r.Header.Set("User-Agent", test.agent)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != test.status {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}

	t.Run("a proxy on every interface may be opened where that is allowed, and populated again", func(t *testing.T) {
		client := toxiproxy.NewClient(url)
		made, err := client.CreateProxy("open", "0.0.0.0:0", p.Upstream())
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(made.Listen)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"0.0.0.0", "", "[::]"} {
			if _, err := client.Populate([]toxiproxy.Proxy{{Name: "open", Listen: host + ":" + port, Upstream: p.Upstream(), Enabled: true}}); err != nil {
				t.Errorf("populate with host %q: %v", host, err)
			}
		}
	})
}

// isTimeout reports whether the time limit of a connection ran out.
func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
