package parity

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// says is a behaviour that observes the same every time.
func says(id, observation string) Behaviour {
	return Behaviour{ID: id, What: id, Run: func(context.Context, Target) (string, error) { return observation, nil }}
}

// suite is one whose place counts how often it was removed.
func suite(removed *atomic.Int32, behaviours ...Behaviour) Suite {
	return Suite{Kind: "redis", Behaviours: behaviours, Open: func(context.Context, string, string) (string, func(context.Context) error, error) {
		return "place", func(ctx context.Context) error { removed.Add(1); return ctx.Err() }, nil
	}}
}

var one = Servers{Engine: "embedded", Endpoints: map[string]Endpoint{"redis": {URL: "url", Name: "miniredis"}}}

func TestRun(t *testing.T) {
	t.Run("results are in the order of the behaviours, and say which server it was", func(t *testing.T) {
		var removed atomic.Int32
		first := make(chan struct{})
		slow := Behaviour{ID: "redis/a", Run: func(context.Context, Target) (string, error) {
			<-first
			return "slow", nil
		}}
		fast := Behaviour{ID: "redis/b", Run: func(context.Context, Target) (string, error) {
			close(first)
			return "fast", nil
		}}
		results, err := Run(t.Context(), one, []Suite{suite(&removed, slow, fast)}, nil)
		if err != nil || len(results) != 2 || results[0].Observation != "slow" || results[1].Observation != "fast" {
			t.Fatal(results, err)
		}
		if results[0].Server != "embedded: miniredis" {
			t.Error(results[0].Server)
		}
		if removed.Load() != 1 {
			t.Errorf("the place was removed %d times", removed.Load())
		}
	})
	t.Run("kinds that the servers lack are left out", func(t *testing.T) {
		other := suite(new(atomic.Int32), says("kafka/a", ""))
		other.Kind = "kafka"
		results, err := Run(t.Context(), one, []Suite{other}, nil)
		if err != nil || len(results) != 0 {
			t.Fatal(results, err)
		}
	})
	t.Run("every behaviour has a name of its own, which is not in its observation", func(t *testing.T) {
		names := make(chan string, 2)
		named := Behaviour{ID: "redis/a", Run: func(_ context.Context, target Target) (string, error) {
			names <- target.Name
			return "key " + target.Name + ":k", nil
		}}
		results, err := Run(t.Context(), one, []Suite{suite(new(atomic.Int32), named, named)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := <-names, <-names; a == b || strings.Trim(a, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Error(a, b)
		}
		if results[0].Observation != "key NAME:k" {
			t.Error(results[0].Observation)
		}
	})
	t.Run("an error is told apart from an observation", func(t *testing.T) {
		broken := Behaviour{ID: "redis/a", Run: func(context.Context, Target) (string, error) { return "half", errors.New("refused") }}
		results, err := Run(t.Context(), one, []Suite{suite(new(atomic.Int32), broken)}, nil)
		if err != nil || results[0].Err == nil || results[0].Observation != "" {
			t.Fatal(results, err)
		}
	})
	t.Run("a place that cannot be made names the kind and the engine", func(t *testing.T) {
		closed := Suite{Kind: "redis", Open: func(context.Context, string, string) (string, func(context.Context) error, error) {
			return "", nil, errors.New("refused")
		}}
		_, err := Run(t.Context(), one, []Suite{closed}, nil)
		if err == nil || err.Error() != "redis of engine embedded: refused" {
			t.Fatal(err)
		}
	})
	t.Run("a run that is called off removes its place all the same", func(t *testing.T) {
		var removed atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		hangs := Behaviour{ID: "redis/a", Run: func(ctx context.Context, _ Target) (string, error) {
			cancel()
			<-ctx.Done()
			return "", ctx.Err()
		}}
		_, err := Run(ctx, one, []Suite{suite(&removed, hangs)}, nil)
		if !errors.Is(err, context.Canceled) || removed.Load() != 1 {
			t.Fatal(err, removed.Load())
		}
	})
}

func TestObserve(t *testing.T) {
	t.Run("a behaviour that gets no answer ends, and that is the observation", func(t *testing.T) {
		hangs := Behaviour{ID: "redis/a", Run: func(ctx context.Context, _ Target) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}}
		r := observe(t.Context(), hangs, Target{Name: "name"}, time.Millisecond)
		if r.Err != nil || r.Observation != Unanswered {
			t.Fatal(r)
		}
	})
}

func TestCompare(t *testing.T) {
	known, err := parse([]byte(`
- id: redis/a
  means: it matters
  says:
    - {server: miniredis, observation: '1'}
    - {server: 'Redis [78]\.', observation: '2'}
    - {server: 'Redis 8\.', observation: '3'}
`))
	if err != nil {
		t.Fatal(err)
	}
	result := func(server, observation string) []Result {
		return []Result{{ID: "redis/a", Server: server, Observation: observation}}
	}
	const mini, seven, eight, nine = "embedded: miniredis", "compose: Redis 7.0.1", "compose: Redis 8.2.3", "compose: Redis 9.0.0"
	for _, c := range []struct {
		fact string
		a, b []Result
		want Verdict
	}{
		{"the same answer is the same", result(seven, "2"), result(seven, "2"), Same},
		{"a difference that is listed for both servers is known", result(mini, "1"), result(seven, "2"), Known},
		{"it is known the other way round", result(seven, "2"), result(mini, "1"), Known},
		{"a server may have two answers", result(mini, "1"), result(eight, "3"), Known},
		{"two servers of one version may differ as is listed", result(eight, "2"), result(eight, "3"), Known},
		{"another answer than the listed one is new", result(mini, "1"), result(seven, "4"), New},
		{"an answer that is listed for another server is new", result(mini, "1"), result(seven, "3"), New},
		{"a difference of a server that is not listed is new", result(mini, "1"), result(nine, "2"), New},
		{"a listed difference that is none has vanished", result(mini, "2"), result(seven, "2"), Vanished},
		{"servers that have an answer in common need not differ", result(seven, "2"), result(eight, "2"), Same},
		{"a server that is not listed need not differ", result(mini, "1"), result(nine, "1"), Same},
	} {
		t.Run(c.fact, func(t *testing.T) {
			got := Compare(c.a, c.b, known)
			if len(got) != 1 || got[0].Verdict != c.want {
				t.Fatal(got)
			}
			if (got[0].Means != "") != (c.want == Known || c.want == Vanished) {
				t.Error(got[0].Means)
			}
		})
	}
	t.Run("what could not be observed is broken, also when both could not", func(t *testing.T) {
		broken := []Result{{ID: "redis/a", Server: mini, Err: errors.New("refused")}}
		for _, other := range [][]Result{broken, result(mini, "1")} {
			if got := Compare(broken, other, known); got[0].Verdict != Broken || got[0].Seen[0].Error != "refused" {
				t.Error(got)
			}
		}
	})
	t.Run("a behaviour that nobody listed is new when it differs", func(t *testing.T) {
		if got := Compare(result(mini, "1"), result(seven, "2"), nil); got[0].Verdict != New {
			t.Error(got)
		}
	})
}

func TestParse(t *testing.T) {
	for fact, data := range map[string]string{
		"an entry needs what it means":     "- {id: a, says: [{server: a, observation: b}, {server: c, observation: d}]}",
		"an entry needs two answers":       "- {id: a, means: b, says: [{server: a, observation: b}]}",
		"an entry is there once":           strings.Repeat("- {id: a, means: b, says: [{server: a, observation: b}, {server: c, observation: d}]}\n", 2),
		"a server is a regular expression": "- {id: a, means: b, says: [{server: '(', observation: b}, {server: c, observation: d}]}",
		"a field that is not known":        "- {id: a, meaning: b}",
	} {
		t.Run(fact, func(t *testing.T) {
			if list, err := parse([]byte(data)); err == nil {
				t.Error(list)
			}
		})
	}
	t.Run("the list that is built in can be read", func(t *testing.T) {
		list, err := Differences()
		if err != nil || len(list) == 0 {
			t.Fatal(err)
		}
	})
}

func TestDocumentTables(t *testing.T) {
	t.Run("a row for each known difference, in the order of the behaviours", func(t *testing.T) {
		known := []Difference{{ID: "redis/b", Means: "this | that", Source: "https://example.com"}, {ID: "redis/a", Means: "so"}}
		got := Document([]Suite{suite(new(atomic.Int32), says("redis/a", ""), says("redis/b", ""), says("redis/c", ""))}, known)
		want := "\n### redis\n\n| behaviour | what it means |\n|---|---|\n| a: redis/a | so |\n| b: redis/b | this \\| that ([source](https://example.com)) |\n"
		if got != want {
			t.Errorf("%q", got)
		}
	})
}
