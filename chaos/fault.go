// Package chaos says what a fault is: the recipes that people type, the values
// they take, and the specification that an engine applies. It is pure: it opens
// nothing and starts nothing. Package chaos/proxy carries the faults out.
//
// To add a fault, add a file with a function that returns its kind (latency.go
// is the model) and name it in kinds.
package chaos

import "time"

// DefaultLease is how long a fault lasts when nobody says otherwise. Every
// fault ends by itself, so that one that was forgotten is not found a week
// later by somebody else.
const DefaultLease = 15 * time.Minute

// The directions of a connection, as Toxiproxy names them.
const (
	// Downstream is from the dependency to the client: the replies.
	Downstream = "downstream"
	// Upstream is from the client to the dependency: the requests.
	Upstream = "upstream"
)

// The types of faults. Latency, Bandwidth, SlowClose, LimitData, Slicer and
// Timeout are Toxiproxy's toxics of the same name; Reset is its reset_peer;
// Down is its disabled proxy.
const (
	Latency   = "latency"
	Down      = "down"
	Timeout   = "timeout"
	Reset     = "reset"
	Bandwidth = "bandwidth"
	SlowClose = "slow_close"
	LimitData = "limit_data"
	Slicer    = "slicer"
)

// Target is a dependency that faults can act on.
type Target struct {
	Name string // as in devtool.yaml: "db"
	Kind string // "postgres", "redis", "kafka" or "tcp"
}

// Spec is a fault to apply. Check gives its defaults and its limits.
type Spec struct {
	// Target is the name of the dependency: "db".
	Target string
	// Type is one of the constants of this package, or Toxiproxy's "reset_peer".
	Type string
	// Stream is Downstream or Upstream. Empty means Downstream, and both ways
	// for Timeout. Down and Reset act on the whole connection and have none.
	Stream string
	// Attributes are whole numbers by Toxiproxy's names and in its units:
	// latency, jitter, timeout and a slow close's delay are milliseconds, rate
	// is 1000 bytes a second, bytes, average_size and size_variation are bytes,
	// a slicer's delay is microseconds.
	Attributes map[string]any
	// Probability is the share of connections that the fault acts on, above 0
	// and up to 1. 0 means 1. Each connection is drawn for once.
	Probability float64
	// For is the lease. 0 means DefaultLease.
	For time.Duration
}

// Fault is a fault in force.
type Fault struct {
	// ID is what to clear it by: "db-latency".
	ID     string `json:"id"`
	Target string `json:"target"`
	Type   string `json:"type"`
	// Stream is empty for a fault that acts both ways.
	Stream      string         `json:"stream,omitempty"`
	Attributes  map[string]any `json:"attributes"`
	Probability float64        `json:"probability"`
	// Match is the expression that statements, commands or topics are matched
	// with; empty for the faults of this package, which act on connections.
	Match string `json:"match"`
	// Hits counts the connections that the fault came to act on: those that
	// were open when it was applied, and those opened since. A connection that
	// a closed port refused is seen by the kernel alone and is not counted.
	Hits      int64     `json:"hits"`
	ExpiresAt time.Time `json:"expires_at"`
}
