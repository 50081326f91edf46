package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	maxLine   = 16 << 20 // a longer line is no exchange that was written here
	scanChunk = 256 << 10
)

// scanLines calls visit for each line of r, with its newline, and its offset
// from the start of r. It returns where the last whole line ended, and whether
// bytes without a newline followed it. A line over maxLine is given as nil.
func scanLines(r io.Reader, visit func(offset int64, line []byte) error) (end int64, torn bool, err error) {
	buffer := make([]byte, 0, scanChunk)
	long := int64(0) // bytes of a line that is too long
	for {
		if len(buffer) == cap(buffer) {
			if len(buffer) >= maxLine {
				long += int64(len(buffer))
				buffer = buffer[:0]
			} else {
				buffer = append(make([]byte, 0, 2*cap(buffer)), buffer...)
			}
		}
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		fresh := len(buffer)
		buffer = buffer[:len(buffer)+n]
		rest := buffer
		for {
			i := bytes.IndexByte(rest[fresh:], '\n')
			if i < 0 {
				break
			}
			line := rest[:fresh+i+1]
			rest = rest[len(line):]
			length := long + int64(len(line))
			if long > 0 {
				line = nil
			}
			if err := visit(end, line); err != nil {
				return end, false, err
			}
			end += length
			fresh, long = 0, 0
		}
		buffer = buffer[:copy(buffer[:cap(buffer)], rest)]
		if errors.Is(err, io.EOF) {
			return end, long > 0 || len(buffer) > 0, nil
		}
		if err != nil {
			return end, false, fmt.Errorf("reading lines: %w", err)
		}
	}
}

// lineTrace returns the trace id of a line, and whether the line is one object
// of JSON. It looks at the first bytes, where AppendJSON puts the id; a line
// from elsewhere is parsed.
func lineTrace(line []byte) (trace [16]byte, ok bool) {
	if len(line) == 0 || line[0] != '{' || !json.Valid(line) {
		return trace, false
	}
	const mark = `"trace_id":"`
	if i := bytes.Index(line[:min(len(line), 32)], []byte(mark)); i > 0 {
		id := line[i+len(mark):]
		if end := bytes.IndexByte(id[:min(len(id), 33)], '"'); end >= 0 {
			return traceKey(string(id[:end])), true
		}
	}
	var head struct {
		TraceID string `json:"trace_id"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return trace, false
	}
	return traceKey(head.TraceID), true
}
