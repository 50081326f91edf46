package proxy

import (
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy/internal/link"
)

// effect is what the faults in force come to for one connection.
type effect struct {
	refuse   *fault // reset it at once
	reset    *fault // reset it once it is connected, after a while
	silence  *fault // the first that silences it, for its time limit
	up, down link.Plan
	acting   []*fault
}

// silent reports whether nothing passes in either direction.
func (e effect) silent() bool { return e.up.Silent && e.down.Silent }

// deadline is how long the connection may live, and the fault that says so; nil
// when none does. It is told apart by the fault's key.
func (e effect) deadline() (*fault, time.Duration) {
	switch {
	case e.reset != nil:
		return e.reset, time.Duration(e.reset.attribute("timeout")) * time.Millisecond
	case e.silence != nil && e.silence.attribute("timeout") > 0:
		return e.silence, time.Duration(e.silence.attribute("timeout")) * time.Millisecond
	}
	return nil, 0
}

// effectOn adds up the faults that the connection is drawn for. e.mu is held.
func (e *Engine) effectOn(p *Proxy, connection uint64) effect {
	var sum effect
	for _, f := range e.faults {
		if f.spec.Target != p.name {
			continue
		}
		// Drawn anew each time from the same seed: a fault that comes or goes
		// does not change whom another one acts on.
		dice := e.dice(f, connection)
		if dice.Float64() >= f.share {
			continue
		}
		sum.acting = append(sum.acting, f)
		up, down := f.spec.Stream != chaos.Downstream, f.spec.Stream != chaos.Upstream
		switch f.spec.Type {
		case chaos.Down:
			sum.refuse = f
		case chaos.Reset:
			if sum.reset == nil {
				sum.reset = f
			}
		case chaos.Timeout:
			sum.up.Silent = sum.up.Silent || up
			sum.down.Silent = sum.down.Silent || down
			if sum.silence == nil {
				sum.silence = f
			}
		default:
			toxic := link.Toxic{Key: f.key, Type: f.spec.Type, Attributes: f.spec.Attributes, Seed: dice.Uint64()}
			if up {
				sum.up.Toxics = append(sum.up.Toxics, toxic)
			}
			if down {
				sum.down.Toxics = append(sum.down.Toxics, toxic)
			}
		}
	}
	return sum
}
