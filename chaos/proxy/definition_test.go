package proxy_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
)

func TestReadDefinitions(t *testing.T) {
	t.Run("a file of Toxiproxy is read, and our fields with it", func(t *testing.T) {
		got, err := proxy.ReadDefinitions([]byte(`[
			{"name": "db", "listen": "[::]:15432", "upstream": "postgres:5432", "enabled": false},
			{"Name": "web", "upstream": "[::1]:80", "enabled": null},
			{"name": "kafka", "listen": ":19092", "upstream": "kafka:9092", "enabled": true, "protocol": "kafka", "public": "toxiproxy:19092"}
		]`))
		want := []proxy.Definition{
			{Name: "db", Listen: "[::]:15432", Upstream: "postgres:5432", Disabled: true},
			{Name: "web", Upstream: "[::1]:80"},
			{Name: "kafka", Listen: ":19092", Upstream: "kafka:9092", Protocol: "kafka", Public: "toxiproxy:19092"},
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	})

	t.Run("no proxies are proxies too", func(t *testing.T) {
		if got, err := proxy.ReadDefinitions([]byte(" [] \n")); err != nil || len(got) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	})

	for _, test := range []struct{ fact, file, problems string }{
		{"an empty file", ``, `line 1, column 1: this is not JSON: unexpected end of JSON input`},
		{"garbage", "[\n  {\"name\": \x00", `line 2, column 12: this is not JSON: invalid character '\x00' looking for beginning of value`},
		{"more behind the array", "[]\n[]", `line 2, column 1: this is not JSON: invalid character '[' after top-level value`},
		{"an object, as GET /proxies gives", `{"db":{}}`, `this is not a JSON array of proxies, as in [{"name":"db","listen":"127.0.0.1:15432","upstream":"127.0.0.1:5432"}]`},
		{"null", `null`, `null is not a JSON array of proxies`},
		{"elements that are no objects", `[1, null, "db"]`, `
[0]: this is not an object with name, listen and upstream
[1]: this is not an object with name, listen and upstream
[2]: this is not an object with name, listen and upstream`},
		{"what is missing", `[{}]`, `
[0].name: it is missing
[0].upstream: it is missing`},
		{"values of the wrong type", `[{"name": 1, "listen": {}, "upstream": ["db:1"], "enabled": "yes", "protocol": 7, "public": false}]`, `
[0].enabled: it must be true or false
[0].listen: it must be a string
[0].name: it must be a string
[0].protocol: it must be a string
[0].public: it must be a string
[0].upstream: it must be a string`},
		{"addresses that are none", `[{"name": "a", "listen": "8000", "upstream": "db"}, {"name": "b", "listen": "0.0.0.0:65536", "upstream": ":1"}, {"name": "c", "upstream": "http://db:5432"}, {"name": "d", "upstream": "db:0"}]`, `
[0].listen: "8000" is not host:port
[0].upstream: "db" is not host:port
[1].listen: "0.0.0.0:65536" is not host:port
[1].upstream: ":1" is not host:port
[2].upstream: "http://db:5432" is not host:port
[3].upstream: "db:0" is not host:port`},
		{"a field that is not known", `[{"name": "a", "upstream": "db:1", "lisen\n": ":1"}]`, `
[0]."lisen\n": there is no such field; there are name, listen, upstream, enabled, protocol and public`},
		{"names and ports that are taken", `[{"name": "a", "listen": "localhost:1", "upstream": "db:1"}, {"name": "a", "listen": "127.0.0.1:1", "upstream": "db:1"}, {"name": "b", "listen": ":2", "upstream": "db:1"}, {"name": "c", "listen": "[::]:2", "upstream": "db:1"}]`, `
[1].listen: "127.0.0.1:1" is that of [0] already
[1].name: "a" is that of [0] already
[3].listen: "0.0.0.0:2" is that of [2] already`},
		{"an unknown protocol", `[{"name": "a", "upstream": "db:1", "protocol": "kafak"}]`, `
[0].protocol: "kafak" is none of tcp, postgres, redis, kafka`},
		{"public where it does not belong", `[{"name": "a", "upstream": "db:1", "public": "toxiproxy:1"}, {"name": "b", "upstream": "k:1", "protocol": "kafka", "public": "toxiproxy"}]`, `
[0].public: it goes with "protocol": "kafka", whose clients are told an address
[1].public: "toxiproxy" is not host:port`},
	} {
		t.Run(test.fact+": each problem is named", func(t *testing.T) {
			_, err := proxy.ReadDefinitions([]byte(test.file))
			if want := strings.TrimPrefix(test.problems, "\n"); err == nil || err.Error() != want {
				t.Errorf("%v\nwant\n%s", err, want)
			}
		})
	}

	t.Run("any port may be asked for more than once", func(t *testing.T) {
		_, err := proxy.ReadDefinitions([]byte(`[{"name": "a", "listen": ":0", "upstream": "db:1"}, {"name": "b", "listen": ":0", "upstream": "db:1"}]`))
		if err != nil {
			t.Error(err)
		}
	})
}

// FuzzReadDefinitions wants a definition that can be opened, or an error of one
// line for each problem.
func FuzzReadDefinitions(f *testing.F) {
	f.Add([]byte(`[{"name":"db","listen":"127.0.0.1:0","upstream":"db:5432","enabled":false}]`))
	f.Add([]byte(`[{"name":"kafka","listen":"[::]:1","upstream":"kafka:9092","protocol":"kafka","public":"toxiproxy:1"}]`))
	f.Add([]byte("[{\"name\":\"\",\"\\n\":1},null,[]]"))
	f.Add([]byte("\xff\xfe[]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		definitions, err := proxy.ReadDefinitions(data)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "[") && !strings.HasPrefix(line, "line ") && !strings.Contains(line, "not a JSON array") {
					t.Errorf("line %q of error %q names no place", line, err)
				}
			}
			return
		}
		names := make(map[string]bool)
		for _, d := range definitions {
			if d.Name == "" || names[d.Name] {
				t.Errorf("name %q", d.Name)
			}
			names[d.Name] = true
			addresses := []string{d.Upstream}
			for _, optional := range []string{d.Listen, d.Public} {
				if optional != "" {
					addresses = append(addresses, optional)
				}
			}
			for _, address := range addresses {
				if _, _, err := net.SplitHostPort(address); err != nil {
					t.Errorf("%+v: %v", d, err)
				}
			}
		}
	})
}

