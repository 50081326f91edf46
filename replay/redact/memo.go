package redact

import "sync/atomic"

// memo remembers names that were found harmless: those of a service repeat with
// each request. It keeps the first name of each slot, so that it has a bound
// and nobody can push out what is in it.
type memo struct {
	slots [512]atomic.Pointer[string]
}

// memoName is how long a name may be to be remembered.
const memoName = 48

func (m *memo) has(name []byte) bool {
	known := m.slot(name).Load()
	return known != nil && *known == string(name)
}

func (m *memo) add(name []byte) {
	if len(name) > memoName {
		return
	}
	if slot := m.slot(name); slot.Load() == nil {
		s := string(name)
		slot.Store(&s)
	}
}

// slot hashes the start of a name (FNV-1a).
func (m *memo) slot(name []byte) *atomic.Pointer[string] {
	hash := uint32(2166136261)
	for _, c := range name[:min(len(name), memoName)] {
		hash = (hash ^ uint32(c)) * 16777619
	}
	return &m.slots[(hash^hash>>16)%uint32(len(m.slots))]
}
