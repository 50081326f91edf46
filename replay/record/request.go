package record

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"example.com/goldenpath/replay"
)

// requestBody is the body that the handler reads. It keeps the start of what
// goes by. A handler may have left a goroutine behind that still reads when
// the exchange is finished, so what is shared is under a lock and nothing is
// kept after finish.
type requestBody struct {
	recorder *recorder
	source   io.ReadCloser // nil where the request has no body
	length   int64         // as declared, or -1

	mu       sync.Mutex
	kept     *[]byte
	size     int64
	ended    bool  // the end was seen
	err      error // the first failed read
	closed   bool  // by the handler
	finished bool
}

// wrap puts b in the place of the body of req. A request without a body keeps
// its http.NoBody, for which others look.
func (b *requestBody) wrap(req *http.Request) {
	if req.Body == nil || req.Body == http.NoBody {
		b.ended = true
		return
	}
	b.source, b.length = req.Body, req.ContentLength
	req.Body = b
}

// unwrap gives req its own body back, unless someone has put in another.
func (b *requestBody) unwrap(req *http.Request) {
	if req.Body == io.ReadCloser(b) {
		req.Body = b.source
	}
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.source.Read(p)
	b.note(p[:n], err)
	return n, err
}

// Close closes the body for the handler. The source stays open until the
// exchange is finished, so that the rest can be drained: to close a body that
// was read in part is common, and net/http closes its own in the end.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.finished {
		return b.source.Close()
	}
	return nil
}

// note keeps what a read returned.
func (b *requestBody) note(p []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished {
		return
	}
	b.size += int64(len(p))
	if b.kept == nil && len(p) > 0 && b.recorder.RequestLimit > 0 {
		b.kept = b.recorder.buffer()
	}
	if b.kept != nil {
		room := b.recorder.RequestLimit - len(*b.kept)
		*b.kept = append(*b.kept, p[:min(room, len(p))]...)
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && b.length >= 0 && b.size == b.length:
		b.ended = true
	case err != nil && b.err == nil:
		b.err = err
	}
}

// drain reads what the handler left, up to the limit. It does so only where the
// client is known to have sent it or to be sending it: not when it waits for
// "100 Continue", and not on an HTTP/2 stream without a length, whose client may
// wait for the response first.
func (b *requestBody) drain(w http.ResponseWriter, req *http.Request) {
	streaming := req.ContentLength < 0 && req.ProtoMajor != 1
	if !b.drainable() || streaming || b.recorder.DrainTimeout < 0 || req.Context().Err() != nil ||
		strings.EqualFold(req.Header.Get("Expect"), "100-continue") {
		return
	}
	b.drainRest(w, req)
}

func (b *requestBody) drainRest(w http.ResponseWriter, req *http.Request) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(b.recorder.DrainTimeout)); err != nil && fromServer(req) {
		return // it could wait for ever
	}
	var chunk [4096]byte
	for b.drainable() {
		n, err := b.source.Read(chunk[:])
		b.note(chunk[:n], err)
	}
	if b.wasEnded() {
		// The deadline was for this body. Where the body has not ended, it
		// stays: net/http reads on, and sets a new one for the next request.
		_ = control.SetReadDeadline(time.Time{})
	}
}

// fromServer reports whether the request came over a connection: a test may
// serve one from memory.
func fromServer(req *http.Request) bool { return req.Context().Value(http.ServerContextKey) != nil }

func (b *requestBody) drainable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.source != nil && !b.ended && b.err == nil && b.size <= int64(b.recorder.RequestLimit)
}

func (b *requestBody) wasEnded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// finish returns the body and lets go of everything.
func (b *requestBody) finish() replay.Body {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished = true
	body := replay.Body{State: b.state(), Size: b.size}
	if b.kept != nil {
		body.Bytes = append([]byte(nil), *b.kept...)
		b.recorder.release(b.kept)
		b.kept = nil
	}
	if b.closed && b.source != nil {
		// A failure to close is for net/http to find; it closes the body again.
		_ = b.source.Close()
	}
	return body
}

func (b *requestBody) state() replay.BodyState {
	kept := int64(0)
	if b.kept != nil {
		kept = int64(len(*b.kept))
	}
	switch {
	case b.err != nil && tooLarge(b.err):
		return replay.Truncated
	case b.err != nil && !errors.Is(b.err, http.ErrBodyReadAfterClose) && !timedOut(b.err):
		return replay.Aborted
	case b.size > kept:
		return replay.Truncated
	case b.ended:
		return replay.Full
	}
	return replay.Unread
}

// tooLarge reports whether a read met the limit of an http.MaxBytesHandler.
func tooLarge(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}

// timedOut reports whether a read met a deadline: that of the drain, or one
// that the handler set.
func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
