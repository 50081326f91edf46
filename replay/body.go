package replay

import (
	"encoding/json"
	"fmt"
)

// BodyState says how much of a body was captured, and why not all of it.
type BodyState string

// The five states of a body.
const (
	// Full: every byte is there. An empty body is full.
	Full BodyState = "full"
	// Truncated: the body is larger than the capture limit; its start is there.
	Truncated BodyState = "truncated"
	// Unread: the handler did not read the body to its end, and what was left
	// could not be fetched afterwards; what was read is there.
	Unread BodyState = "unread"
	// Aborted: a panic, a failed read or write, or a client that went away cut
	// the body off.
	Aborted BodyState = "aborted"
	// Upgraded: the connection left HTTP; what followed was not captured.
	Upgraded BodyState = "upgraded"
)

// Body is a captured body. The zero Body has no state; use
// Body{State: Full} for an empty one.
type Body struct {
	State BodyState
	// Size counts the bytes that passed the recorder, kept or not. In the full
	// state it is the length of the body on the wire.
	Size int64
	// Bytes are the bytes that were kept. They are not the bytes of the wire
	// where Decoded or Omitted is set, or where a secret was replaced.
	Bytes []byte
	// Decoded names the content coding that was undone ("gzip"), so that the
	// body can be read, redacted and compared. The Content-Encoding header of
	// the message still stands.
	Decoded string
	// Omitted says why Bytes were thrown away, where they were.
	Omitted string
}

// Complete reports whether Bytes hold the whole body.
func (b Body) Complete() bool { return b.State == Full && b.Omitted == "" }

// wireBody is a Body in JSON: text stays readable, the rest is base64.
type wireBody struct {
	State   BodyState `json:"state"`
	Size    int64     `json:"size"`
	Text    string    `json:"text,omitempty"`
	Base64  []byte    `json:"base64,omitempty"`
	Decoded string    `json:"decoded,omitempty"`
	Omitted string    `json:"omitted,omitempty"`
}

// MarshalJSON writes UTF-8 bodies as "text" and all others as "base64".
func (b Body) MarshalJSON() ([]byte, error) { return appendBody(nil, b), nil }

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Body) UnmarshalJSON(data []byte) error {
	var w wireBody
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("reading a captured body: %w", err)
	}
	*b = Body{State: w.State, Size: w.Size, Decoded: w.Decoded, Omitted: w.Omitted}
	switch {
	case w.Text != "":
		b.Bytes = []byte(w.Text)
	case len(w.Base64) > 0:
		b.Bytes = w.Base64
	}
	return nil
}
