package seeds

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The digests are golden: a change here is a change of everybody's data, and
// takes a new format number.
func TestGoldenDigests(t *testing.T) {
	golden, err := os.ReadFile("testdata/digests.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		fields := strings.Fields(line)
		if len(fields) != 4 {
			t.Fatalf("testdata/digests.txt: %q is not folder, profile, scale, digest", line)
		}
		t.Run(fields[1]+" at scale "+fields[2]+" is the same on every machine", func(t *testing.T) {
			p, err := Load(fields[0], fields[1])
			if err != nil {
				t.Fatal(err)
			}
			scale, err := strconv.Atoi(fields[2])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Digest(scale); err != nil || got != fields[3] {
				t.Errorf("digest %s, %v; want %s", got, err, fields[3])
			}
		})
	}
}

func TestStreams(t *testing.T) {
	const base = "{name: x, generate: int, min: 0, max: 1000000}"
	before := made(t, mustProfile(t, oneTable(base)), 0, "x")

	for name, text := range map[string]string{
		"another column before it": oneTable("{name: y, generate: uuid}", base),
		"another column after it":  oneTable(base, "{name: y, generate: paragraph}"),
	} {
		t.Run(name+" changes nothing", func(t *testing.T) {
			if !slices.Equal(made(t, mustProfile(t, text), 0, "x"), before) {
				t.Error("the column changed")
			}
		})
	}
	t.Run("another seed, table or column name gives other values", func(t *testing.T) {
		for _, text := range []string{
			"seed: 2\n" + oneTable(base),
			strings.Replace(oneTable(base), "table: a", "table: b", 1),
		} {
			if slices.Equal(made(t, mustProfile(t, text), 0, "x"), before) {
				t.Error("the column is the same")
			}
		}
		if slices.Equal(made(t, mustProfile(t, oneTable(strings.Replace(base, "x", "z", 1))), 0, "z"), before) {
			t.Error("the column is the same")
		}
	})
	t.Run("a share of nulls leaves the other values as they were", func(t *testing.T) {
		holed := made(t, mustProfile(t, oneTable(strings.Replace(base, "max", "nulls: 0.3, max", 1))), 0, "x")
		nulls := 0
		for i, text := range holed {
			if text == "null" {
				nulls++
			} else if text != before[i] {
				t.Fatalf("row %d is %s, was %s", i, text, before[i])
			}
		}
		if nulls < 30 || nulls > 90 {
			t.Errorf("%d of 200 are null, not about 60", nulls)
		}
	})
	t.Run("names that run together are told apart", func(t *testing.T) {
		if newStream("ab", "c").source.Uint64() == newStream("a", "bc").source.Uint64() {
			t.Error("the streams are the same")
		}
	})
	t.Run("all of int64 can be drawn", func(t *testing.T) {
		s := newStream("x")
		low, high := false, false
		for range 100 {
			n := s.between(-1<<63, 1<<63-1)
			low, high = low || n < -1<<61, high || n > 1<<61
		}
		if !low || !high {
			t.Error("the draws are on one side")
		}
	})
}

