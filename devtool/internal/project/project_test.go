package project

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"example.com/goldenpath/devtool/internal/console"
)

const minimal = `version: 1
name: shop
processes:
  - name: server
    package: ./cmd/server
    listen: {http: ADDR}
`

func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFind(t *testing.T) {
	t.Run("the description is found from a directory below it", func(t *testing.T) {
		root := write(t, minimal)
		below := filepath.Join(root, "a", "b")
		if err := os.MkdirAll(below, 0o700); err != nil {
			t.Fatal(err)
		}
		p, err := Find(below)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != "shop" || p.Gateway.Port != 8080 || p.Gateway.Process != "server" || p.Toxiproxy.Port != 8474 {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("no description is wrong usage with a hint", func(t *testing.T) {
		_, err := Find(t.TempDir())
		if console.HintOf(err) == "" || !strings.Contains(err.Error(), "there is no devtool.yaml in ") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("this repository's own description is valid", func(t *testing.T) {
		p, err := Find(".")
		if err != nil {
			t.Fatal(err)
		}
		if p.Database() == nil || p.Process("worker") == nil {
			t.Errorf("got %+v", p)
		}
	})
}

func TestProblemsAreNamed(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"an unknown field is shown in its line": {minimal + "ports: 3\n", "ports"},
		"another version":                       {strings.Replace(minimal, "version: 1", "version: 2", 1), "version: is 2; this devtool reads version 1"},
		"an unknown kind":                       {minimal + "dependencies: [{name: q, kind: rabbit}]\n", `dependencies[0].kind: "rabbit" must be postgres, redis or kafka`},
		"a name twice":                          {minimal + "dependencies: [{name: server, kind: redis}]\n", `"server" is used twice`},
		"a name with spaces":                    {minimal + "dependencies: [{name: my db, kind: redis}]\n", "must be lower-case letters"},
		"a port twice":                          {minimal + "dependencies: [{name: a, kind: redis}, {name: b, kind: redis}]\n", "port 16379 is wanted by dependencies[0].port too"},
		"a port that is none":                   {minimal + "gateway: {port: 70000}\n", "gateway.port: 70000 is no port"},
		"a gateway to nowhere":                  {minimal + "gateway: {process: web}\n", `gateway.process: there is no process "web"`},
		"a gateway to no listener":              {minimal + "gateway: {listen: grpc}\n", `process server has no listener "grpc", but [http]`},
		"migrations without a database":         {minimal + "migrations: db\n", "there is no dependency of kind postgres"},
		"no package":                            {strings.Replace(minimal, "    package: ./cmd/server\n", "", 1), "processes[0].package: must name what to build"},
		"no YAML":                               {"version: [", "is not understood"},
		"a tag in the place of a list":          {minimal + "dependencies: !x\n", "is not understood"},
		"an empty file":                         {"", "is not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v\nwant %q in it", err, tc.want)
			}
			var f *console.Failure
			if !errors.As(err, &f) || f.Exit != console.ExitUsage || f.Hint == "" {
				t.Errorf("no failure with code 2 and a hint: %#v", err)
			}
		})
	}
}

func TestState(t *testing.T) {
	p := &Project{Root: "/home/ann/src/my shop"}
	t.Run("two worktrees of one name have different keys", func(t *testing.T) {
		q := &Project{Root: "/home/ann/wt/my shop"}
		if p.Key() == q.Key() || !strings.HasPrefix(p.Key(), "my-shop-") {
			t.Errorf("%q and %q", p.Key(), q.Key())
		}
	})
	t.Run("DEVTOOL_STATE_HOME comes before XDG_STATE_HOME", func(t *testing.T) {
		one, two := t.TempDir(), t.TempDir()
		t.Setenv("XDG_STATE_HOME", one)
		t.Setenv("DEVTOOL_STATE_HOME", two)
		dir, err := p.StateDir()
		if err != nil || !strings.HasPrefix(dir, two) {
			t.Errorf("%q, %v", dir, err)
		}
	})
	t.Run("a socket path that is too long moves to the temporary directory", func(t *testing.T) {
		t.Setenv("DEVTOOL_STATE_HOME", filepath.Join(t.TempDir(), strings.Repeat("x", 100)))
		socket, err := p.Socket()
		if err != nil || len(socket) >= 104 {
			t.Errorf("%q (%d bytes), %v", socket, len(socket), err)
		}
	})
}

// TestDescribed: editors and readers are told of every field, and of no other.
func TestDescribed(t *testing.T) {
	schema, err := os.ReadFile(filepath.Join("..", "..", "..", "devtool.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "devtool-yaml.md"))
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(schema, &root); err != nil {
		t.Fatal(err)
	}
	var compare func(path string, typ reflect.Type, schema map[string]any)
	compare = func(path string, typ reflect.Type, schema map[string]any) {
		if typ.Kind() == reflect.Slice {
			typ, schema = typ.Elem(), schema["items"].(map[string]any)
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		properties := schema["properties"].(map[string]any)
		left := map[string]bool{}
		for name := range properties {
			left[name] = true
		}
		for i := range typ.NumField() {
			field := typ.Field(i)
			name := field.Tag.Get("yaml")
			if name == "-" {
				continue
			}
			delete(left, name)
			below, ok := properties[name].(map[string]any)
			if !ok {
				t.Errorf("devtool.schema.json has no %s%s", path, name)
				continue
			}
			if !strings.Contains(string(page), "`"+name) && !strings.Contains(string(page), "."+name) {
				t.Errorf("docs/devtool-yaml.md does not mention %s%s", path, name)
			}
			compare(path+name+".", field.Type, below)
		}
		for name := range left {
			t.Errorf("devtool.schema.json has %s%s, which nobody reads", path, name)
		}
	}
	compare("", reflect.TypeFor[Project](), root)
}

func FuzzLoad(f *testing.F) {
	f.Add(minimal)
	f.Add("dependencies: !x")
	f.Add("version: [")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Load(dir)
		if (p == nil) == (err == nil) {
			t.Errorf("project %v, error %v", p, err)
		}
	})
}
