package stack

import (
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
