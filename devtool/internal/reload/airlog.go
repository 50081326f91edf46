package reload

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

const (
	airTail    = 10      // last lines of trouble that are kept for an error
	airLineMax = 8 << 10 // bytes of one line
)

// airLog passes on what air says that a person should know, and forgets its
// chatter. It gets what the hand-overs print, too.
type airLog struct {
	mu   sync.Mutex
	out  io.Writer
	part []byte
	tail []string
}

// Write never fails: that nobody can be told must not end air.
func (a *airLog) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.part = append(a.part, p...)
	for {
		line, rest, found := bytes.Cut(a.part, []byte("\n"))
		if !found {
			break
		}
		a.line(string(line))
		a.part = rest
	}
	if len(a.part) > airLineMax {
		a.line(string(a.part))
		a.part = nil
	}
	return len(p), nil
}

func (a *airLog) line(text string) {
	text = strings.TrimSpace(text)
	if chatter(text) {
		return
	}
	if a.tail = append(a.tail, text); len(a.tail) > airTail {
		a.tail = a.tail[1:]
	}
	_, _ = io.WriteString(a.out, text+"\n")
}

// words returns the last lines that were passed on.
func (a *airLog) words() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.tail, "\n")
}

// chatter says whether a line is air telling what it does.
func chatter(line string) bool {
	if line == "" || strings.HasSuffix(line, " has changed") {
		return true
	}
	for _, prefix := range []string{
		"watching ", "!exclude ", "building...", "running...", "cleaning...", "see you again~",
		"mkdir ", "Process Exit with Code", "failed to build, error: exit status ", "failed to build, error: signal: ",
	} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}
