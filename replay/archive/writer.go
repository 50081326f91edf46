package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/goldenpath/replay"
)

// ErrClosed is returned by a [Writer] that was closed.
var ErrClosed = errors.New("the archive is closed")

// batchBytes is about how much one write holds.
const batchBytes = 1 << 20

// Writer appends exchanges to an archive. It implements record.Sink. A disk
// that is full, or fails, costs exchanges and never holds up the caller; it is
// tried again after [Options.RetryAfter].
type Writer struct {
	options Options
	output  *output
	keeper  *keeper
	queue   chan *replay.Exchange
	flushes chan chan struct{}
	waiting atomic.Int64 // bytes in the queue

	closing sync.RWMutex // held for reading while an exchange is queued
	closed  bool
	stop    chan struct{}
	done    chan struct{}

	written, dropped, lost, bytes atomic.Int64
	lastError                     atomic.Pointer[error]
}

// Create starts a writer in dir, which it creates. Close ends it.
func Create(dir string, o Options) (*Writer, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("creating the capture directory: %w", err)
	}
	w := &Writer{
		options: o,
		output:  &output{dir: dir, options: o},
		queue:   make(chan *replay.Exchange, o.QueueSize),
		flushes: make(chan chan struct{}),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	w.keeper = startKeeper(dir, o, w.failed)
	go w.run()
	return w, nil
}

// Record queues an exchange and never blocks. What does not fit is dropped.
func (w *Writer) Record(ex *replay.Exchange) {
	w.closing.RLock()
	defer w.closing.RUnlock()
	size := weight(ex)
	if w.closed || w.waiting.Add(size) > w.options.QueueBytes {
		if !w.closed {
			w.waiting.Add(-size)
		}
		w.dropped.Add(1)
		return
	}
	select {
	case w.queue <- ex:
	default:
		w.waiting.Add(-size)
		w.dropped.Add(1)
	}
}

// weight is about what an exchange takes in memory.
func weight(ex *replay.Exchange) int64 {
	return int64(2048 + len(ex.Request.Body.Bytes) + len(ex.Response.Body.Bytes))
}

// Stats returns what became of the exchanges so far.
func (w *Writer) Stats() Stats {
	s := Stats{Written: w.written.Load(), Dropped: w.dropped.Load(), Lost: w.lost.Load(), Bytes: w.bytes.Load()}
	if err := w.lastError.Load(); err != nil {
		s.LastError = *err
	}
	return s
}

// Flush returns when all that was recorded before is written or lost, or ctx
// is done.
func (w *Writer) Flush(ctx context.Context) error {
	flushed := make(chan struct{})
	select {
	case w.flushes <- flushed:
	case <-w.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("flushing the archive: %w", ctx.Err())
	}
	select {
	case <-flushed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flushing the archive: %w", ctx.Err())
	}
}

// Close writes what is queued and ends the writer. What is recorded from now
// on is dropped. A second Close returns [ErrClosed].
func (w *Writer) Close() error {
	w.closing.Lock()
	if w.closed {
		w.closing.Unlock()
		return ErrClosed
	}
	w.closed = true
	w.closing.Unlock()
	close(w.stop)
	<-w.done
	w.keeper.close()
	return w.output.close()
}

// run writes until Close. It is the only user of the output.
func (w *Writer) run() {
	defer close(w.done)
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	queue := w.queue // nil during a pause
	var b batch
	for {
		select {
		case ex := <-queue:
			w.write(&b, ex)
			pause.Reset(w.options.Pace)
			queue = nil
		case <-pause.C:
			queue = w.queue
		case flushed := <-w.flushes:
			w.drain(&b)
			close(flushed)
		case <-w.stop:
			w.drain(&b)
			return
		}
	}
}

// drain writes all that is queued.
func (w *Writer) drain(b *batch) {
	for {
		select {
		case ex := <-w.queue:
			w.write(b, ex)
		default:
			return
		}
	}
}

// write writes ex and what is queued behind it, as one batch.
func (w *Writer) write(b *batch, ex *replay.Exchange) {
	b.reset()
	w.take(b, ex)
	for more := true; more && len(b.lines) < batchBytes; {
		select {
		case ex := <-w.queue:
			w.take(b, ex)
		default:
			more = false
		}
	}
	count := int64(len(b.entries))
	if w.output.paused() {
		w.lost.Add(count)
		return
	}
	if err := w.output.write(b.lines, b.entries); err != nil {
		w.lost.Add(count)
		w.failed(err)
		w.keeper.wake() // to make room, if there is something to remove
		return
	}
	w.written.Add(count)
	w.bytes.Add(int64(len(b.lines)))
	if w.output.full() {
		if err := w.output.close(); err != nil {
			w.failed(err)
		}
		w.keeper.wake()
	}
}

func (w *Writer) take(b *batch, ex *replay.Exchange) {
	w.waiting.Add(-weight(ex))
	b.add(ex)
}

func (w *Writer) failed(err error) { w.lastError.Store(&err) }
