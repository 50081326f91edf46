package stack

import (
	"fmt"
	"sync"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/chaos/proxy"
	"example.com/goldenpath/devtool/internal/console"
)

// ApplyFault is control.Backend's.
func (s *Stack) ApplyFault(spec chaos.Spec) (chaos.Fault, error) {
	engine, err := s.faults()
	if err != nil {
		return chaos.Fault{}, err
	}
	return engine.Apply(spec)
}

// ClearFaults is control.Backend's.
func (s *Stack) ClearFaults(ids ...string) ([]chaos.Fault, error) {
	engine, err := s.faults()
	if err != nil {
		return nil, err
	}
	return engine.Clear(ids...)
}

func (s *Stack) faults() (*proxy.Engine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chaos == nil {
		return nil, console.Fail(console.ExitFailed, "devtool status", "the stack is still coming up; its proxies are not there yet")
	}
	return s.chaos, nil
}

// chorus is how often the log repeats that a dependency refuses.
const chorus = 10 * time.Second

// faultLog writes what happens at the proxies into the log: faults at once,
// connections that fail now and then, since a pool tries many times a second.
type faultLog struct {
	logs *Logs
	mu   sync.Mutex
	said map[string]time.Time
}

func (f *faultLog) event(e proxy.Event) {
	switch e.Kind {
	case proxy.FaultOn:
		f.logs.Say("chaos: %s is on, until %s", e.Fault.ID, e.Fault.ExpiresAt.Format(time.TimeOnly))
	case proxy.FaultOff, proxy.FaultExpired:
		f.logs.Say("chaos: %s is off after %d hits (%s)", e.Fault.ID, e.Fault.Hits, e.Kind)
	default:
		key := e.Proxy + string(e.Kind)
		f.mu.Lock()
		quiet := e.At.Sub(f.said[key]) < chorus
		if !quiet {
			f.said[key] = e.At
		}
		f.mu.Unlock()
		if quiet {
			return
		}
		why := ""
		if e.Err != nil {
			why = fmt.Sprintf(": %v", e.Err)
		}
		f.logs.Say("%s: %s%s", e.Proxy, e.Kind, why)
	}
}
