package proxy

import (
	"time"

	"example.com/goldenpath/chaos"
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	FaultOn      EventKind = "fault on"      // applied, or changed
	FaultOff     EventKind = "fault off"     // cleared
	FaultExpired EventKind = "fault expired" // its lease ran out
	// Unreachable: the dependency did not accept a connection. The client's was
	// reset.
	Unreachable EventKind = "dependency unreachable"
	// Refused: a new connection was reset at once, by the fault.
	Refused EventKind = "connection refused"
	// ListenFailed: the proxy could not listen, or accept. It tries again.
	ListenFailed EventKind = "listen failed"
)

// Event is something that happened to a proxy.
type Event struct {
	At    time.Time
	Kind  EventKind
	Proxy string
	Fault chaos.Fault // for the kinds that are about one
	Err   error       // for those that are failures
}

// tell hands an event out. The engine's lock must not be held.
func (e *Engine) tell(event Event) {
	event.At = e.config.Now()
	e.config.OnEvent(event)
}
