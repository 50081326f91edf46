package console

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestRenderLog(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{
			"time, level, logger, message, fields in their order, ids last",
			`{"level":"info","ts":"2026-03-01T12:34:56.789123Z","logger":"http","msg":"note created","service":"notes","env":"dev","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","request_id":"r-1","status":201,"route":"/api/v1/notes"}`,
			`12:34:56.789 INFO  http: note created status=201 route=/api/v1/notes request_id=r-1 trace_id=4bf92f3577b34da6a3ce929d0e0e4736`,
		},
		{"the error comes first", `{"level":"error","msg":"failed","a":1,"error":"dial tcp: refused"}`, `ERROR failed error="dial tcp: refused" a=1`},
		{"seconds since 1970", `{"level":"debug","ts":1772368496.789123,"msg":"x"}`, `12:34:56.789 DEBUG x`},
		{"zap's ISO 8601", `{"level":"warn","ts":"2026-03-01T13:34:56.789+0100","msg":"x"}`, `12:34:56.789 WARN  x`},
		{"a time that is none", `{"level":"info","ts":"soon","msg":"x"}`, `INFO  x`},
		{"durations are short", `{"level":"info","msg":"x","took":"1.234567891s","short":"56.789µs","long":"1h2m3.9s","none":"0s"}`,
			`INFO  x took=1.23s short=56.8µs long=1h2m4s none=0s`},
		{"numbers keep each digit", `{"level":"info","msg":"x","n":9007199254740993,"f":1.50}`, `INFO  x n=9007199254740993 f=1.50`},
		{"objects stay JSON", `{"level":"info","msg":"x","o":{"a":[1,null]},"t":true,"z":null}`, `INFO  x o={"a":[1,null]} t=true z=null`},
		{"blanks, quotes and nothing are quoted", `{"level":"info","msg":"x","a":"b c","q":"say \"hi\"","e":"","eq":"a=b"}`,
			`INFO  x a="b c" q="say \"hi\"" e="" eq="a=b"`},
		{"the later of two values", `{"level":"info","msg":"x","a":1,"b":2,"a":3}`, `INFO  x a=3 b=2`},
		{"a stack follows, indented", `{"level":"error","msg":"x","a":1,"stack":"main.f\n\t/x.go:1\nmain.g\n"}`,
			"ERROR x a=1\n    main.f\n    \t/x.go:1\n    main.g"},
		{"an error of several lines follows", `{"level":"error","msg":"x","error":"two\nlines","a":1}`, "ERROR x a=1\n    error:\n    two\n    lines"},
		{"a message of several lines is indented", `{"level":"info","msg":"one\ntwo"}`, "INFO  one\n    two"},
		{"escape sequences are shown, not obeyed", `{"level":"info","msg":"a\u001b[2Jb\u001b]0;title\u0007","k\u001b[1A":"v\u001bc\u009b"}`,
			`INFO  a\x1b[2Jb\x1b]0;title\x07 k\x1b[1A=v\x1bc\x9b`},
		{"text is not reordered", `{"level":"info","msg":"a\u202eb\u2066c"}`, `INFO  a\u202eb\u2066c`},
		{"no JSON stays as it is", `2026/03/01 starting on :8080`, `2026/03/01 starting on :8080`},
		{"colours of others go", "\x1b[31mred\x1b[0m and \x1b[1;32mgreen\x1b[m", "red and green"},
		{"commands of others are shown", "a\x1b[2Jb\rc\x00\xff", `a\x1b[2Jb\x0dc\x00\xff`},
		{"JSON that is no log line stays", `{"a":1}`, `{"a":1}`},
		{"JSON with something after it stays", `{"level":"info","msg":"x"} y`, `{"level":"info","msg":"x"} y`},
		{"broken JSON stays", `{"level":"info","msg":"x"`, `{"level":"info","msg":"x"`},
		{"an array stays", `[1,2]`, `[1,2]`},
		{"no level", `{"msg":"x"}`, `      x`},
		{"a level of another type", `{"level":30,"msg":"x"}`, `30    x`},
		{"nothing", ``, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := RenderLog([]byte(c.line), LogOptions{Zone: time.UTC}); got != c.want {
				t.Fatalf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}

	t.Run("colour paints and says the same", func(t *testing.T) {
		line := []byte(`{"level":"error","ts":"2026-03-01T12:34:56.789Z","msg":"x","error":"e","a":1}`)
		plain, painted := RenderLog(line, LogOptions{Zone: time.UTC}), RenderLog(line, LogOptions{Zone: time.UTC, Color: true})
		if plain == painted || clean(painted) != plain {
			t.Fatalf("plain %q, painted %q", plain, painted)
		}
	})
}

func TestPrefix(t *testing.T) {
	if got := Prefix("server", 8, false); got != "server   |" {
		t.Fatalf("got %q", got)
	}
	if got := Prefix("größer", 8, false); got != "größer   |" {
		t.Fatalf("got %q", got)
	}
	if got := Prefix("longer-than-that", 8, false); got != "longer-than-that |" {
		t.Fatalf("got %q", got)
	}
	if a := Prefix("server", 8, true); a != Prefix("server", 8, true) || clean(a) != "server   |" {
		t.Fatalf("got %q", a)
	}
}

func FuzzRenderLog(f *testing.F) {
	for _, seed := range []string{
		`{"level":"info","ts":1e300,"msg":"x","a":"\u001b[31m"}`, `{"msg":"\ud800","level":{}}`, "\x1b[", "\x1b[;m", "{}", "\xc2\x9b", `{"ts":-1,"level":"","msg":"","took":"1ns"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got := RenderLog(line, LogOptions{Zone: time.UTC})
		if !utf8.ValidString(got) {
			t.Fatalf("not UTF-8: %q", got)
		}
		for _, r := range got {
			if unicode.IsControl(r) && r != '\t' && r != '\n' || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q commands the terminal", got)
			}
		}
		if strings.HasSuffix(got, "\r") {
			t.Fatalf("%q ends in a line break", got)
		}
	})
}
