package service

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "example.com/goldenpath/"
	internal = module + "service/internal/"
)

// rule says what the packages below a folder may import. Paths are prefixes,
// cut at slashes; "std" is the standard library.
type rule struct {
	folder string
	may    []string // all that is allowed; nil allows whatever no other rule forbids
	never  []string
	reason string
}

// rules are the layers. golangci-lint's depguard holds the same line while one
// types; this test also runs where no linter is, and reads every file of ours.
var rules = []rule{
	{folder: "internal/domain", may: []string{"std", internal + "domain"},
		reason: "the domain is what stays when every library is exchanged"},
	{folder: "internal/usecase", may: []string{"std", internal + "domain", "go.opentelemetry.io/otel"},
		reason: "a use case knows ports, not what stands behind them; spans of business operations are the one exception"},
	{folder: "internal/usecase", never: []string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters"},
		reason: "use cases make spans; where those go is decided in app"},
	{folder: "internal/interface", never: []string{internal + "infra", internal + "worker", internal + "app", internal + "config"},
		reason: "an adapter in calls use cases; a database behind its back could not be exchanged"},
	{folder: "internal/infra", never: []string{internal + "usecase", internal + "interface", internal + "worker", internal + "app", internal + "config", internal + "observability"},
		reason: "an adapter out implements the domain's ports and is told the rest by app"},
	{folder: "internal/worker", never: []string{internal + "infra", internal + "interface", internal + "app", internal + "config"},
		reason: "the worker names what it needs in interfaces of its own, so that its tests need no servers"},
	{folder: "internal/observability", never: []string{internal + "domain", internal + "usecase", internal + "interface", internal + "infra", internal + "worker", internal + "app"},
		reason: "observability is used by the layers and knows none of them"},
	{folder: "internal/config", never: []string{internal + "domain", internal + "usecase", internal + "interface", internal + "infra", internal + "worker", internal + "app"},
		reason: "configuration is text turned into values; app hands them out"},
	{folder: "cmd", may: []string{"os", internal + "app"},
		reason: "an entry point decides nothing; what it decided could not be tested"},
	{folder: ".", never: []string{module + "chaos", module + "devtool", module + "seeds"},
		reason: "what runs in production must not carry the tools of a laptop"},
	{folder: ".", never: []string{module + "replay/play", module + "replay/diff"},
		reason: "the service records; replaying is the tool's work"},
	{folder: ".", never: []string{"log", "github.com/rs/zerolog", "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"},
		reason: "logs go through zap, which carries the ids of the request; otlptracehttp links all of gRPC"},
}

// confined are libraries and the only folders that may import them.
var confined = []struct {
	library string
	folders []string
	reason  string
}{
	{"github.com/go-chi/chi", []string{"internal/interface/http"}, "routing is a matter of the HTTP door; no chi type crosses into a use case"},
	{"connectrpc.com/connect", []string{"internal/interface/rpc", "api/gen"}, "RPC is a matter of the RPC door"},
	{"github.com/jackc/pgx", []string{"internal/infra/postgres"}, "SQL is a matter of the database's adapter"},
	{"github.com/golang-migrate/migrate", []string{"internal/infra/postgres/schema"}, "the schema is changed by a command, and by no process that serves"},
	{"github.com/redis/go-redis", []string{"internal/infra/redis"}, "Redis is a matter of its adapter"},
	{"github.com/hibiken/asynq", []string{"internal/worker", "internal/infra/redis"}, "tasks are a matter of the worker; the Redis adapter only says where the queue is"},
	{"github.com/twmb/franz-go", []string{"internal/infra/kafka"}, "Kafka is a matter of its adapter"},
	{"github.com/knadh/koanf", []string{"internal/config"}, "where values come from is nobody else's business"},
	{"github.com/prometheus/client_golang", []string{"internal/observability"}, "metrics are declared in one place, with bounded labels"},
	{"go.opentelemetry.io/otel/sdk", []string{"internal/observability", "internal/app"}, "spans are made through the API and wired once"},
	{module + "replay", []string{"internal/app"}, "capturing is middleware that app mounts"},
}

