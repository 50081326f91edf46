package link

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/rs/zerolog"
)

// Library is Toxiproxy with our toxics added. One is enough for any number of
// pipes.
type Library struct {
	server *toxiproxy.ApiServer // serves nothing; links ask it for metrics, and get none
}

// OpenLibrary makes our toxics known to Toxiproxy. It may be called more than
// once.
func OpenLibrary() *Library {
	register()
	return &Library{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// chain is a run of Toxiproxy's link between the source and the outlet of a
// pipe, from the first toxic to the last.
type chain struct {
	pipe   *Pipe
	toxics *toxiproxy.ToxicCollection
	have   []Toxic

	sourced chan struct{} // closed when the link will read no more
	ended   chan struct{} // closed when the link will write no more
	once    sync.Once

	// Guarded by pipe.mu.
	stopped bool  // the link is to read no more
	err     error // why the source ended: io.EOF, or an error
}

// newChain starts a link with the toxics in it.
func newChain(p *Pipe, toxics []Toxic) (*chain, error) {
	server := p.library.server
	c := &chain{
		pipe:    p,
		toxics:  toxiproxy.NewProxy(server, "", "", "").Toxics,
		sourced: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	if err := c.update(toxics); err != nil {
		return nil, err
	}
	c.toxics.StartLink(server, "", source{c}, sink{c}, stream.Downstream)
	return c, nil
}

// update makes the chain have these toxics.
//
// Toxiproxy takes a toxic out of the middle by pushing what it held into the
// next one, and drops it when that takes over five seconds. So toxics are taken
// out from the end, where the outlet takes everything at once, and those that
// stay are put in again. What they held goes out with the rest. The outlet must
// be held, or have failed.
func (c *chain) update(toxics []Toxic) error {
	same := 0
	for same < len(c.have) && same < len(toxics) && c.have[same].Key == toxics[same].Key {
		same++
	}
	for len(c.have) > same {
		last := len(c.have) - 1
		if err := c.toxics.RemoveToxic(context.Background(), c.have[last].name()); err != nil {
			return fmt.Errorf("remove toxic %s: %w", c.have[last].Type, err)
		}
		c.have = c.have[:last]
	}
	for _, t := range toxics[same:] {
		text, err := t.json()
		if err != nil {
			return fmt.Errorf("encode toxic %s: %w", t.Type, err)
		}
		if _, err := c.toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
			return fmt.Errorf("add toxic %s: %w", t.Type, err)
		}
		c.have = append(c.have, t)
	}
	return nil
}

// name is what Toxiproxy knows the toxic by.
func (t Toxic) name() string { return fmt.Sprint(t.Key) }

// json is the toxic as Toxiproxy reads it.
func (t Toxic) json() ([]byte, error) {
	jitter, variation := t.Attributes["jitter"], t.Attributes["size_variation"]
	seeded := jitter != nil && jitter != int64(0) || variation != nil && variation != int64(0)
	attributes := maps.Clone(t.Attributes)
	if seeded {
		attributes["seed"] = t.Seed
	}
	return json.Marshal(map[string]any{"name": t.name(), "type": ours(t.Type, seeded), "attributes": attributes})
}

// stop ends the source of the link. Whoever calls it waits for sourced before
// the source is read by anybody else.
func (c *chain) stop() {
	p := c.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	c.stopped = true
	p.interrupt()
	p.resumed.Broadcast()
}

// throughToxics is the way with toxics.
func (p *Pipe) throughToxics(toxics []Toxic) error {
	c, err := newChain(p, toxics)
	if err != nil {
		return err
	}
	for {
		select {
		case <-c.ended:
			return c.finish()
		case <-p.aborted:
			return c.dismantle()
		case <-p.replan:
			if !p.planned() {
				continue // adopted already
			}
			plan, number := p.wanted()
			if plan.Silent || len(plan.Toxics) == 0 {
				return c.dismantle()
			}
			if err := c.update(plan.Toxics); err != nil {
				p.Abort()
				return errors.Join(err, c.dismantle())
			}
			p.adoptIf(number)
		}
	}
}

// dismantle pushes out what the toxics hold and ends the link.
func (c *chain) dismantle() error {
	err := c.update(nil)
	cut := c.over()
	c.stop()
	<-c.sourced
	<-c.ended
	if err != nil {
		return err
	}
	if cut {
		return c.finish()
	}
	p := c.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped:
		return ErrAborted
	case c.err != nil && !errors.Is(c.err, io.EOF):
		return c.err // a connection tells of its reset only once
	}
	return errReplanned
}

// finish gives the reason of a link that ended by itself.
func (c *chain) finish() error {
	c.stop()
	<-c.sourced
	p := c.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped:
		return ErrAborted
	case c.err == nil:
		return ErrCut
	case errors.Is(c.err, io.EOF):
		return nil
	}
	return c.err
}

// over reports whether the link has ended.
func (c *chain) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// source is what the link reads from. It pauses while a plan waits, and while a
// client that does not read has enough in memory.
type source struct{ *chain }

func (s source) Read(b []byte) (int, error) {
	p := s.pipe
	for {
		p.out.room()
		if !s.proceed() {
			return 0, s.end(nil)
		}
		n, err := p.source.Read(b)
		switch {
		case n > 0:
			return n, nil // an error comes again
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return 0, s.end(err)
		}
	}
}

// proceed waits until no plan waits. It is false when the link is to end.
func (s source) proceed() bool {
	p := s.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.applied != p.asked && !s.stopped && !p.stopped {
		p.resumed.Wait()
	}
	return !s.stopped && !p.stopped
}

// end keeps why the source ended. The link itself is always told the end: it
// would log anything else.
func (s source) end(err error) error {
	p := s.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.once.Do(func() { close(s.sourced) })
	return io.EOF
}

// sink is what the link writes to. It takes everything: a link that cannot
// write stands still and nobody can change it.
type sink struct{ *chain }

func (s sink) Write(b []byte) (int, error) {
	if _, err := s.pipe.out.Write(b); err != nil {
		s.stop()
	}
	return len(b), nil
}

// Close is the link's last call.
func (s sink) Close() error {
	close(s.ended)
	return nil
}
