package diff_test

import (
	"reflect"
	"strings"
	"testing"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/diff"
)

func TestText(t *testing.T) {
	r := diff.Compare(
		response(201, `{"data":{"id":"018f4e0a-1111-4222-8333-444455556666","title":"a","n":9007199254740993}}`),
		[]replay.Response{response(409, `{"data":{"id":"018f4e0a-1111-4222-8333-000000000000","title":"<b>\u001b[31m`+strings.Repeat("long", 50)+`","n":9007199254740992}}`)},
		diff.Options{})
	var b strings.Builder
	if err := diff.Text(&b, r, diff.Style{}); err != nil {
		t.Fatal(err)
	}
	want := `different: 3 differences, leaving out 1 volatile place
  kind    path          recorded          replayed
  status  status        201               409
  value   $.data.n      9007199254740993  9007199254740992
  value   $.data.title  "a"               "<b>\u001b[31mlonglonglonglonglonglonglonglonglonglonglon...

  volatile   class  why
  $.data.id  uuid   both values have this shape
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
	t.Run("colour is added around what is there", func(t *testing.T) {
		star := func(s string) string { return "*" + s + "*" }
		var c strings.Builder
		if err := diff.Text(&c, r, diff.Style{Heading: star, Path: star, Recorded: star, Replayed: star, Dim: star}); err != nil {
			t.Fatal(err)
		}
		if strings.ReplaceAll(c.String(), "*", "") != want {
			t.Errorf("%s", c.String())
		}
	})
	t.Run("the same says so", func(t *testing.T) {
		var c strings.Builder
		if err := diff.Text(&c, compare("{}", "{}"), diff.Style{}); err != nil || c.String() != "same\n" {
			t.Errorf("%q, %v", c.String(), err)
		}
	})
	if !reflect.DeepEqual(r, diff.Compare(
		response(201, `{"data":{"id":"018f4e0a-1111-4222-8333-444455556666","title":"a","n":9007199254740993}}`),
		[]replay.Response{response(409, `{"data":{"id":"018f4e0a-1111-4222-8333-000000000000","title":"<b>\u001b[31m`+strings.Repeat("long", 50)+`","n":9007199254740992}}`)},
		diff.Options{})) {
		t.Error("a second comparison gives another result")
	}
}