func TestLayers(t *testing.T) {
	imports := importsOf(t)
	if len(imports) < 15 {
		t.Fatalf("found only the packages %v", imports)
	}
	for _, r := range rules {
		t.Run(r.folder+" keeps its layer: "+r.reason, func(t *testing.T) {
			for folder, imported := range imports {
				if !under(r.folder, folder) {
					continue
				}
				for name, file := range imported {
					switch {
					case matches(name, r.never):
					case r.may != nil && !matches(name, r.may):
					default:
						continue
					}
					t.Errorf("%s imports %s, which it must not: %s", file, name, r.reason)
				}
			}
		})
	}
	for _, c := range confined {
		t.Run(c.library+" stays where it belongs: "+c.reason, func(t *testing.T) {
			for folder, imported := range imports {
				for name, file := range imported {
					if matches(name, []string{c.library}) && !underAny(c.folders, folder) {
						t.Errorf("%s imports %s, which only %v may: %s", file, name, c.folders, c.reason)
					}
				}
			}
		})
	}
}

func TestPackagesForTests(t *testing.T) {
	t.Run("nothing that ships imports a package that is for tests", func(t *testing.T) {
		for _, imported := range importsOf(t) {
			for name, file := range imported {
				if strings.HasPrefix(name, module) && forTests(name) {
					t.Errorf("%s imports %s, which is for tests", file, name)
				}
			}
		}
	})
}

// TestLinked looks at everything that is linked into the binaries, which
// imports of ours alone do not show.
func TestLinked(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/server", "./cmd/worker", "./cmd/scheduler").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	if len(linked) < 200 {
		t.Fatalf("found only %d packages", len(linked))
	}
	for _, c := range []struct{ library, reason string }{
		{"google.golang.org/grpc", "Connect speaks gRPC without it, and each reload would link its 70 packages"},
		{"github.com/air-verse/air", "it is GPL-3.0: run, never linked"},
		{"github.com/Shopify/toxiproxy", "faults are the tool's business"},
		{module + "chaos", "faults are the tool's business"},
		{module + "devtool", "the tool knows the service's processes, never the other way round"},
		{"testing", "test code must not be in a production binary"},
	} {
		t.Run(c.library+" is not linked: "+c.reason, func(t *testing.T) {
			for _, name := range linked {
				if matches(name, []string{c.library}) {
					t.Errorf("%s is linked; see go list -deps, and why: %s", name, c.reason)
				}
			}
		})
	}
}

// importsOf maps each folder of the service to what its files import, with the
// file that does. What is for tests may import what it likes.
func importsOf(t *testing.T) map[string]map[string]string {
	t.Helper()
	found := map[string]map[string]string{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := path.Dir(filepath.ToSlash(file))
		if forTests(folder) {
			return nil
		}
		if found[folder] == nil {
			found[folder] = map[string]string{}
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[folder][name] = file
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// forTests says whether a folder or an import path is of a package that only
// tests use: by its name, postgrestest or notetest, or the ports in memory.
func forTests(name string) bool {
	last := path.Base(name)
	return strings.HasSuffix(last, "test") || last == "inmem"
}

// matches says whether the import is one of the prefixes, or below one.
func matches(name string, prefixes []string) bool {
	for _, p := range prefixes {
		first, _, _ := strings.Cut(name, "/")
		if p == "std" && !strings.Contains(first, ".") || under(p, name) {
			return true
		}
	}
	return false
}

func under(folder, name string) bool {
	return folder == "." || name == folder || strings.HasPrefix(name, folder+"/")
}

func underAny(folders []string, name string) bool {
	for _, f := range folders {
		if under(f, name) {
			return true
		}
	}
	return false
}
