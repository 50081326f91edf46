package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// A response is a length of four bytes, then the correlation id (response
// header v0; v1 adds tagged fields).
const responseHeader = 4 + 4

// responses passes bytes through, but for the frames that are to be rewritten:
// those it collects whole. It keeps back less than a header otherwise.
type responses struct {
	session *Session
	source  io.Reader

	ready  []byte // to be handed out before anything else is read
	unread []byte // read from source, but not looked at yet
	head   []byte // the beginning of a header
	rest   int64  // bytes of a frame that passes

	frame   []byte // what there is of a frame that is collected
	missing int    // bytes to come of it, above 0 while one is collected
	answers request

	err    error // to be returned once everything is handed out
	failed bool  // err is ours: nothing more passes
}

func (r *responses) Read(p []byte) (int, error) {
	if len(p) < responseHeader {
		// A header may have to be put at the beginning of p.
		larger := make([]byte, 512)
		if len(r.ready) == 0 {
			n, err := r.Read(larger)
			if n == 0 {
				return 0, err
			}
			r.ready = append(larger[:n:n], r.ready...)
		}
	}
	for {
		if len(r.ready) > 0 {
			n := copy(p, r.ready)
			r.ready = r.ready[n:]
			return n, nil
		}
		kept := copy(p, r.head)
		n, err := r.fill(p[kept:])
		if n == 0 {
			if err == nil {
				return 0, io.ErrNoProgress
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) && r.surrender() {
				continue
			}
			return 0, err
		}
		r.head = r.head[:0]
		if n := r.pass(p[:kept+n]); n > 0 {
			return n, nil
		}
	}
}

// fill reads what is next: what was read already, or from the source.
func (r *responses) fill(p []byte) (int, error) {
	if len(r.unread) > 0 {
		n := copy(p, r.unread)
		r.unread = r.unread[n:]
		return n, nil
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.source.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		r.err = err
	}
	return n, err
}

// surrender makes ready what was kept back when the source has ended in the
// middle of it. It reports whether there is any.
func (r *responses) surrender() bool {
	r.ready = append(r.head, r.frame...)
	r.head, r.frame, r.missing = nil, nil, 0
	return len(r.ready) > 0
}

// pass returns how many bytes from the beginning of b go to the client now. The
// others are kept in head, frame or unread.
func (r *responses) pass(b []byte) int {
	at := 0
	for at < len(b) && !r.failed {
		switch left := len(b) - at; {
		case r.missing > 0:
			n := min(r.missing, left)
			r.frame = append(r.frame, b[at:at+n]...)
			r.missing -= n
			// What follows must not overtake the frame.
			r.unread = append(append([]byte(nil), b[at+n:]...), r.unread...)
			if r.missing == 0 {
				r.complete()
			}
			return at
		case r.session.foreign.Load():
			return len(b)
		case r.rest > 0:
			n := min(r.rest, int64(left))
			r.rest -= n
			at += int(n)
		case left < responseHeader:
			r.head = append(r.head, b[at:]...)
			return at
		default:
			r.begin(b[at:])
		}
	}
	return at
}

// begin reads a header and decides whether the frame passes.
func (r *responses) begin(b []byte) {
	length := int64(int32(binary.BigEndian.Uint32(b)))
	if length < responseHeader-4 || length > longestFrame {
		r.session.foreign.Store(true)
		return
	}
	var collect bool
	r.answers, collect = r.session.answered(int32(binary.BigEndian.Uint32(b[4:])))
	switch {
	case !collect:
		r.rest = 4 + length
	case length > longestRewrite:
		r.fail(ErrTooLarge)
	default:
		r.missing = int(4 + length)
	}
}

// complete makes the collected frame ready, rewritten.
func (r *responses) complete() {
	frame, err := r.session.rewrite(r.frame, r.answers)
	r.frame = nil
	if err != nil {
		r.fail(err)
		return
	}
	r.ready = frame
}

// fail ends the reader: what comes behind must not pass.
func (r *responses) fail(err error) {
	r.err, r.failed = err, true
	r.unread, r.frame, r.missing = nil, nil, 0
}
