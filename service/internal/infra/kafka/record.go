package kafka

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/service/internal/domain/note"
)

// eventTypeHeader lets a consumer pass over what it does not want without
// reading the value.
const eventTypeHeader = "event-type"

// value is the public form of an event in the topic. Fields may be added; none
// changes its name or meaning without a new topic.
type value struct {
	ID         string         `json:"id"`
	Type       note.EventType `json:"type"`
	NoteID     note.ID        `json:"note_id"`
	OccurredAt time.Time      `json:"occurred_at"`
}

// record is an event in the form of the topic. The note's id is the key, so that
// the events of one note stay in order.
func record(topic string, e note.Event) (*kgo.Record, error) {
	raw, err := json.Marshal(value(e))
	if err != nil {
		return nil, fmt.Errorf("encoding event %s: %w", e.ID, err)
	}
	return &kgo.Record{
		Topic: topic, Key: []byte(e.NoteID), Value: raw,
		Headers: []kgo.RecordHeader{{Key: eventTypeHeader, Value: []byte(e.Type)}},
	}, nil
}

// event reads a record. Fields that it does not know are for younger readers.
func event(r *kgo.Record) (note.Event, error) {
	var v value
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return note.Event{}, fmt.Errorf("decoding an event: %w", err)
	}
	if v.ID == "" || v.Type == "" {
		return note.Event{}, fmt.Errorf("decoding an event: id %q, type %q: neither may be empty", v.ID, v.Type)
	}
	if _, err := note.ParseID(string(v.NoteID)); err != nil {
		return note.Event{}, fmt.Errorf("decoding event %s: note_id: %w", v.ID, err)
	}
	return note.Event(v), nil
}
