package stack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"example.com/goldenpath/devtool/internal/control"
)

const (
	kept        = 5000     // lines in memory
	maxLine     = 64 << 10 // of one line; the rest is on a line of its own
	maxLogBytes = 64 << 20 // of one file; then it starts anew, the old one kept once
)

// Logs gathers what all processes print: the last lines in memory, all of it in
// a file for each, and whoever follows.
type Logs struct {
	dir string

	mu        sync.Mutex
	ring      []control.Line
	followers map[chan control.Line]bool
	files     map[string]*logFile
	closed    bool
}

type logFile struct {
	f     *os.File // nil when it could not be written
	bytes int
}

func newLogs(dir string) *Logs {
	return &Logs{dir: dir, followers: map[chan control.Line]bool{}, files: map[string]*logFile{}}
}

// Writer returns a writer that splits what it gets into lines of name. Each
// program gets one of its own.
func (l *Logs) Writer(name string) io.Writer { return &lineWriter{logs: l, name: name} }

type lineWriter struct {
	logs *Logs
	name string
	mu   sync.Mutex
	part []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := p
	for {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			break
		}
		w.logs.add(w.name, append(w.part, line...))
		w.part, rest = w.part[:0], after
	}
	w.part = append(w.part, rest...)
	if len(w.part) >= maxLine {
		w.logs.add(w.name, w.part)
		w.part = w.part[:0]
	}
	return len(p), nil
}

// Say adds a line of the supervisor's own.
func (l *Logs) Say(format string, args ...any) {
	l.add("devtool", fmt.Appendf(nil, format, args...))
}

func (l *Logs) add(name string, text []byte) {
	line := control.Line{Time: time.Now(), Name: name, Text: string(bytes.TrimRight(text, "\r"))}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if len(l.ring) >= 2*kept {
		l.ring = append(l.ring[:0], l.ring[len(l.ring)-kept:]...)
	}
	l.ring = append(l.ring, line)
	l.write(line)
	for c := range l.followers {
		select {
		case c <- line:
		default: // a follower that does not read loses lines; the file has them
		}
	}
}

// write appends to the file of the line's process. A disk that is full must not
// stop the stack: the lines are still in memory.
func (l *Logs) write(line control.Line) {
	lf := l.files[line.Name]
	path := filepath.Join(l.dir, line.Name+".log")
	if lf == nil || lf.bytes > maxLogBytes {
		if lf != nil && lf.f != nil {
			lf.f.Close()
		}
		_ = os.Rename(path, path+".1")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			f = nil
		}
		lf = &logFile{f: f}
		l.files[line.Name] = lf
	}
	if lf.f != nil {
		n, _ := lf.f.WriteString(line.Text + "\n")
		lf.bytes += n
	}
}

// tail returns the last lines of name, for an error message.
func (l *Logs) tail(name string, n int) []string {
	var texts []string
	for _, line := range l.selected(control.LogQuery{Names: []string{name}, Tail: n}) {
		texts = append(texts, line.Text)
	}
	return texts
}

func (l *Logs) selected(q control.LogQuery) []control.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.selectLocked(q)
}

func (l *Logs) selectLocked(q control.LogQuery) []control.Line {
	var lines []control.Line
	for _, line := range slices.Backward(l.ring) {
		if q.Tail < 0 || q.Tail > 0 && len(lines) == q.Tail {
			break
		}
		if wanted(q, line) {
			lines = append(lines, line)
		}
	}
	slices.Reverse(lines)
	return lines
}

func wanted(q control.LogQuery, line control.Line) bool {
	return len(q.Names) == 0 || slices.Contains(q.Names, line.Name)
}

// Read is Backend.Logs.
func (l *Logs) Read(ctx context.Context, q control.LogQuery, yield func(control.Line) error) error {
	follow := make(chan control.Line, 1024)
	l.mu.Lock()
	lines := l.selectLocked(q)
	if q.Follow && !l.closed {
		l.followers[follow] = true
	} else {
		close(follow)
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.followers, follow)
		l.mu.Unlock()
	}()
	for _, line := range lines {
		if err := yield(line); err != nil {
			return err
		}
	}
	for {
		select {
		case line, ok := <-follow:
			if !ok {
				return nil
			}
			if wanted(q, line) {
				if err := yield(line); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends the followers and closes the files.
func (l *Logs) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.followers {
		close(c)
		delete(l.followers, c)
	}
	for _, lf := range l.files {
		if lf.f != nil {
			lf.f.Close()
		}
	}
}