func TestOpen(t *testing.T) {
	t.Run("a proxy that is defined as disabled stays so until somebody enables it", func(t *testing.T) {
		c := newClock()
		e := proxy.New(proxy.Config{Now: c.Now, AfterFunc: c.AfterFunc})
		defer e.Close()
		p, err := e.Open(proxy.Definition{Name: "db", Upstream: echo(t), Disabled: true})
		if err != nil {
			t.Fatal(err)
		}
		c.move(chaos.DefaultLease + time.Hour)
		if err := attempt(p); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("disabled: %v", err)
		}
		if answer := request(t, api(t, e), "POST", "/proxies/db", `{"enabled":true}`); answer != http.StatusOK {
			t.Fatalf("enable: %d", answer)
		}
		mustAsk(t, dial(t, p))
	})

	t.Run("a proxy of every interface answers, closes and opens again", func(t *testing.T) {
		e := proxy.New(proxy.Config{})
		defer e.Close()
		p, err := e.Open(proxy.Definition{Name: "db", Listen: "0.0.0.0:0", Upstream: echo(t)})
		if err != nil {
			t.Fatal(err)
		}
		mustAsk(t, dial(t, p))
		apply(t, e, chaos.Down, nil)
		if err := attempt(p); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("down: %v", err)
		}
		clear(t, e)
		mustAsk(t, dial(t, p))
	})

	t.Run("a port that is taken and a name that is taken are errors, and leave nothing open", func(t *testing.T) {
		e, p := start(t, proxy.Config{}, echo(t))
		if _, err := e.Open(proxy.Definition{Name: "other", Listen: p.Addr(), Upstream: "127.0.0.1:1"}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("taken port: %v", err)
		}
		if _, err := e.Open(proxy.Definition{Name: "db", Upstream: "127.0.0.1:1"}); !errors.Is(err, proxy.ErrProxyExists) {
			t.Errorf("taken name: %v", err)
		}
		if all := e.Proxies(); len(all) != 1 {
			t.Errorf("%d proxies", len(all))
		}
	})

	t.Run("callers of the API may change it and take it away", func(t *testing.T) {
		e := proxy.New(proxy.Config{})
		defer e.Close()
		if _, err := e.Open(proxy.Definition{Name: "db", Upstream: "127.0.0.1:1"}); err != nil {
			t.Fatal(err)
		}
		url := api(t, e)
		if got := request(t, url, "POST", "/proxies/db", fmt.Sprintf(`{"upstream":%q}`, echo(t))); got != http.StatusOK {
			t.Errorf("new upstream: %d", got)
		}
		p, err := e.Proxy("db")
		if err != nil {
			t.Fatal(err)
		}
		mustAsk(t, dial(t, p))
		if got := request(t, url, "DELETE", "/proxies/db", ""); got != http.StatusNoContent {
			t.Errorf("delete: %d", got)
		}
	})
}

// request asks the API and returns the status.
func request(t *testing.T, url, method, path, body string) int {
	t.Helper()
	r, err := http.NewRequest(method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
