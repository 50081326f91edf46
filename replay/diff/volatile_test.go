package diff_test

import (
	"testing"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/diff"
)

const (
	uuidA = "018f4e0a-1111-4222-8333-444455556666"
	uuidB = "018f4e0a-1111-4222-8333-000000000000"
	hexA  = "4bf92f3577b34da6a3ce929d0e0e4736"
	hexB  = "0af7651916cd43dd8448eb211c80319c"
)

func TestVolatileByShape(t *testing.T) {
	for name, c := range map[string]struct{ was, is, want, left string }{
		"UUIDs":                   {`{"id":"` + uuidA + `"}`, `{"id":"` + uuidB + `"}`, "uuid $.id", ""},
		"ULIDs":                   {`{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}`, `{"id":"01BX5ZZKBKACTAV9WEVGEMMVRZ"}`, "ulid $.id", ""},
		"times":                   {`{"t":"2026-01-02T15:04:05Z"}`, `{"t":"2026-03-02T15:04:05.123+01:00"}`, "timestamp $.t", ""},
		"times as numbers":        {`{"created_at":1767366245123}`, `{"created_at":1767366299999}`, "timestamp $.created_at", ""},
		"trace ids":               {`{"meta":{"trace_id":"` + hexA + `"}}`, `{"meta":{"trace_id":"` + hexB + `"}}`, "trace_id $.meta.trace_id", ""},
		"tokens":                  {`{"x":"eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln"}`, `{"x":"eyJhbGciOiJIUzI1NiJ9.eyJhIjoyfQ.c2lo"}`, "token $.x", ""},
		"links with a UUID":       {`{"self":"/notes/` + uuidA + `?x=1"}`, `{"self":"/notes/` + uuidB + `?x=1"}`, "uuid $.self", ""},
		"hashes":                  {`{"sum":"` + hexA + `"}`, `{"sum":"` + hexB + `"}`, "", "value $.sum"},
		"numbers of that size":    {`{"count":1767366245}`, `{"count":1767366299}`, "", "value $.count"},
		"a UUID that is none":     {`{"id":"` + uuidA + `"}`, `{"id":"none"}`, "", "value $.id"},
		"a UUID that went":        {`{"id":"` + uuidA + `"}`, `{}`, "", "missing $.id"},
		"other links with a UUID": {`{"self":"/notes/` + uuidA + `"}`, `{"self":"/users/` + uuidB + `"}`, "", "value $.self"},
		"counters":                {`{"n":1}`, `{"n":2}`, "", "value $.n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := compare(c.was, c.is)
			if volatile(r) != c.want || brief(r) != c.left {
				t.Errorf("volatile %q, want %q; differences %q, want %q", volatile(r), c.want, brief(r), c.left)
			}
			strict := diff.Compare(response(200, c.was), []replay.Response{response(200, c.is)}, diff.Options{Strict: true})
			if strict.Same || volatile(strict) != "" {
				t.Errorf("strict: %+v", strict)
			}
		})
	}
	t.Run("an id that was asked for is an answer", func(t *testing.T) {
		for _, request := range []replay.Request{
			{URL: "/notes/" + uuidA},
			{URL: "/notes", Body: replay.Body{Bytes: []byte(`{"parent":"` + uuidA + `"}`)}},
		} {
			r := diff.Compare(response(200, `{"id":"`+uuidA+`"}`), []replay.Response{response(200, `{"id":"`+uuidB+`"}`)}, diff.Options{Request: &request})
			if brief(r) != "value $.id" {
				t.Errorf("%+v", r)
			}
		}
	})
	t.Run("a Location with a new id is volatile", func(t *testing.T) {
		r := diff.Compare(response(201, "", "Location", "/notes/"+uuidA), []replay.Response{response(201, "", "Location", "/notes/"+uuidB)}, diff.Options{})
		if !r.Same || volatile(r) != "uuid header.location" {
			t.Errorf("%+v", r)
		}
	})
}

func TestVolatileByLearning(t *testing.T) {
	learn := func(was string, replayed ...string) diff.Result {
		var all []replay.Response
		for _, body := range replayed {
			all = append(all, response(200, body))
		}
		return diff.Compare(response(200, was), all, diff.Options{Strict: true})
	}
	for name, c := range map[string]struct {
		r          diff.Result
		want, left string
	}{
		"a counter":                      {learn(`{"n":3}`, `{"n":7}`, `{"n":8}`, `{"n":9}`), "counter $.n", ""},
		"a text":                         {learn(`{"s":"a"}`, `{"s":"b"}`, `{"s":"c"}`), "text $.s", ""},
		"only what differs each time":    {learn(`{"n":3,"m":1}`, `{"n":7,"m":2}`, `{"n":8,"m":2}`), "counter $.n", "value $.m"},
		"only that place and none below": {learn(`{"a":{"n":1,"m":1}}`, `{"a":{"n":2,"m":2}}`, `{"a":{"n":3,"m":2}}`), "counter $.a.n", "value $.a.m"},
		"not what was of another type":   {learn(`{"n":"x"}`, `{"n":7}`, `{"n":8}`), "", "type $.n"},
		"not what was of another kind":   {learn(`{"id":"none"}`, `{"id":"`+uuidA+`"}`, `{"id":"`+uuidB+`"}`), "", "value $.id"},
		"nothing that is the same":       {learn(`{"n":3}`, `{"n":3}`, `{"n":4}`), "", ""},
		"elements of arrays":             {learn(`[{"v":1},{"v":1}]`, `[{"v":2},{"v":5}]`, `[{"v":3},{"v":5}]`), "counter $[0].v", "value $[1].v"},
	} {
		t.Run(name, func(t *testing.T) {
			if volatile(c.r) != c.want || brief(c.r) != c.left {
				t.Errorf("volatile %q, want %q; differences %q, want %q", volatile(c.r), c.want, brief(c.r), c.left)
			}
		})
	}
	t.Run("a status that changes each time is a difference all the same", func(t *testing.T) {
		r := diff.Compare(response(200, ""), []replay.Response{response(500, ""), response(503, "")}, diff.Options{})
		if brief(r) != "status status" {
			t.Errorf("%+v", r)
		}
	})
}

func TestRedactedValues(t *testing.T) {
	for name, c := range map[string]struct{ was, is, want, left string }{
		"a value":                {`{"token":"[redacted:0123abcd]"}`, `{"token":"real"}`, "redacted $.token", ""},
		"a tree":                 {`{"tokens":"[redacted:0123abcd]"}`, `{"tokens":{"a":1}}`, "redacted $.tokens", ""},
		"a part of a value":      {`{"dsn":"pg://u:[redacted:0123abcd]@h/d"}`, `{"dsn":"pg://u:real@h/d"}`, "redacted $.dsn", ""},
		"a part of another":      {`{"dsn":"pg://u:[redacted:0123abcd]@h/d"}`, `{"dsn":"pg://u:real@other/d"}`, "", "value $.dsn"},
		"a value that went away": {`{"token":"[redacted:0123abcd]"}`, `{}`, "", "missing $.token"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := compare(c.was, c.is); volatile(r) != c.want || brief(r) != c.left {
				t.Errorf("volatile %q, want %q; differences %q, want %q", volatile(r), c.want, brief(r), c.left)
			}
		})
	}
	t.Run("a header", func(t *testing.T) {
		r := diff.Compare(response(302, "", "Location", "/cb?token=[redacted:0123abcd]"),
			[]replay.Response{response(302, "", "Location", "/cb?token=real")}, diff.Options{})
		if !r.Same || volatile(r) != "redacted header.location" {
			t.Errorf("%+v", r)
		}
	})
}
