package diff_test

import (
	"os"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/diff"
)

// Two replays teach what changes from run to run; the rest is a difference.
func ExampleCompare() {
	recorded := response(200, `{"data":{"id":9007199254740993,"views":41,"title":"a note"}}`)
	first := response(200, `{"data":{"id":9007199254740992,"views":50,"title":"a note"}}`)
	second := response(200, `{"data":{"id":9007199254740992,"views":51,"title":"a note"}}`)
	result := diff.Compare(recorded, []replay.Response{first, second}, diff.Options{})
	if err := diff.Text(os.Stdout, result, diff.Style{}); err != nil {
		panic(err)
	}
	// Output:
	// different: 1 difference, leaving out 1 volatile place
	//   kind   path       recorded          replayed
	//   value  $.data.id  9007199254740993  9007199254740992
	//
	//   volatile      class    why
	//   $.data.views  counter  differs between the 2 replays
}
