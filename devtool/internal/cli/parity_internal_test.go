package cli

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/parity"
	"example.com/goldenpath/devtool/internal/project"
)

func TestParityOptions(t *testing.T) {
	p := &project.Project{Dependencies: []project.Dependency{{Name: "db", Kind: "postgres"}, {Name: "more", Kind: "postgres"}, {Name: "cache", Kind: "redis"}}}
	for fact, o := range map[string]parityOptions{
		"one engine is too few":            {of: []string{"embedded"}},
		"three engines are too many":       {of: []string{"embedded", "compose", "attached"}},
		"an engine that there is not":      {of: []string{"embedded", "podman"}},
		"a kind that there is not":         {of: []string{"embedded", "compose"}, only: []string{"mysql"}},
		"a kind that the project does not": {of: []string{"embedded", "compose"}, only: []string{"kafka"}},
	} {
		t.Run(fact, func(t *testing.T) {
			_, err := o.check(p)
			var f *console.Failure
			if !errors.As(err, &f) || f.Exit != console.ExitUsage || f.Hint == "" {
				t.Fatal(err)
			}
		})
	}
	t.Run("one server of each kind is enough", func(t *testing.T) {
		wanted, err := parityOptions{of: []string{"embedded", "embedded"}}.check(p)
		if err != nil || len(wanted) != 2 || wanted[0].Name != "db" || wanted[1].Name != "cache" {
			t.Fatal(wanted, err)
		}
	})
}

func TestParityReport(t *testing.T) {
	report := func(verdicts ...parity.Verdict) parityReport {
		r := parityReport{Counts: map[parity.Verdict]int{}, Engines: []parityEngine{
			{Engine: "embedded", Servers: map[string]string{"redis": "miniredis"}}, {Engine: "compose", Servers: map[string]string{"redis": "Redis 8.2.3"}}}}
		for _, v := range verdicts {
			r.Counts[v]++
			r.Behaviours = append(r.Behaviours, parity.Comparison{ID: "redis/a", What: "an answer", Verdict: v, Means: "it matters",
				Seen: [2]parity.Seen{{Observation: "left"}, {Observation: "right"}}})
		}
		return r
	}
	for _, c := range []struct {
		fact     string
		verdicts []parity.Verdict
		exit     int
	}{
		{"known differences are as asked", []parity.Verdict{parity.Same, parity.Known, parity.Vanished}, console.ExitOK},
		{"a new difference is a no", []parity.Verdict{parity.Known, parity.New}, console.ExitNo},
		{"what could not be observed is a failure, whatever else there is", []parity.Verdict{parity.New, parity.Broken}, console.ExitFailed},
	} {
		t.Run(c.fact, func(t *testing.T) {
			streams, _, _ := console.Buffers()
			if exit := console.Report(streams, report(c.verdicts...).failure()); exit != c.exit {
				t.Errorf("exit code %d", exit)
			}
		})
	}
	t.Run("both answers are shown of what is new, and the meaning of what is known", func(t *testing.T) {
		var out strings.Builder
		report(parity.Known, parity.New, parity.Same).print(&out, false)
		for _, want := range []string{"compose   redis     Redis 8.2.3", "known redis/a: an answer\n  it matters", "  embedded  left\n  compose   right", "3 behaviours: 1 same, 1 known, 1 new"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("lacks %q:\n%s", want, out.String())
			}
		}
	})
}

func TestParityRun(t *testing.T) {
	t.Run("an engine does not differ from itself", func(t *testing.T) {
		streams, out, said := console.Buffers()
		if exit := Main([]string{"-C", "../../..", "parity", "--of", "embedded,embedded", "--only", "redis", "--json"}, streams); exit != console.ExitOK {
			t.Fatalf("exit code %d: %s", exit, said)
		}
		var r parityReport
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Verdict != parity.Same || len(r.Behaviours) < 10 || r.Engines[1].Servers["redis"] == "" {
			t.Error(r.Verdict, len(r.Behaviours), r.Engines)
		}
		if slices.ContainsFunc(r.Behaviours, func(c parity.Comparison) bool { return !strings.HasPrefix(c.ID, "redis/") }) {
			t.Error("there are behaviours of servers that were not asked for")
		}
	})
}
