package proxy

import (
	"fmt"
	"sync"
	"time"
)

// chorus is how long nothing is said again about connections that fail.
const chorus = 10 * time.Second

// Narrate returns an OnEvent that says in words what happens: faults each time,
// connections that fail once in ten seconds for each proxy and kind of failure,
// since a pool tries many times a second. say is called from many goroutines.
func Narrate(say func(text string)) func(Event) {
	var mu sync.Mutex
	said := make(map[string]time.Time)
	return func(e Event) {
		switch e.Kind {
		case FaultOn:
			// A lease over a day is told by its date.
			layout := time.TimeOnly
			if e.Fault.ExpiresAt.Sub(e.At) > 24*time.Hour {
				layout = time.DateOnly
			}
			say(fmt.Sprintf("chaos: %s is on, until %s", e.Fault.ID, e.Fault.ExpiresAt.Format(layout)))
			return
		case FaultOff, FaultExpired:
			say(fmt.Sprintf("chaos: %s is off after %d hits (%s)", e.Fault.ID, e.Fault.Hits, e.Kind))
			return
		}
		key := e.Proxy + "\x00" + string(e.Kind)
		mu.Lock()
		last, known := said[key]
		quiet := known && e.At.Sub(last) < chorus
		if !quiet {
			said[key] = e.At
		}
		mu.Unlock()
		switch {
		case quiet:
		case e.Err != nil:
			say(fmt.Sprintf("%s: %s: %v", e.Proxy, e.Kind, e.Err))
		default:
			say(fmt.Sprintf("%s: %s", e.Proxy, e.Kind))
		}
	}
}
