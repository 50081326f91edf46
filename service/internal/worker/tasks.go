package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/propagation"

	"example.com/goldenpath/service/internal/domain/note"
)

// CountWordsTask is the type of the task that counts the words of a note.
const CountWordsTask = "notes:count-words"

const (
	// taskTimeout is what one run of a task may take.
	taskTimeout = 30 * time.Second
	// taskRetries is how often a task is tried again when it is the task that
	// fails, and not the database.
	taskRetries = 10
)

// countWords is the payload of CountWordsTask.
type countWords struct {
	EventID string  `json:"event_id"`
	NoteID  note.ID `json:"note_id"`
}

// enqueuer turns events into tasks.
type enqueuer struct{ queue *asynq.Client }

// handle enqueues what the event asks for, in the event's trace. The event's id
// is the task's, so an event that comes again while its task is in the queue is
// no second task.
func (q enqueuer) handle(ctx context.Context, e note.Event) error {
	if e.Type != note.Created && e.Type != note.Updated {
		return nil // a note that is gone has no words, and the types of younger services are not ours
	}
	payload, err := json.Marshal(countWords{EventID: e.ID, NoteID: e.NoteID})
	if err != nil {
		return fmt.Errorf("encoding task %s of event %s: %w", CountWordsTask, e.ID, err)
	}
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	task := asynq.NewTaskWithHeaders(CountWordsTask, payload, headers)
	_, err = q.queue.EnqueueContext(ctx, task, asynq.TaskID(e.ID), asynq.MaxRetry(taskRetries), asynq.Timeout(taskTimeout))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("enqueueing task %s of event %s: %w", CountWordsTask, e.ID, err)
	}
	return nil
}

// counting runs CountWordsTask.
func counting(notes Counter) asynq.HandlerFunc {
	return func(ctx context.Context, t *asynq.Task) error {
		var p countWords
		if err := json.Unmarshal(t.Payload(), &p); err != nil {
			return fmt.Errorf("decoding the payload: %w: %w", err, asynq.SkipRetry)
		}
		id, err := note.ParseID(string(p.NoteID))
		if err != nil || p.EventID == "" {
			return fmt.Errorf("decoding the payload: event_id %q, note_id %q: %w", p.EventID, p.NoteID, asynq.SkipRetry)
		}
		return notes.CountWords(ctx, p.EventID, id)
	}
}
