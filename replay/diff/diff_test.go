package diff_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/diff"
)

func response(status int, body string, header ...string) replay.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return replay.Response{Status: status, Header: h, Body: replay.Body{State: replay.Full, Size: int64(len(body)), Bytes: []byte(body)}}
}

// brief writes differences as "kind path".
func brief(r diff.Result) string {
	var all []string
	for _, d := range r.Differences {
		all = append(all, d.Kind+" "+d.Path)
	}
	return strings.Join(all, ", ")
}

func volatile(r diff.Result) string {
	var all []string
	for _, v := range r.Volatile {
		all = append(all, v.Class+" "+v.Path)
	}
	return strings.Join(all, ", ")
}

func compare(was, is string) diff.Result {
	return diff.Compare(response(200, was), []replay.Response{response(200, is)}, diff.Options{})
}

func TestJSONBodies(t *testing.T) {
	for name, c := range map[string]struct{ was, is, want string }{
		"the same":                         {`{"a":1}`, `{"a":1}`, ""},
		"another order of fields":          {`{"a":1,"b":2}`, ` {"b":2, "a":1} `, ""},
		"other escapes":                    {`{"a":"é/"}`, `{"a":"\u00e9\/"}`, ""},
		"a value":                          {`{"a":{"b":"x"}}`, `{"a":{"b":"y"}}`, "value $.a.b"},
		"a boolean":                        {`{"a":true}`, `{"a":false}`, "value $.a"},
		"integers past 2^53":               {`{"id":9007199254740993}`, `{"id":9007199254740992}`, "value $.id"},
		"integers past 2^64":               {`[123456789012345678901234567890]`, `[123456789012345678901234567891]`, "value $[0]"},
		"forms of a number":                {`[1,100,-0,1.50,2e3]`, `[1.0,1e2,0,15E-1,2000]`, ""},
		"a tiny part of a number":          {`[0.1]`, `[0.10000000000000000001]`, "value $[0]"},
		"numbers that would take years":    {`[1e999999999999,1e99999999999999999999]`, `[1e999999999998,1e99999999999999999999]`, "value $[0]"},
		"a sign":                           {`[1]`, `[-1]`, "value $[0]"},
		"a type":                           {`{"a":1}`, `{"a":"1"}`, "type $.a"},
		"null":                             {`{"a":null}`, `{"a":0}`, "type $.a"},
		"an object for an array":           {`{"a":{}}`, `{"a":[]}`, "type $.a"},
		"a missing field":                  {`{"a":1,"b":2}`, `{"a":1}`, "missing $.b"},
		"a missing field that is null":     {`{"a":null}`, `{}`, "missing $.a"},
		"an added field":                   {`{}`, `{"a.b":1}`, "added $['a.b']"},
		"odd names":                        {`{"it's":1,"":2,"a-b":3}`, `{"it's":2,"":3,"a-b":4}`, "value $[''], value $.a-b, value $['it\\'s']"},
		"an element that came":             {`[1,2,3]`, `[1,9,2,3]`, "added $[1]"},
		"an element that went":             {`["a","b","c"]`, `["a","c"]`, "missing $[1]"},
		"an element that changed":          {`["a","b","c"]`, `["a","x","c"]`, "value $[1]"},
		"the order of elements":            {`[1,2,3]`, `[3,1,2]`, "order $"},
		"the size of a large array":        {`[]`, "[" + strings.Repeat("1,", 50) + "1]", "size $"},
		"a field of a keyed element":       {`[{"id":1,"v":1},{"id":2,"v":2}]`, `[{"id":1,"v":1},{"id":2,"v":3}]`, "value $[1].v"},
		"keyed elements after one":         {`[{"id":1,"v":1},{"id":2,"v":2}]`, `[{"id":7,"v":0},{"id":1,"v":1},{"id":2,"v":2}]`, "added $[0]"},
		"the order of keyed elements":      {`[{"id":1},{"id":2}]`, `[{"id":2},{"id":1}]`, "order $"},
		"a keyed element that went":        {`[{"name":"a"},{"name":"b"}]`, `[{"name":"b"}]`, "missing $[0]"},
		"keys of another type":             {`[{"id":1,"v":1}]`, `[{"id":"1","v":1}]`, "type $[0].id"},
		"ids that are new each time":       {`[{"id":"a","v":1}]`, `[{"id":"b","v":1}]`, "value $[0].id"},
		"ids that are not unique":          {`[{"id":1,"v":1},{"id":1,"v":2}]`, `[{"id":1,"v":1},{"id":1,"v":3}]`, "value $[1].v"},
		"several values":                   {"{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":3}\n", "value $[1].a"},
		"nothing at all":                   {``, `{"a":1}`, "body body"},
		"broken JSON":                      {`{"a":1}`, `{"a":1`, "body body"},
		"JSON that is broken and the same": {`{"a":`, `{"a":`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := compare(c.was, c.is)
			if got := brief(r); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if r.Same != (c.want == "") {
				t.Errorf("same is %t", r.Same)
			}
		})
	}
	t.Run("values keep every digit", func(t *testing.T) {
		d := compare(`{"id":9007199254740993}`, `{"id":9007199254740992}`).Differences[0]
		if fmt.Sprintf("%v %v", d.Recorded, d.Replayed) != "9007199254740993 9007199254740992" {
			t.Errorf("%+v", d)
		}
		encoded, err := json.Marshal(d)
		if want := `{"path":"$.id","kind":"value","recorded":9007199254740993,"replayed":9007199254740992}`; string(encoded) != want || err != nil {
			t.Errorf("%s, %v", encoded, err)
		}
	})
}

func TestStatusAndHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		was, is replay.Response
		want    string
	}{
		"a status":                   {response(200, ""), response(500, ""), "status status"},
		"a content type":             {response(200, ""), response(200, "", "Content-Type", "text/html"), "header header.content-type"},
		"the spelling of one":        {response(200, "", "Content-Type", "application/json; charset=UTF-8"), response(200, "", "Content-Type", "application/json;charset=utf-8"), ""},
		"a header that went":         {response(200, "", "Location", "/a"), response(200, ""), "header header.location"},
		"a header that came":         {response(200, ""), response(200, "", "Retry-After", "5"), "header header.retry-after"},
		"the order of a list":        {response(200, "", "Allow", "GET, PUT"), response(200, "", "Allow", "put,get"), ""},
		"a header that says nothing": {response(200, "", "Date", "a", "X-Trace-Id", "b", "Content-Length", "1"), response(200, "", "Date", "c", "X-Trace-Id", "d"), ""},
		"a gRPC status":              {replay.Response{Status: 200, Trailer: http.Header{"Grpc-Status": {"0"}}}, replay.Response{Status: 200, Trailer: http.Header{"Grpc-Status": {"5"}}}, "header trailer.grpc-status"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := brief(diff.Compare(c.was, []replay.Response{c.is}, diff.Options{})); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("more headers can be asked for", func(t *testing.T) {
		r := diff.Compare(response(200, "", "X-Mine", "a"), []replay.Response{response(200, "", "X-Mine", "b")}, diff.Options{Headers: []string{"x-mine"}})
		if brief(r) != "header header.x-mine" {
			t.Errorf("%+v", r)
		}
	})
}

func TestOtherBodies(t *testing.T) {
	plain := func(body string) replay.Response { return response(200, body, "Content-Type", "text/plain") }
	t.Run("a text says where it differs", func(t *testing.T) {
		r := diff.Compare(plain("one\ntwo\nthree"), []replay.Response{plain("one\ntwx\nthree")}, diff.Options{})
		if brief(r) != "body body" || !strings.Contains(fmt.Sprint(r.Differences[0].Recorded), "line 2 column 3") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("binary is shown in hex", func(t *testing.T) {
		r := diff.Compare(plain("\xff\xfe"), []replay.Response{plain("\xff\xfd")}, diff.Options{})
		if brief(r) != "body body" || !strings.Contains(fmt.Sprint(r.Differences[0].Recorded), "fffe") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a text that differs each time is volatile", func(t *testing.T) {
		r := diff.Compare(plain("a 1"), []replay.Response{plain("a 2"), plain("a 3")}, diff.Options{})
		if !r.Same || volatile(r) != "text body" {
			t.Errorf("%+v", r)
		}
	})
	part := func(state replay.BodyState, body string) replay.Response {
		r := response(200, body)
		r.Body.State = state
		return r
	}
	for name, c := range map[string]struct {
		was, is replay.Response
		want    string
	}{
		"a part that is the same":        {part(replay.Truncated, `{"a":1,"b`), part(replay.Full, `{"a":1,"b":2}`), ""},
		"a part that is not":             {part(replay.Truncated, `{"a":1,"b`), part(replay.Full, `{"a":2,"b":2}`), "body body"},
		"a part up to a pseudonym":       {part(replay.Truncated, `{"a":1,"[redacted:0123abcd]"`), part(replay.Full, `{"a":1,"bcd":2}`), ""},
		"a part that is longer than all": {part(replay.Truncated, `{"a":1,"b":2`), part(replay.Full, `{"a":1}`), "body body"},
		"an answer that was cut off":     {part(replay.Full, `{"a":1}`), part(replay.Aborted, `{"a"`), ""},
		"a connection that left HTTP":    {part(replay.Upgraded, ``), part(replay.Full, `x`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := diff.Compare(c.was, []replay.Response{c.is}, diff.Options{})
			if got := brief(r); got != c.want || len(r.Notes) == 0 && c.want == "" {
				t.Errorf("got %q, want %q; notes %q", got, c.want, r.Notes)
			}
		})
	}
	t.Run("a body that was not kept cannot differ, and that is said", func(t *testing.T) {
		was := response(200, "")
		was.Body.Omitted = "it is binary"
		r := diff.Compare(was, []replay.Response{response(200, "x")}, diff.Options{})
		if !r.Same || len(r.Volatile) != 1 || !strings.Contains(r.Volatile[0].Why, "binary") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("no replay at all is not the same", func(t *testing.T) {
		if r := diff.Compare(response(200, ""), nil, diff.Options{}); r.Same || len(r.Notes) == 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestIgnore(t *testing.T) {
	was, is := response(200, `{"a":[{"x":1,"y":{"z":1}}],"ab":1}`), response(200, `{"a":[{"x":2,"y":{"z":2}}],"ab":2}`)
	for pattern, want := range map[string]string{
		"$.a[*].x":   "value $.a[0].y.z, value $.ab",
		"$.a[*].y":   "value $.a[0].x, value $.ab",
		"$.a[0]":     "value $.ab",
		"$.a":        "value $.ab",
		"$.ab":       "value $.a[0].x, value $.a[0].y.z",
		"$.a[*].x.q": "value $.a[0].x, value $.a[0].y.z, value $.ab",
		"$":          "",
	} {
		if got := brief(diff.Compare(was, []replay.Response{is}, diff.Options{Ignore: []string{pattern}})); got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}