func TestGenerators(t *testing.T) {
	clock := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	all := func(t *testing.T, texts []string, holds func(i int, text string) bool) {
		t.Helper()
		if len(texts) != 200 {
			t.Fatalf("%d values", len(texts))
		}
		for i, text := range texts {
			if !holds(i, text) {
				t.Fatalf("row %d: %s", i, text)
			}
		}
	}
	at := func(text string) time.Time {
		parsed, err := time.Parse(timeText, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	columns := func(c ...string) *Profile { return mustProfile(t, oneTable(c...)) }

	t.Run("uuid is of RFC 9562, and no two are alike", func(t *testing.T) {
		form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-([47])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
		for _, version := range []string{"4", "7"} {
			texts := made(t, columns("{name: x, generate: uuid, version: "+version+"}"), 0, "x")
			all(t, texts, func(_ int, text string) bool {
				m := form.FindStringSubmatch(text)
				return m != nil && m[1] == version
			})
			slices.Sort(texts)
			if len(slices.Compact(texts)) != 200 {
				t.Error("two are alike")
			}
		}
	})
	t.Run("a uuid of version 7 carries the time of its row", func(t *testing.T) {
		p := columns("{name: x, generate: uuid, version: 7, time: c}", "{name: c, generate: timestamp, step: 1h}")
		all(t, made(t, p, 0, "x"), func(i int, text string) bool {
			ms, err := strconv.ParseInt(strings.ReplaceAll(text[:13], "-", ""), 16, 64)
			return err == nil && ms == clock.Add(-time.Duration(i)*time.Hour).UnixMilli()
		})
	})
	t.Run("sequence counts", func(t *testing.T) {
		all(t, made(t, columns("{name: x, generate: sequence, start: 100, step: -3}"), 0, "x"), func(i int, text string) bool {
			return text == strconv.Itoa(100-3*i)
		})
	})
	t.Run("int keeps its bounds and reaches them", func(t *testing.T) {
		texts := made(t, columns("{name: x, generate: int, min: -2, max: 2}"), 0, "x")
		slices.Sort(texts)
		if got := slices.Compact(texts); len(got) != 5 || !slices.Contains(got, "-2") || !slices.Contains(got, "2") {
			t.Errorf("values %v", got)
		}
	})
	t.Run("choice follows its weights", func(t *testing.T) {
		count := map[string]int{}
		for _, text := range made(t, columns("{name: x, generate: choice, values: [a, 2, true, null, never], weights: [100, 50, 40, 10, 0]}"), 0, "x") {
			count[text]++
		}
		if count["a"] < 70 || count["2"] < 25 || count["true"] < 20 || count["null"] == 0 || count["never"] != 0 {
			t.Errorf("counts %v", count)
		}
	})
	t.Run("constant is always the same", func(t *testing.T) {
		all(t, made(t, columns("{name: x, generate: constant, value: 1.50}"), 0, "x"), func(_ int, text string) bool { return text == "1.5" })
		all(t, made(t, columns("{name: x, generate: constant}"), 0, "x"), func(_ int, text string) bool { return text == "null" })
	})
	t.Run("words, sentences and paragraphs look like it", func(t *testing.T) {
		all(t, made(t, columns("{name: x, generate: words, min: 2, max: 4, from: [ä, b]}"), 0, "x"), func(_ int, text string) bool {
			return regexp.MustCompile(`^[äb]( [äb]){1,3}$`).MatchString(text)
		})
		form := regexp.MustCompile(`^([A-Z][a-z]*( [a-z]+)*\.)( [A-Z][a-z]*( [a-z]+)*\.)*$`)
		all(t, made(t, columns("{name: x, generate: sentence, min: 3, max: 3}"), 0, "x"), func(_ int, text string) bool {
			return form.MatchString(text) && len(strings.Fields(text)) == 3
		})
		all(t, made(t, columns("{name: x, generate: paragraph, min: 2, max: 3}"), 0, "x"), func(_ int, text string) bool {
			dots := strings.Count(text, ".")
			return form.MatchString(text) && dots >= 2 && dots <= 3
		})
	})
	t.Run("timestamp goes back from the clock", func(t *testing.T) {
		all(t, made(t, columns("{name: x, generate: timestamp, step: 1h, jitter: 30m}"), 0, "x"), func(i int, text string) bool {
			latest := clock.Add(-time.Duration(i) * time.Hour)
			return !at(text).After(latest) && !at(text).Before(latest.Add(-30*time.Minute))
		})
	})
	t.Run("timestamp after another stays between it and the clock", func(t *testing.T) {
		p := columns("{name: x, generate: timestamp, after: c, within: 10h}", "{name: c, generate: timestamp, step: 1h, nulls: 0.1}")
		from := made(t, p, 0, "c")
		all(t, made(t, p, 0, "x"), func(i int, text string) bool {
			if from[i] == "null" {
				return text == "null"
			}
			return !at(text).Before(at(from[i])) && !at(text).After(clock) && at(text).Sub(at(from[i])) <= 10*time.Hour
		})
	})
	t.Run("template joins columns, hidden ones and the row's number too", func(t *testing.T) {
		p := columns(`{name: x, generate: template, text: "{n}: {a}-{b}-{c}."}`, "{name: a, generate: constant, value: hi, hidden: true}",
			"{name: b, generate: constant}", "{name: c, generate: timestamp}")
		all(t, made(t, p, 0, "x"), func(i int, text string) bool {
			return text == strconv.Itoa(i+1)+": hi--2026-01-15T09:00:00.000000Z."
		})
	})
	t.Run("count_words counts", func(t *testing.T) {
		p := columns("{name: x, generate: count_words, of: b}", "{name: b, generate: words, min: 1, max: 9, nulls: 0.2}")
		words := made(t, p, 0, "b")
		all(t, made(t, p, 0, "x"), func(i int, text string) bool {
			if words[i] == "null" {
				return text == "null"
			}
			return text == strconv.Itoa(len(strings.Fields(words[i])))
		})
	})
	t.Run("ref takes values of the other table, which comes first", func(t *testing.T) {
		p := mustProfile(t, `clock: 2026-01-15T09:00:00Z
tables:
  - table: child
    rows: 200
    columns:
      - {name: any, generate: ref, table: parent, column: id}
      - {name: each, generate: ref, table: parent, column: id, pick: each}
      - {name: none, generate: ref, table: orphan, column: id}
  - {table: parent, rows: 5, columns: [{name: id, generate: uuid}]}
  - {table: orphan, rows: 0, columns: [{name: id, generate: uuid}]}
`)
		if p.tables[0].name != "parent" || p.tables[2].name != "child" {
			t.Fatalf("order %s, %s, %s", p.tables[0].name, p.tables[1].name, p.tables[2].name)
		}
		parents := made(t, p, 0, "id")
		seen := map[string]bool{}
		all(t, made(t, p, 2, "any"), func(_ int, text string) bool { seen[text] = true; return slices.Contains(parents, text) })
		if len(seen) != 5 {
			t.Errorf("%d of 5 parents have children", len(seen))
		}
		all(t, made(t, p, 2, "each"), func(i int, text string) bool { return text == parents[i%5] })
		all(t, made(t, p, 2, "none"), func(_ int, text string) bool { return text == "null" })
	})
}

func TestVocabulary(t *testing.T) {
	t.Run("it has plain words in order, each once", func(t *testing.T) {
		words := wordList()
		if !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words) {
			for i := 1; i < len(words); i++ {
				if words[i] <= words[i-1] {
					t.Errorf("%s after %s", words[i], words[i-1])
				}
			}
		}
		for _, w := range words {
			if strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
				t.Errorf("%q is not plain", w)
			}
		}
	})
}
