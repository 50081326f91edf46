package config

import (
	"strings"
	"testing"
)

func TestParseDotenv(t *testing.T) {
	for _, tc := range []struct{ fact, text, want string }{
		{"a bare value", "A=b", "b"},
		{"spaces around name and value", "  A = b c  ", "b c"},
		{"an export", "export A=b", "b"},
		{"no value", "A=", ""},
		{"a comment in place of a value", "A=# none", ""},
		{"a comment after a value", "A=b # note", "b"},
		{"a number sign inside a value", "A=b#c", "b#c"},
		{"an equals sign in the value", "A=b=c", "b=c"},
		{"a dollar sign is itself", "A=pa$SWORD${X}", "pa$SWORD${X}"},
		{"single quotes keep all", `A='b \n "c" # d'`, `b \n "c" # d`},
		{"double quotes have escapes", `A="b\n\"c\"\\\$ # d" # note`, "b\n\"c\"\\$ # d"},
		{"an escape that is none stays", `A="\d"`, `\d`},
		{"line ends of Windows", "A=b\r\n", "b"},
		{"the mark some editors begin with", "\xef\xbb\xbfA=b", "b"},
	} {
		t.Run(tc.fact, func(t *testing.T) {
			found, flaws := parseDotenv([]byte(tc.text))
			if len(flaws) > 0 || len(found) != 1 || found[0] != (assignment{"A", tc.want, 1}) {
				t.Errorf("found %+v, flaws %+v; want %q", found, flaws, tc.want)
			}
		})
	}
	for _, tc := range []struct{ fact, text, reason string }{
		{"a line without an equals sign", "A", "no equals sign"},
		{"a name with a dash", "A-B=c", "not a variable's name"},
		{"a name that begins with a digit", "1A=c", "not a variable's name"},
		{"no name", "=c", "not a variable's name"},
		{"an open double quote", `A="b`, "not closed"},
		{"an open single quote", `A='b`, "not closed"},
		{"text after the quote", `A="b"c`, "after the closing quote"},
		{"bytes that are no text", "A=\xff", "not text"},
		{"a NUL", "A=b\x00c", "not text"},
	} {
		t.Run(tc.fact+" is a flaw, and the next line is read", func(t *testing.T) {
			found, flaws := parseDotenv([]byte(tc.text + "\nB=c"))
			if len(flaws) != 1 || flaws[0].line != 1 || !strings.Contains(flaws[0].reason, tc.reason) || flaws[0].hint == "" {
				t.Errorf("flaws = %+v, want %q", flaws, tc.reason)
			}
			if len(found) != 1 || found[0] != (assignment{"B", "c", 2}) {
				t.Errorf("found = %+v", found)
			}
		})
	}
}

func FuzzParseDotenv(f *testing.F) {
	f.Add([]byte("A=b\nexport C='d' # e\n\"\n"))
	f.Add([]byte("A=\"\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, flaws := parseDotenv(text)
		lines := strings.Count(string(text), "\n") + 1
		if len(found)+len(flaws) > lines {
			t.Errorf("%d assignments and %d flaws from %d lines", len(found), len(flaws), lines)
		}
		for _, a := range found {
			if !isName(a.name) || a.line < 1 || a.line > lines {
				t.Errorf("assignment %+v", a)
			}
		}
	})
}
