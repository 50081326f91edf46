package suite

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"example.com/goldenpath/devtool/internal/parity"
	"example.com/goldenpath/devtool/internal/parity/servers"
	"example.com/goldenpath/devtool/internal/project"
)

var update = flag.Bool("update", false, "write the tables of docs/parity.md anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// repository is the module's folder, seen from here.
var repository = filepath.Join("..", "..", "..", "..")

// open starts the servers of an engine for the template's own project.
func open(t *testing.T, engine string) parity.Servers {
	t.Helper()
	p, err := project.Find(".")
	if err != nil {
		t.Fatal(err)
	}
	open, stop, err := servers.Open(t.Context(), p, engine, p.Dependencies, func(text string) { t.Log(text) })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, end := range open.Endpoints {
		t.Logf("%s: %s", kind, end.Name)
	}
	return open
}

func run(t *testing.T, on parity.Servers) []parity.Result {
	t.Helper()
	results, err := parity.Run(t.Context(), on, All(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func differences(t *testing.T) []parity.Difference {
	t.Helper()
	known, err := parity.Differences()
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func TestDeterminism(t *testing.T) {
	on := open(t, "embedded")
	first, second := run(t, on), run(t, on)

	t.Run("every behaviour is observed", func(t *testing.T) {
		for _, r := range slices.Concat(first, second) {
			if r.Err != nil || r.Observation == parity.Unanswered {
				t.Errorf("%s: %s %v", r.ID, r.Observation, r.Err)
			}
		}
	})
	t.Run("a second run observes the same", func(t *testing.T) {
		for _, c := range parity.Compare(first, second, nil) {
			if c.Verdict != parity.Same {
				t.Errorf("%s\n first  %s\n second %s", c.ID, c.Seen[0].Observation, c.Seen[1].Observation)
			}
		}
	})
	t.Run("what is listed for these servers is what they do", func(t *testing.T) {
		listed(t, first)
	})
	t.Run("nothing of a run is left on the servers", func(t *testing.T) {
		for kind, left := range map[string]func(context.Context, string) ([]string, error){"postgres": databases, "redis": keys, "kafka": topicsAndGroups} {
			names, err := left(t.Context(), on.Endpoints[kind].URL)
			if err != nil || len(names) > 0 {
				t.Errorf("%s has %q (%v)", kind, names, err)
			}
		}
	})
}

// listed fails where differences.yaml gives answers for a server and they are
// others than its own.
func listed(t *testing.T, results []parity.Result) {
	t.Helper()
	for _, d := range differences(t) {
		for _, r := range results {
			answers := d.Answers(r.Server)
			if r.ID == d.ID && len(answers) > 0 && !slices.Contains(answers, r.Observation) {
				t.Errorf("%s on %s\n does   %s\n listed %s", r.ID, r.Server, r.Observation, strings.Join(answers, "\n listed "))
			}
		}
	}
}

func databases(ctx context.Context, url string) ([]string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') UNION ALL SELECT slot_name FROM pg_replication_slots")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func keys(ctx context.Context, addr string) ([]string, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	found, err := rdb.Keys(ctx, "*").Result()
	// asynq's own lists of servers, which expire by themselves.
	return slices.DeleteFunc(found, func(k string) bool { return strings.HasPrefix(k, "asynq:") && !strings.Contains(k, "{") }), err
}

func topicsAndGroups(ctx context.Context, addr string) ([]string, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := kadm.NewClient(client).ListGroups(ctx)
	return append(topics.Names(), groups.Groups()...), err
}

func TestCompose(t *testing.T) {
	if os.Getenv("GOLDENPATH_DOCKER") != "1" {
		t.Skip("needs Docker: GOLDENPATH_DOCKER=1")
	}
	embedded, compose := run(t, open(t, "embedded")), run(t, open(t, "compose"))
	t.Run("the differences between embedded and compose are known", func(t *testing.T) {
		for _, c := range parity.Compare(embedded, compose, differences(t)) {
			switch c.Verdict {
			case parity.New, parity.Broken:
				t.Errorf("%s is %s\n embedded %s%s\n compose  %s%s", c.ID, c.Verdict, c.Seen[0].Observation, c.Seen[0].Error, c.Seen[1].Observation, c.Seen[1].Error)
			case parity.Vanished:
				t.Logf("%s is listed as different and is not", c.ID)
			}
		}
	})
}

func TestList(t *testing.T) {
	behaviours := map[string]bool{}
	t.Run("a behaviour has a name of its own, which begins with its kind", func(t *testing.T) {
		for _, s := range All() {
			for _, b := range s.Behaviours {
				if behaviours[b.ID] || !strings.HasPrefix(b.ID, s.Kind+"/") || b.What == "" {
					t.Errorf("%s (%q)", b.ID, b.What)
				}
				behaviours[b.ID] = true
			}
		}
	})
	t.Run("a known difference is one of a behaviour that there is", func(t *testing.T) {
		for _, d := range differences(t) {
			if !behaviours[d.ID] {
				t.Errorf("%s is no behaviour", d.ID)
			}
		}
	})
}

func TestDocument(t *testing.T) {
	const begin, end = "<!-- the tables are made from differences.yaml -->\n", "<!-- until here -->\n"
	path := filepath.Join(repository, "docs", "parity.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines %q and %q", path, begin, end)
	}
	want := head + begin + parity.Document(All(), differences(t)) + "\n" + end + tail
	if want == string(data) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale; go test ./devtool/internal/parity/suite -run TestDocument -update writes it anew", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
