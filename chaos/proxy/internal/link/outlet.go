package link

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// roomy is how many bytes may wait in memory for a client that stopped
	// reading before the source is left alone until some are gone.
	roomy = 1 << 20
	// chunk is the least that is allocated for bytes that wait.
	chunk = 16 << 10
)

// outlet is the writing end of a pipe. It writes to the connection, and while
// it is held it takes every byte into memory at once, so that whoever rebuilds
// the chain of toxics in front of it never waits for a client that stopped
// reading. Bytes keep their order through every switch.
//
// One goroutine at a time may call Write.
type outlet struct {
	conn *net.TCPConn

	mu       sync.Mutex
	changed  sync.Cond
	held     bool
	queue    net.Buffers // written, not yet sent
	waiting  int         // bytes in queue, and in the hands of send
	flushing bool        // send runs
	err      error       // why the connection takes no more
	closing  bool        // half-close it when all is sent
}

func newOutlet(conn *net.TCPConn) *outlet {
	o := &outlet{conn: conn}
	o.changed.L = &o.mu
	return o
}

// Write hands b over, blocking while earlier bytes wait in memory and the
// outlet is not held. It fails once the connection has.
func (o *outlet) Write(b []byte) (int, error) {
	o.mu.Lock()
	for !o.held && o.err == nil && (o.flushing || len(o.queue) > 0) {
		o.changed.Wait()
	}
	if o.err != nil {
		o.mu.Unlock()
		return 0, o.err
	}
	if o.held {
		o.keep(b)
		o.mu.Unlock()
		return len(b), nil
	}
	o.mu.Unlock()

	n, err := o.conn.Write(b)
	if err == nil {
		return n, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		o.fail(err)
		return n, err
	}
	// hold interrupted it. It may have been released again by now.
	o.keep(b[n:])
	o.flush()
	return len(b), nil
}

// keep puts a copy of b in the queue. o.mu is held.
func (o *outlet) keep(b []byte) {
	o.waiting += len(b)
	if last := len(o.queue) - 1; last >= 0 && cap(o.queue[last])-len(o.queue[last]) >= len(b) {
		o.queue[last] = append(o.queue[last], b...)
		return
	}
	o.queue = append(o.queue, append(make([]byte, 0, max(len(b), chunk)), b...))
}

// hold makes every Write go to memory, the one under way included.
func (o *outlet) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = true
	// A connection that is closed has no deadline to set; Write will say so.
	_ = o.conn.SetWriteDeadline(time.Unix(1, 0))
	o.changed.Broadcast()
}

// release undoes hold, and sends what came in between.
func (o *outlet) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = false
	_ = o.conn.SetWriteDeadline(time.Time{})
	o.flush()
}

// flush starts the sending of what waits. o.mu is held.
func (o *outlet) flush() {
	if o.held || o.flushing || o.err != nil || len(o.queue) == 0 {
		return
	}
	o.flushing = true
	go o.send()
}

// send writes the waiting bytes until there are none or the outlet is held.
func (o *outlet) send() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.held && o.err == nil && len(o.queue) > 0 {
		queue := o.queue
		o.queue = nil
		o.mu.Unlock()
		n, err := queue.WriteTo(o.conn)
		o.mu.Lock()
		o.waiting -= int(n)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			o.queue = append(queue, o.queue...) // WriteTo took what it wrote
		default:
			o.fail(err)
		}
		o.changed.Broadcast()
	}
	o.flushing = false
	o.end()
	o.changed.Broadcast()
}

// finish half-closes the connection as soon as every byte is sent.
func (o *outlet) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing = true
	o.end()
}

// end half-closes if it is time. o.mu is held.
func (o *outlet) end() {
	if !o.closing || o.flushing || len(o.queue) > 0 || o.err != nil {
		return
	}
	o.closing = false
	if err := o.conn.CloseWrite(); err != nil {
		o.fail(err)
	}
}

// drain waits until every byte is sent or the connection has failed.
func (o *outlet) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.flushing || (o.err == nil && len(o.queue) > 0) {
		o.changed.Wait()
	}
}

// room waits until so few bytes wait that more may be read. It returns at once
// when the outlet is held or has failed.
func (o *outlet) room() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.held && o.err == nil && o.waiting > roomy {
		o.changed.Wait()
	}
}

// giveUp makes every Write fail and drops what waits. The connection is the
// caller's to close.
func (o *outlet) giveUp(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail(err)
	_ = o.conn.SetWriteDeadline(time.Unix(1, 0)) // ends the write under way
}

// fail keeps the first error and drops what waits. o.mu is held.
func (o *outlet) fail(err error) {
	if o.err == nil {
		o.err = err
	}
	o.queue, o.waiting = nil, 0
	o.changed.Broadcast()
}

// failure is why the connection takes no more, nil while it does.
func (o *outlet) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
