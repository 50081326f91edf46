// Package link carries the bytes of a connection, one pipe for each direction.
//
// A pipe without faults is a read and a write and nothing else. When a fault
// comes, the pipe is interrupted between the two and goes on through
// Toxiproxy's link and its toxics, and back again when the last one is gone;
// no byte is lost or overtaken in the switch. Each pipe has a chain of its own,
// so what goes on in one connection never holds up another.
package link

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// The ways in which Run ends, besides the errors of the connections.
var (
	// ErrCut says that limit_data ended the stream. What it let through is sent.
	ErrCut = errors.New("cut off by limit_data")
	// ErrSilenced says that the source ended while the pipe was silent.
	ErrSilenced = errors.New("ended in silence")
	// ErrAborted says that Abort was called.
	ErrAborted = errors.New("connection aborted")

	// errReplanned says that there is a new plan to go on with.
	errReplanned = errors.New("new plan")
)

// The sizes of the buffer of a pipe without faults: it starts small, for there
// may be thousands of idle connections, and doubles while reads fill it.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

// Toxic is one link of the chain.
type Toxic struct {
	// Key tells a toxic from every other; the same key has the same contents.
	Key uint64
	// Type and Attributes are Toxiproxy's. They have been checked.
	Type       string
	Attributes map[string]any
	// Seed is what its random source starts from.
	Seed uint64
}

// Plan is what happens to the bytes of a pipe.
type Plan struct {
	Silent bool // read and dropped
	Toxics []Toxic
}

// Pipe carries one direction of a connection.
type Pipe struct {
	library *Library
	source  io.Reader
	in      *net.TCPConn // what source reads from, for its deadline
	out     *outlet

	aborted chan struct{}
	ended   chan struct{}
	replan  chan struct{} // has a token while a plan waits

	mu      sync.Mutex
	resumed sync.Cond
	want    Plan
	asked   uint64 // plans set
	applied uint64 // of those, in force
	acks    []chan struct{}
	stopped bool // Abort was called
}

// New makes a pipe from source, which reads from in, to out. A read of source
// that fails with a timeout must leave it able to go on. The connections
// remain the caller's to close, after Abort or when Run has returned.
func New(library *Library, source io.Reader, in, out *net.TCPConn, plan Plan) *Pipe {
	p := &Pipe{
		library: library,
		source:  source,
		in:      in,
		out:     newOutlet(out),
		aborted: make(chan struct{}),
		ended:   make(chan struct{}),
		replan:  make(chan struct{}, 1),
		want:    plan,
	}
	p.resumed.L = &p.mu
	return p
}

// Set makes plan the one to follow. The channel is closed when it is in force:
// no byte passes under the one before, and bytes that toxics held which are
// gone are on their way. It is closed as well when the pipe ends. Set does not
// block, and a client that does not read does not hold it up.
func (p *Pipe) Set(plan Plan) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	ack := make(chan struct{})
	select {
	case <-p.ended:
		close(ack)
		return ack
	default:
	}
	p.want = plan
	p.asked++
	p.acks = append(p.acks, ack)
	p.out.hold()
	p.interrupt()
	select {
	case p.replan <- struct{}{}:
	default:
	}
	return ack
}

// Abort makes Run end without regard for what is under way. The caller closes
// the connections right before or after.
func (p *Pipe) Abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	close(p.aborted)
	p.interrupt()
	p.resumed.Broadcast()
	p.out.giveUp(ErrAborted)
}

// Ended is closed when Run has returned.
func (p *Pipe) Ended() <-chan struct{} { return p.ended }

// interrupt makes the read under way return. p.mu is held.
func (p *Pipe) interrupt() {
	// It fails only when the connection is closed, which ends the read as well.
	_ = p.in.SetReadDeadline(time.Unix(1, 0))
}

// Run moves bytes until the source ends. It returns nil when the source ended
// and every byte was handed over; the other side is then half-closed. It
// returns ErrCut, ErrSilenced, ErrAborted or what befell the connections
// otherwise. It is called once.
func (p *Pipe) Run() error {
	err := errReplanned
	for errors.Is(err, errReplanned) {
		switch plan := p.adopt(); {
		case plan.Silent:
			err = p.discard()
		case len(plan.Toxics) > 0:
			err = p.throughToxics(plan.Toxics)
		default:
			err = p.direct()
		}
	}
	if err == nil {
		p.out.finish()
	}
	// No plan matters any more, and those who wait for one go on.
	p.mu.Lock()
	close(p.ended)
	p.settle()
	p.mu.Unlock()
	if err == nil || errors.Is(err, ErrCut) {
		p.out.drain()
		if failure := p.out.failure(); failure != nil {
			return failure
		}
	} else {
		p.out.giveUp(err)
		p.out.drain()
	}
	return err
}

// adopt puts the newest plan in force.
func (p *Pipe) adopt() Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle()
	return p.want
}

// settle says that the newest plan is in force and lets bytes pass again. p.mu
// is held.
func (p *Pipe) settle() {
	p.applied = p.asked
	if !p.stopped {
		_ = p.in.SetReadDeadline(time.Time{})
	}
	p.out.release()
	for _, ack := range p.acks {
		close(ack)
	}
	p.acks = nil
	p.resumed.Broadcast()
}

// planned reports whether a plan waits to be put in force.
func (p *Pipe) planned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.applied != p.asked
}

// wanted is the newest plan and its number.
func (p *Pipe) wanted() (Plan, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want, p.asked
}

// adoptIf puts the plan of that number in force, unless there is a newer one.
func (p *Pipe) adoptIf(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == number {
		p.settle()
	}
}

// after turns the error of a read into that of the pipe: nil for the end,
// errReplanned and ErrAborted for an interruption.
func (p *Pipe) after(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped:
		return ErrAborted
	case errors.Is(err, os.ErrDeadlineExceeded) && p.applied != p.asked:
		return errReplanned
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// direct is the way without faults.
func (p *Pipe) direct() error {
	buf := make([]byte, smallBuffer)
	for {
		n, err := p.source.Read(buf)
		if n > 0 {
			if _, err := p.out.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return p.after(err)
		}
		if n == len(buf) && n < largeBuffer {
			buf = make([]byte, 2*n)
		}
	}
}

// discard reads and drops. That the source ended is for the caller alone: the
// other side must not learn of it.
func (p *Pipe) discard() error {
	buf := make([]byte, smallBuffer)
	for {
		if _, err := p.source.Read(buf); err != nil {
			if err := p.after(err); errors.Is(err, errReplanned) || errors.Is(err, ErrAborted) {
				return err
			}
			return ErrSilenced
		}
	}
}
