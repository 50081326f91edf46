package gateway

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// keepLimit is how much of a request body is kept so that it can be sent again
// when the first connection turned out to be dead. More than that is on its way
// over a connection that works.
const keepLimit = 64 << 10

var (
	errBodyGone   = errors.New("the request body was sent in part and cannot be sent again")
	errBodyClosed = errors.New("read of a request body that was closed")
)

// replayBody is the body of a request on its way to a backend. It is read
// through one attempt at a time and passes on what comes at once; its beginning
// is kept until the backend has answered.
type replayBody struct {
	settled atomic.Bool // the backend has answered: there is no other attempt

	mu   sync.Mutex // held while src is read
	src  io.Reader
	kept []byte
	over bool // more was read than kept
	err  error
}

// open returns a reader of the whole body. It fails with errBodyGone when the
// beginning is no longer known. An attempt that was opened before must have been
// closed.
func (b *replayBody) open() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return nil, errBodyGone
	}
	return &attempt{body: b}, nil
}

// gone says whether another attempt is out of the question.
func (b *replayBody) gone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

// broken is the error that reading from the client ended with, or nil. It
// returns at once even while a read waits for the client.
func (b *replayBody) broken() error {
	if !b.mu.TryLock() {
		return nil // being read: not broken yet
	}
	defer b.mu.Unlock()
	return b.err
}

// attempt is one reading of a replayBody.
type attempt struct {
	body   *replayBody
	at     int // bytes of kept that were read
	closed atomic.Bool
}

// Read gives what was kept, then what the client sends.
func (a *attempt) Read(p []byte) (int, error) {
	b := a.body
	b.mu.Lock()
	defer b.mu.Unlock()
	// An earlier attempt may still have been waiting for the client: what it got
	// is in kept.
	if a.closed.Load() {
		return 0, errBodyClosed
	}
	if a.at < len(b.kept) {
		n := copy(p, b.kept[a.at:])
		a.at += n
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	switch {
	case b.settled.Load() || b.over:
		b.kept, b.over, a.at = nil, true, 0
	case len(b.kept)+n > keepLimit:
		b.kept, b.over, a.at = nil, true, 0
	default:
		b.kept = append(b.kept, p[:n]...)
		a.at += n
	}
	if err != nil {
		b.err = err
	}
	return n, err
}

// Close ends the attempt, not the body, which the server closes. It does not
// wait for a Read that waits for the client.
func (a *attempt) Close() error {
	a.closed.Store(true)
	return nil
}
