package proxy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.com/goldenpath/chaos"
)

// patience is how long a change of faults waits for a connection to follow. One
// that does not, though none should, is reset rather than waited for.
const patience = 5 * time.Second

// fault is a fault in force. Its fields do not change; a change of a fault is
// another fault in its place.
type fault struct {
	spec    chaos.Spec // checked
	id      string
	toxic   string  // its name in Toxiproxy's API
	share   float64 // of connections; unlike spec.Probability it may be 0
	key     uint64  // tells it from every other, and from itself before a change
	seed    uint64  // of its draws; a change keeps it
	expires time.Time
	hits    *atomic.Int64 // a change keeps it
	stop    func() bool   // its lease
}

// report is the fault as the outside sees it.
func (f *fault) report() chaos.Fault {
	return chaos.Fault{
		ID:          f.id,
		Target:      f.spec.Target,
		Type:        f.spec.Type,
		Stream:      f.spec.Stream,
		Attributes:  maps.Clone(f.spec.Attributes),
		Probability: f.share,
		Hits:        f.hits.Load(),
		ExpiresAt:   f.expires,
	}
}

// attribute is an attribute that Check has made whole.
func (f *fault) attribute(name string) int64 {
	n, _ := f.spec.Attributes[name].(int64)
	return n
}

// closesPort reports whether the fault keeps the proxy's port closed. One that
// acts on some connections only cannot: it resets those that it is drawn for.
func (f *fault) closesPort() bool { return f.spec.Type == chaos.Down && f.share == 1 }

// Apply puts a fault in force, in the place of the one of the same target, type
// and stream if there is one. When it returns the fault acts on every
// connection, those that are open included. The error is a *chaos.UsageError
// when the specification is wrong, and ErrUnknownProxy or ErrClosed.
func (e *Engine) Apply(spec chaos.Spec) (chaos.Fault, error) {
	checked, err := chaos.Check(spec)
	if err != nil {
		return chaos.Fault{}, err
	}
	name := strings.ReplaceAll(checked.Type, "_", "-")
	if checked.Stream == chaos.Upstream || checked.Type == chaos.Timeout && checked.Stream != "" {
		name += "-" + checked.Stream
	}
	return e.put(checked, name, checked.Probability, func(old *fault) error { return nil })
}

// put puts a checked specification in force under a name. allow is asked, with
// the lock held, about the fault that has the name, or with nil.
func (e *Engine) put(spec chaos.Spec, toxic string, share float64, allow func(old *fault) error) (chaos.Fault, error) {
	e.mu.Lock()
	p, ok := e.proxies[spec.Target]
	var err error
	at := e.index(spec.Target, toxic)
	switch {
	case e.closed:
		err = ErrClosed
	case !ok:
		err = fmt.Errorf("%w: %s", ErrUnknownProxy, spec.Target)
	case at < 0:
		err = allow(nil)
	default:
		err = allow(e.faults[at])
	}
	if err != nil {
		e.mu.Unlock()
		return chaos.Fault{}, err
	}
	e.applied++
	f := &fault{
		spec: spec, toxic: toxic, share: share,
		key: e.applied, seed: e.applied,
		expires: e.config.Now().Add(spec.For),
		hits:    new(atomic.Int64),
	}
	if at < 0 {
		f.id = e.freeID(spec.Target + "-" + toxic)
		e.faults = append(e.faults, f)
	} else {
		old := e.faults[at]
		old.stop()
		f.id, f.seed, f.hits = old.id, old.seed, old.hits
		e.faults[at] = f
	}
	f.stop = e.config.AfterFunc(spec.For, func() { e.expire(f) })
	e.mu.Unlock()

	err = p.follow()
	report := f.report()
	e.tell(Event{Kind: FaultOn, Proxy: p.name, Fault: report})
	return report, err
}

// index finds a fault by its target and its name there. e.mu is held.
func (e *Engine) index(target, toxic string) int {
	return slices.IndexFunc(e.faults, func(f *fault) bool {
		return f.spec.Target == target && f.toxic == toxic
	})
}

// freeID returns the id, with a number behind it if it is taken: dashes are
// allowed in both of its parts. e.mu is held.
func (e *Engine) freeID(id string) string {
	free := id
	for n := 2; slices.ContainsFunc(e.faults, func(f *fault) bool { return f.id == free }); n++ {
		free = fmt.Sprintf("%s-%d", id, n)
	}
	return free
}

// Faults gives the faults in force, the oldest first.
func (e *Engine) Faults() []chaos.Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	reports := make([]chaos.Fault, 0, len(e.faults))
	for _, f := range e.faults {
		reports = append(reports, f.report())
	}
	return reports
}

// Clear ends the faults with these ids, or all when there are none, and returns
// them. With an id that is not in force it ends none and returns
// ErrUnknownFault. When it returns, bytes that were held back are on their way,
// and connections work as before, but for those that a timeout silenced: they
// are reset.
func (e *Engine) Clear(ids ...string) ([]chaos.Fault, error) {
	e.mu.Lock()
	for _, id := range ids {
		if !slices.ContainsFunc(e.faults, func(f *fault) bool { return f.id == id }) {
			e.mu.Unlock()
			return nil, fmt.Errorf("%w: %s", ErrUnknownFault, id)
		}
	}
	e.mu.Unlock()
	return e.drop(func(f *fault) bool { return len(ids) == 0 || slices.Contains(ids, f.id) }, FaultOff)
}

// expire ends a fault whose lease has run out, unless it was ended or changed.
func (e *Engine) expire(f *fault) {
	// A port that cannot be opened again is told by an event.
	_, _ = e.drop(func(other *fault) bool { return other == f }, FaultExpired)
}

// drop ends the faults that are chosen.
func (e *Engine) drop(chosen func(*fault) bool, why EventKind) ([]chaos.Fault, error) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, ErrClosed
	}
	dropped := e.take(chosen)
	affected := make(map[*Proxy]bool)
	for _, f := range dropped {
		affected[e.proxies[f.spec.Target]] = true
	}
	e.mu.Unlock()

	var errs []error
	for p := range affected {
		errs = append(errs, p.follow())
	}
	reports := make([]chaos.Fault, 0, len(dropped))
	for _, f := range dropped {
		report := f.report()
		reports = append(reports, report)
		e.tell(Event{Kind: why, Proxy: f.spec.Target, Fault: report})
	}
	return reports, errors.Join(errs...)
}

// take takes the chosen faults out of force and ends their leases. e.mu is
// held.
func (e *Engine) take(chosen func(*fault) bool) []*fault {
	var taken []*fault
	e.faults = slices.DeleteFunc(e.faults, func(f *fault) bool {
		if !chosen(f) {
			return false
		}
		f.stop()
		taken = append(taken, f)
		return true
	})
	return taken
}
