package seeds

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// profile writes a profile named "p" and loads it.
func profile(t testing.TB, text string) (*Profile, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(dir, "p")
}

func mustProfile(t testing.TB, text string) *Profile {
	t.Helper()
	p, err := profile(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// oneTable is a profile with one table of 200 rows and these columns.
func oneTable(columns ...string) string {
	return "clock: 2026-01-15T09:00:00Z\ntables:\n  - table: a\n    rows: 200\n    columns:\n      - " + strings.Join(columns, "\n      - ") + "\n"
}

// made is the canonical text of a column of the first table.
func made(t testing.TB, p *Profile, table int, column string) []string {
	t.Helper()
	counts, err := p.counts(1)
	if err != nil {
		t.Fatal(err)
	}
	parents := references{}
	for i, tab := range p.tables {
		var texts []string
		r := p.open(tab, counts[tab.name], parents)
		for {
			row, ok := r.next()
			if !ok {
				break
			}
			if i < table {
				continue
			}
			text, ok := canonical(row[r.index[column]])
			if !ok {
				text = "null"
			}
			texts = append(texts, text)
		}
		if _, there := r.index[column]; i == table && there {
			return texts
		}
	}
	t.Fatalf("table %d has no column %s", table, column)
	return nil
}

func TestLoad(t *testing.T) {
	t.Run("an unknown profile lists those that exist and the nearest", func(t *testing.T) {
		_, err := Load("data", "laod")
		var fault *Error
		if !errors.As(err, &fault) || fault.NextStep() != "did you mean load? profiles: dev, empty, load" {
			t.Errorf("error %v, hint %q", err, fault.NextStep())
		}
	})

	for _, name := range []string{"", ".", "..", "../seeds", "/etc/passwd", "a/b", "dev.yaml", "\x00"} {
		t.Run(fmt.Sprintf("%q is no profile", name), func(t *testing.T) {
			if _, err := Load("data", name); err == nil {
				t.Error("no error")
			}
		})
	}

	t.Run("a folder that is not there is an error", func(t *testing.T) {
		if _, err := Load(filepath.Join(t.TempDir(), "none"), "dev"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
		if _, err := Profiles(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})

	t.Run("a huge file is refused", func(t *testing.T) {
		if _, err := profile(t, strings.Repeat("# x\n", largestFile)); err == nil {
			t.Error("no error")
		}
	})

	t.Run("the template's profiles are listed with what they hold", func(t *testing.T) {
		list, err := Profiles("data")
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 3 || list[0].Name != "dev" || list[0].Rows != 50 || list[2].Rows != 10_000 || list[1].Description == "" {
			t.Errorf("%+v", list)
		}
	})
}

func TestBadProfiles(t *testing.T) {
	const column = "{name: id, generate: uuid}"
	table := func(text string) string { return "clock: 2026-01-15T09:00:00Z\ntables:\n" + text }
	for _, c := range []struct{ name, text, says, hint string }{
		{"text that is no YAML", "a: [", "p.yaml:1:", ""},
		{"a tag in place of a list", "tables: !x\n", "p.yaml", ""},
		{"a list in place of a mapping", "- a\n- b\n", "p.yaml:1:", ""},
		{"no clock", "tables: []\n", "clock", "fixed time"},
		{"a clock that is none", "clock: yesterday\n", "yesterday", "fixed time"},
		{"an unknown setting", "clock: 2026-01-15T09:00:00Z\ncolour: red\n", `p.yaml:2:1: unknown field "colour"`, ""},
		{"an unknown setting of a table", table("  - table: a\n    rows: 1\n    colour: red\n    columns: [" + column + "]\n"), `p.yaml:5:5: unknown field "colour"`, ""},
		{"an unknown setting of a column", oneTable("{name: id, generate: uuid}", "{name: n, generate: int, min: 1, max: 2, colour: red}"), `p.yaml:7:`, ""},
		{"a setting of another generator", oneTable("{name: id, generate: uuid, min: 1}"), `p.yaml:6:36: unknown field "min"`, ""},
		{"a key twice", "clock: 2026-01-15T09:00:00Z\nclock: 2026-01-15T09:00:00Z\n", "p.yaml:2:", ""},
		{"rows below zero", table("  - table: a\n    rows: -1\n    columns: [" + column + "]\n"), "p.yaml:3:", ""},
		{"rows beyond measure", table("  - table: a\n    rows: 99999999999\n    columns: [" + column + "]\n"), "rows is from 0", ""},
		{"rows that are text", table("  - table: a\n    rows: many\n    columns: [" + column + "]\n"), "p.yaml:4:", ""},
		{"a table without a name", table("  - rows: 1\n    columns: [" + column + "]\n"), "no name", ""},
		{"a table without columns", table("  - table: a\n    rows: 1\n"), "no columns", ""},
		{"a table twice", table("  - {table: a, columns: [" + column + "]}\n  - {table: a, columns: [" + column + "]}\n"), "two tables a", ""},
		{"a column twice", oneTable(column, column), "p.yaml:7:", ""},
		{"a column without a name", oneTable("{generate: uuid}"), "no name", ""},
		{"an unknown generator", oneTable("{name: id, generate: uiid}"), `no generator "uiid"`, "did you mean uuid?"},
		{"no generator", oneTable("{name: id}"), "no generator", "generators: choice"},
		{"only hidden columns", oneTable("{name: id, generate: uuid, hidden: true}"), "hidden", ""},
		{"a share above one", oneTable("{name: id, generate: uuid, nulls: 1.5}"), "share from 0 to 1", ""},
		{"a share that is no number", oneTable("{name: id, generate: uuid, nulls: .nan}"), "share from 0 to 1", ""},
		{"a UUID of version 5", oneTable("{name: id, generate: uuid, version: 5}"), "version 4 or 7", ""},
		{"a time for version 4", oneTable("{name: id, generate: uuid, time: id}"), "version 7", ""},
		{"min above max", oneTable("{name: n, generate: int, min: 3, max: 2}"), "above", ""},
		{"an int without bounds", oneTable("{name: n, generate: int}"), "needs min and max", ""},
		{"a choice of nothing", oneTable("{name: n, generate: choice, values: []}"), "needs values", ""},
		{"too few weights", oneTable("{name: n, generate: choice, values: [1, 2], weights: [1]}"), "2 values and 1 weights", ""},
		{"weights of nothing", oneTable("{name: n, generate: choice, values: [1], weights: [0]}"), "all weights are 0", ""},
		{"a choice of lists", oneTable("{name: n, generate: choice, values: [[1]]}"), "neither", ""},
		{"words below one", oneTable("{name: n, generate: words, min: 0, max: 3}"), "from 1 to", ""},
		{"words beyond measure", oneTable("{name: n, generate: words, min: 1, max: 1000000000}"), "from 1 to", ""},
		{"words of nothing", oneTable("{name: n, generate: words, from: []}"), "no words", ""},
		{"a negative step", oneTable("{name: n, generate: timestamp, step: -1h}"), "not below 0", ""},
		{"a step without a unit", oneTable("{name: n, generate: timestamp, step: often}"), "p.yaml:6:", ""},
		{"a step after a column", oneTable("{name: n, generate: timestamp, step: 1h, after: m}"), "do not go with after", ""},
		{"within after nothing", oneTable("{name: n, generate: timestamp, within: 1h}"), "goes with after", ""},
		{"a template without text", oneTable("{name: n, generate: template}"), "needs text", ""},
		{"a template with an open brace", oneTable(`{name: n, generate: template, text: "a {b"}`), "a {", ""},
		{"a template with a stray brace", oneTable(`{name: n, generate: template, text: "a} b"}`), "a }", ""},
		{"a template of an unknown column", oneTable(column, `{name: n, generate: template, text: "{ie}"}`), "no such column", "did you mean id?"},
		{"a count of an unknown column", oneTable("{name: n, generate: count_words, of: bdoy}", "{name: body, generate: words}"), "no such column", "did you mean body?"},
		{"a count of nothing", oneTable("{name: n, generate: count_words}"), "needs of", ""},
		{"a column that needs itself", oneTable(`{name: n, generate: template, text: "{n} {m}"}`, `{name: m, generate: template, text: "{m}"}`), "itself", ""},
		{"columns in a circle", oneTable(`{name: a, generate: template, text: "{b}"}`, `{name: b, generate: template, text: "{a}"}`), "itself", ""},
		{"a reference to nowhere", oneTable("{name: n, generate: ref, table: b, column: id}"), "not in this profile", ""},
		{"a reference to no column", oneTable(column, "{name: n, generate: ref, table: a, column: b}"), "no such column", ""},
		{"a reference without a column", oneTable("{name: n, generate: ref, table: b}"), "needs table and column", ""},
		{"an odd pick", oneTable("{name: n, generate: ref, table: b, column: id, pick: best}"), "random or each", ""},
		{"a table that needs itself", oneTable(column, "{name: n, generate: ref, table: a, column: id}"), "itself", ""},
		{"tables in a circle", table("  - {table: a, columns: [{name: x, generate: ref, table: b, column: x}]}\n  - {table: b, columns: [{name: x, generate: ref, table: a, column: x}]}\n"), "itself", ""},
	} {
		t.Run(c.name+" is an error at its place", func(t *testing.T) {
			_, err := profile(t, c.text)
			var fault *Error
			if !errors.As(err, &fault) {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(fault.Error(), c.says) || !strings.Contains(fault.NextStep(), c.hint) {
				t.Errorf("%q, hint %q; want %q, %q", fault.Error(), fault.NextStep(), c.says, c.hint)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"dev", "load", "empty"} {
		text, err := os.ReadFile("data/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(oneTable("&a {name: n, generate: ref, table: a, column: n}", "*a"))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := profile(t, text)
		if err != nil {
			return
		}
		for _, table := range p.tables {
			table.rows = min(table.rows, 20)
		}
		first, err := p.Digest(1)
		if err != nil {
			return
		}
		if again, err := p.Digest(1); err != nil || again != first {
			t.Errorf("digest %s, then %s, %v", first, again, err)
		}
	})
}

func TestScale(t *testing.T) {
	p := mustProfile(t, `clock: 2026-01-15T09:00:00Z
tables:
  - {table: a, rows: 10, columns: [{name: n, generate: int, min: 1, max: 1000}]}
  - {table: b, rows: 10, fixed: true, columns: [{name: n, generate: int, min: 1, max: 1000}]}
`)
	t.Run("it multiplies all tables but the fixed", func(t *testing.T) {
		counts, err := p.counts(7)
		if err != nil || counts["a"] != 70 || counts["b"] != 10 {
			t.Errorf("%v, %v", counts, err)
		}
	})
	t.Run("0 is 1", func(t *testing.T) {
		zero, err := p.Digest(0)
		if err != nil {
			t.Fatal(err)
		}
		if one, err := p.Digest(1); err != nil || one != zero || p.Key(0) != p.Key(1) {
			t.Errorf("%s, %s, %v", zero, one, err)
		}
	})
	t.Run("a larger one only adds rows", func(t *testing.T) {
		one, err := p.expected(1)
		if err != nil {
			t.Fatal(err)
		}
		three, err := p.expected(3)
		if err != nil {
			t.Fatal(err)
		}
		for i, sum := range one[0].rows {
			if three[0].rows[i] != sum {
				t.Fatalf("row %d differs", i)
			}
		}
	})
	for _, scale := range []int{-1, 1 << 30, math.MaxInt} {
		t.Run(fmt.Sprintf("%d is refused", scale), func(t *testing.T) {
			if _, err := p.Digest(scale); err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("the key tells scales, names and contents apart", func(t *testing.T) {
		other := mustProfile(t, "clock: 2026-01-15T09:00:00Z\n")
		if p.Key(1) == p.Key(2) || p.Key(1) == other.Key(1) {
			t.Error("two keys are alike")
		}
	})
}

func TestClock(t *testing.T) {
	p := mustProfile(t, "clock: 2026-01-15T10:00:00.123456789+01:00\n")
	if want := time.Date(2026, 1, 15, 9, 0, 0, 123456000, time.UTC); !p.Clock.Equal(want) || p.Clock.Location() != time.UTC {
		t.Errorf("clock %s, want %s", p.Clock, want)
	}
}
