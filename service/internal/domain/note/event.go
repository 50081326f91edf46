package note

import "time"

// EventType says what happened to a note. The names are public: consumers of
// the topic notes.v1 branch on them.
type EventType string

// The events of a note's life.
const (
	Created EventType = "note.created"
	Updated EventType = "note.updated"
	Deleted EventType = "note.deleted"
)

// Event is a fact about a note, written in the same transaction as the change
// that it tells of. ID is unique and the key by which consumers drop what they
// have seen.
type Event struct {
	ID         string
	Type       EventType
	NoteID     ID
	OccurredAt time.Time
}

// Message is an event on its way out, with the trace that it belongs to in W3C
// Trace Context form; both strings are empty when there is none.
type Message struct {
	Event       Event
	Traceparent string
	Tracestate  string
}
