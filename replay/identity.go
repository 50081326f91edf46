package replay

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// ParseTraceID reads a W3C trace id: 32 hex digits, not all zero
// (Trace Context, section 3.2.2.3). Upper case is taken as lower case.
func ParseTraceID(text string) (id [16]byte, ok bool) {
	if len(text) != 2*len(id) {
		return id, false
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		return [16]byte{}, false
	}
	return id, id != [16]byte{}
}

// NewID makes the id of an exchange: the first eight digits of the trace id,
// a dash, and the first eight of the span id, so that it is short enough to
// type and an index over trace ids finds it. Where the request was not traced
// it is eight zeros and eight random digits from random.
func NewID(traceID, spanID string, random io.Reader) (string, error) {
	const half = 8
	head := strings.Repeat("0", half)
	if len(traceID) >= half {
		head = traceID[:half]
	}
	if len(spanID) >= half {
		return head + "-" + spanID[:half], nil
	}
	var tail [half / 2]byte
	if _, err := io.ReadFull(random, tail[:]); err != nil {
		return "", fmt.Errorf("making an exchange id: %w", err)
	}
	return head + "-" + hex.EncodeToString(tail[:]), nil
}
