package config

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// assignment is one NAME=value of a .env file.
type assignment struct {
	name, value string
	line        int // from 1
}

// flaw is a line that cannot be read. It never quotes the line, which may hold
// a secret.
type flaw struct {
	line         int
	reason, hint string
}

// parseDotenv reads NAME=value lines and goes on after a line that it cannot
// read. The rules are those that docker compose, direnv and shells agree on:
// empty lines and lines that begin with # say nothing; "export " may come
// first; a bare value ends before " #"; in 'single quotes' all is literal; in
// "double quotes" \n, \r, \t, \" and \\ are escapes. A dollar sign is a dollar
// sign: passwords have them. A value stays on its line.
func parseDotenv(text []byte) (found []assignment, flaws []flaw) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // the mark some editors of Windows begin with
	number := 0
	for raw := range bytes.SplitSeq(text, []byte("\n")) {
		number++
		line := strings.TrimSpace(string(raw))
		if line == "" || line[0] == '#' {
			continue
		}
		if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
			flaws = append(flaws, flaw{number, "the line is not text", "save the file as UTF-8"})
			continue
		}
		if rest, ok := strings.CutPrefix(line, "export "); ok {
			line = strings.TrimSpace(rest)
		}
		name, rest, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		switch {
		case !ok:
			flaws = append(flaws, flaw{number, "the line has no equals sign", "write NAME=value, or begin a comment with #"})
			continue
		case !isName(name):
			flaws = append(flaws, flaw{number, "what stands before the equals sign is not a variable's name", "use capital letters, digits and underscores"})
			continue
		}
		value, problem := unquote(strings.TrimSpace(rest))
		if problem != "" {
			flaws = append(flaws, flaw{number, problem, "close the quote on the same line, and put nothing but a comment after it"})
			continue
		}
		found = append(found, assignment{name, value, number})
	}
	return found, flaws
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func unquote(s string) (value, problem string) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		if strings.HasPrefix(s, "#") {
			return "", ""
		}
		for i := 1; i < len(s); i++ {
			if s[i] == '#' && (s[i-1] == ' ' || s[i-1] == '\t') {
				return strings.TrimSpace(s[:i]), ""
			}
		}
		return s, ""
	}
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			after := strings.TrimSpace(s[i+1:])
			if after != "" && after[0] != '#' {
				return "", "there is text after the closing quote"
			}
			return b.String(), ""
		case quote == '"' && s[i] == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case '"', '\\', '$':
				b.WriteByte(s[i])
			default:
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "the quote is not closed"
}
