package diff_test

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/diff"
)

func TestBounds(t *testing.T) {
	deep := func(inner string) string { return strings.Repeat("[", 100_000) + inner + strings.Repeat("]", 100_000) }
	t.Run("a body that is too deep is compared as text, and that is said", func(t *testing.T) {
		r := compare(deep("1"), deep("2"))
		if brief(r) != "body body" || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "500 levels") {
			t.Errorf("%s %q", brief(r), r.Notes)
		}
	})
	t.Run("and one with too many values", func(t *testing.T) {
		many := func(last string) string { return "[" + strings.Repeat("1,", 600_000) + last + "]" }
		r := compare(many("1"), many("2"))
		if brief(r) != "body body" || len(r.Notes) != 1 {
			t.Errorf("%s %q", brief(r), r.Notes)
		}
	})
	t.Run("the list of differences has an end", func(t *testing.T) {
		numbers := func(from int) string {
			var all []int
			for i := range 50_000 {
				all = append(all, from+i*10)
			}
			b, _ := json.Marshal(all)
			return string(b)
		}
		r := compare(numbers(1), numbers(2))
		if len(r.Differences) != 200 || r.Same || len(r.Notes) != 1 {
			t.Errorf("%d, %q", len(r.Differences), r.Notes)
		}
	})
	t.Run("the result of nothing is empty lists, for JSON", func(t *testing.T) {
		b, err := json.Marshal(compare("{}", "{}"))
		if want := `{"same":true,"differences":[],"volatile":[]}`; string(b) != want || err != nil {
			t.Errorf("%s, %v", b, err)
		}
	})
}

func FuzzCompare(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `[1,2,{"id":3}]`, `"x"`, `{"a":"[redacted:0123abcd]"}`, `[[[[`, `1e9999999999`, "\x00", `{"a":1}{"a":2}`} {
		f.Add([]byte(seed), []byte(seed), []byte(`{"b":2}`))
		f.Add([]byte(seed), []byte(`{"a":[3,2,1]}`), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, was, is, again []byte) {
		a, b, c := response(200, string(was)), response(200, string(is)), response(200, string(again))
		if r := diff.Compare(a, []replay.Response{a}, diff.Options{}); !r.Same {
			t.Errorf("%q differs from itself: %+v", was, r)
		}
		there := diff.Compare(a, []replay.Response{b}, diff.Options{Strict: true})
		back := diff.Compare(b, []replay.Response{a}, diff.Options{Strict: true})
		if !strings.Contains(string(was)+string(is), "[redacted:") && there.Same != back.Same {
			t.Errorf("%q and %q: there %+v, back %+v", was, is, there, back)
		}
		r := diff.Compare(a, []replay.Response{b, c}, diff.Options{})
		if r.Same != (len(r.Differences) == 0) {
			t.Errorf("%+v", r)
		}
		var text strings.Builder
		if err := diff.Text(&text, r, diff.Style{}); err != nil || strings.ContainsAny(text.String(), "\x00\x1b\r") {
			t.Errorf("%q, %v", text.String(), err)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}
