package replay_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/replay"
)

func sample() *replay.Exchange {
	return &replay.Exchange{
		ID: "4bf92f35-00f067aa", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SpanID: "00f067aa0ba902b7",
		RequestID: "r-1", Time: time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.UTC), Duration: 1500 * time.Microsecond,
		Service: "notes",
		Request: replay.Request{
			Method: "POST", URL: "/api/v1/notes?draft=1", Host: "localhost:8080", Proto: "HTTP/1.1", Route: "/api/v1/notes",
			Header: http.Header{"Content-Type": {"application/json"}, "X-Many": {"a", "b"}},
			Body:   replay.Body{State: replay.Full, Size: 31, Bytes: []byte("{\"title\":\"größer \\u0041\x01\ttab\"}")},
		},
		Response: replay.Response{
			Status: 201, Header: http.Header{"Location": {"/api/v1/notes/1"}},
			Body:    replay.Body{State: replay.Truncated, Size: 900, Bytes: []byte{0xff, 0x00, 'x'}},
			Trailer: http.Header{"Grpc-Status": {"0"}},
		},
		Redacted: []string{"request.header.authorization"},
	}
}

func TestExchangeJSON(t *testing.T) {
	t.Run("a round trip keeps everything", func(t *testing.T) {
		want := sample()
		line := want.AppendJSON(nil)
		if bytes.ContainsAny(line, "\n\r") {
			t.Fatalf("the line has a line break: %s", line)
		}
		var got replay.Exchange
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("got  %+v\nwant %+v", &got, want)
		}
	})
	t.Run("text bodies stay readable and others are base64", func(t *testing.T) {
		line := string(sample().AppendJSON(nil))
		for _, want := range []string{`"text":"{\"title\":\"größer `, `"base64":"/wB4"`, `{"v":1,"trace_id":"4bf9`} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
	})
	t.Run("the same header gives the same line", func(t *testing.T) {
		first := sample().AppendJSON(nil)
		for range 20 {
			if again := sample().AppendJSON(nil); !bytes.Equal(first, again) {
				t.Fatalf("%s\n%s", first, again)
			}
		}
	})
	t.Run("fields of a later version are ignored", func(t *testing.T) {
		var got replay.Exchange
		err := json.Unmarshal([]byte(`{"v":9,"trace_id":"a","new":{"x":[1]},"request":{"body":{"state":"full","size":2,"text":"hi","future":true}}}`), &got)
		if err != nil || string(got.Request.Body.Bytes) != "hi" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func FuzzExchangeJSON(f *testing.F) {
	f.Add("/p?q", "name", "value", []byte("body"))
	f.Add("\xff\u2028", "", "\x00\"\\", []byte{0xff})
	f.Fuzz(func(t *testing.T, url, name, value string, body []byte) {
		ex := &replay.Exchange{
			Request:  replay.Request{URL: url, Header: http.Header{name: {value}}, Body: replay.Body{State: replay.Full, Bytes: body}},
			Response: replay.Response{Header: http.Header{name: {value, value}}},
		}
		var got replay.Exchange
		if err := json.Unmarshal(ex.AppendJSON(nil), &got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Request.Body.Bytes, body) {
			t.Errorf("body %q became %q", body, got.Request.Body.Bytes)
		}
		if want := strings.ToValidUTF8(url, "\ufffd"); len(url) < 2 && got.Request.URL != want {
			t.Errorf("url %q became %q", url, got.Request.URL)
		}
	})
}

func TestNewID(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	t.Run("it is made of trace and span", func(t *testing.T) {
		if id, err := replay.NewID(trace, span, nil); id != "4bf92f35-00f067aa" || err != nil {
			t.Errorf("%q, %v", id, err)
		}
	})
	t.Run("without a trace it is random", func(t *testing.T) {
		if id, err := replay.NewID("", "", strings.NewReader("\x01\x02\x03\x04")); id != "00000000-01020304" || err != nil {
			t.Errorf("%q, %v", id, err)
		}
	})
	t.Run("a random source that fails is an error", func(t *testing.T) {
		if _, err := replay.NewID("", "", strings.NewReader("")); err == nil {
			t.Error("no error")
		}
	})
}

func TestParseTraceID(t *testing.T) {
	for text, want := range map[string]bool{
		"4bf92f3577b34da6a3ce929d0e0e4736":  true,
		"4BF92F3577B34DA6A3CE929D0E0E4736":  true,
		"00000000000000000000000000000000":  false,
		"4bf92f3577b34da6a3ce929d0e0e473":   false,
		"4bf92f3577b34da6a3ce929d0e0e473z":  false,
		"4bf92f3577b34da6a3ce929d0e0e47366": false,
		"":                                  false,
	} {
		if _, ok := replay.ParseTraceID(text); ok != want {
			t.Errorf("%q: %t, want %t", text, ok, want)
		}
	}
}

func zipped(t *testing.T, plain string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(plain)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	full := replay.Body{State: replay.Full, Bytes: zipped(t, strings.Repeat("hello ", 1000))}
	t.Run("gzip is undone", func(t *testing.T) {
		got, err := full.Decode("GZIP", 1<<20)
		if err != nil || len(got.Bytes) != 6000 || got.Decoded != "gzip" || got.State != replay.Full {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a bomb is cut at the limit", func(t *testing.T) {
		got, err := full.Decode("gzip", 100)
		if err != nil || len(got.Bytes) != 100 || got.State != replay.Truncated {
			t.Errorf("%d bytes, %s, %v", len(got.Bytes), got.State, err)
		}
	})
	t.Run("a part gives what its start gives", func(t *testing.T) {
		part := replay.Body{State: replay.Truncated, Bytes: full.Bytes[:len(full.Bytes)-10]}
		if got, err := part.Decode("gzip", 1<<20); err != nil || !strings.HasPrefix(string(got.Bytes), "hello ") {
			t.Errorf("%q, %v", got.Bytes, err)
		}
	})
	t.Run("garbage is an error and the body stays", func(t *testing.T) {
		garbage := replay.Body{State: replay.Full, Bytes: []byte("not gzip")}
		if got, err := garbage.Decode("gzip", 1<<20); err == nil || string(got.Bytes) != "not gzip" {
			t.Errorf("%q, %v", got.Bytes, err)
		}
	})
	t.Run("an unknown coding says so", func(t *testing.T) {
		if _, err := full.Decode("br", 1<<20); !errors.Is(err, replay.ErrCoding) {
			t.Errorf("%v", err)
		}
	})
}
