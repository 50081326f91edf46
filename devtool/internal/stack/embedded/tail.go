package embedded

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// tail passes a program's log on and keeps its last lines, for the error that
// tells why it ended.
type tail struct {
	next io.Writer

	mu      sync.Mutex
	lines   []string
	partial []byte
}

const (
	tailLines      = 40
	tailLineLength = 2000
)

// Write never fails: a log that cannot be shown must not block the program.
func (t *tail) Write(p []byte) (int, error) {
	_, _ = t.next.Write(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, found := bytes.Cut(rest, []byte{'\n'})
		if room := tailLineLength - len(t.partial); room > 0 {
			t.partial = append(t.partial, line[:min(room, len(line))]...)
		}
		if found {
			t.lines = append(t.lines, string(t.partial))
			if len(t.lines) > tailLines {
				t.lines = t.lines[1:]
			}
			t.partial = t.partial[:0]
		}
		rest = after
	}
	return len(p), nil
}

// text is the log's last lines.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(append(append([]string{}, t.lines...), string(t.partial)), "\n")
}

// last is the last n lines that say something, the worst first in mind: lines
// with FATAL, PANIC or ERROR when there are any.
func (t *tail) last(n int) string {
	var all, bad []string
	for line := range strings.SplitSeq(t.text(), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		all = append(all, line)
		if strings.Contains(line, "FATAL") || strings.Contains(line, "PANIC") || strings.Contains(line, "ERROR") {
			bad = append(bad, line)
		}
	}
	if len(bad) > 0 {
		all = bad
	}
	return strings.Join(all[max(0, len(all)-n):], "; ")
}
