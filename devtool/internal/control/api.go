// Package control is the supervisor's API: HTTP and JSON on a unix socket that
// only its user can open. Every command but up is a client of it.
package control

import (
	"context"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/devtool/internal/reload"
)

// State of the stack, of a process or of a dependency.
type State string

// The states.
const (
	Starting State = "starting"
	Running  State = "running"
	Failed   State = "failed" // ended by itself; being started again, after a pause
	Stopping State = "stopping"
)

// Status is what `devtool status --json` prints.
type Status struct {
	State        State             `json:"state"`
	Engine       string            `json:"engine"`
	Endpoints    map[string]string `json:"endpoints"`
	Processes    []Process         `json:"processes"`
	Dependencies []Dependency      `json:"dependencies"`
	Faults       []chaos.Fault     `json:"faults"`
	Reload       Reload            `json:"reload"`
	Supervisor   Supervisor        `json:"supervisor"`
	Project      string            `json:"project"`
	Captures     string            `json:"captures"` // directory of the captured requests
	Moved        []Moved           `json:"moved,omitempty"`
	// Forwarded has the addresses at which GitHub Codespaces forwards the
	// endpoints; the command that prints the status fills it in.
	Forwarded map[string]string `json:"forwarded,omitempty"`
}

// Process is a program of the project.
type Process struct {
	Name     string            `json:"name"`
	State    State             `json:"state"`
	PID      int               `json:"pid"`
	Restarts int               `json:"restarts"` // after it ended by itself
	Listen   map[string]string `json:"listen,omitempty"`
}

// Dependency is a server behind its proxy.
type Dependency struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	State    State  `json:"state"`
	Upstream string `json:"upstream"` // the real server
	Proxy    string `json:"proxy"`    // what processes are told
	Server   string `json:"server"`   // what it is: "PostgreSQL 15.18 (…)"
	PID      int    `json:"pid,omitempty"`
	Restarts int    `json:"restarts"`
}

// Reload is the receipt of the hot reloads since up.
type Reload struct {
	Count     int    `json:"count"`   // builds that were swapped in
	Held      int64  `json:"held"`    // requests that waited at the gateway
	Dropped   int64  `json:"dropped"` // requests that failed because of a swap or a lost process
	LastMS    int64  `json:"last_ms"` // from the change noticed to the new code serving
	Failed    int    `json:"failed"`  // builds that did not compile or did not become ready
	LastError string `json:"last_error,omitempty"`
	Watching  string `json:"watching"` // "inotify", "polling: <why>", "off: <why>"
}

// Supervisor is the process that answers.
type Supervisor struct {
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
	Detached bool      `json:"detached"`
}

// Moved tells of a port that was taken.
type Moved struct {
	Name   string `json:"name"`
	Wanted int    `json:"wanted"`
	Got    int    `json:"got"`
	Holder string `json:"holder,omitempty"` // "pid 812 (nginx)" when known
}

// Event is something that happened while the stack came up or ran. `up --json`
// prints one a line.
type Event struct {
	Time   time.Time `json:"time"`
	Kind   string    `json:"event"` // step, note, say, ready, down, failed
	Name   string    `json:"name,omitempty"`
	State  string    `json:"state,omitempty"` // of a step: begin, end, fail
	Detail string    `json:"detail,omitempty"`
	MS     int64     `json:"ms,omitempty"`
	Hint   string    `json:"hint,omitempty"`
	Status *Status   `json:"status,omitempty"` // of ready
}

// Line is a line of output of a process.
type Line struct {
	Time time.Time `json:"time"`
	Name string    `json:"name"`
	Text string    `json:"text"`
}

// LogQuery selects lines.
type LogQuery struct {
	Names  []string // none: all
	Tail   int      // the last so many; 0: what is kept; -1: only what comes
	Follow bool
}

// ResetReport says what a reset did.
type ResetReport struct {
	MS       int64            `json:"ms"`
	Parts    map[string]int64 `json:"parts_ms"`
	Cleared  int              `json:"faults_cleared"`
	Rebuilt  bool             `json:"template_rebuilt"` // migrations or seeds had changed
	Profile  string           `json:"profile"`
	InFlight int64            `json:"in_flight"` // requests that did not end in time and may have failed
}

// SeedRequest asks for a data set.
type SeedRequest struct {
	Profile string `json:"profile"` // "" is the project's own
	Scale   int    `json:"scale"`
	Verify  bool   `json:"verify"`
}

// SeedReport says what the database now holds.
type SeedReport struct {
	Profile string      `json:"profile"`
	Scale   int         `json:"scale"`
	Tables  []SeedTable `json:"tables"`
	Digest  string      `json:"digest"` // of what the data set is
	Found   string      `json:"found"`  // of what the database holds
	Same    bool        `json:"same"`
	Differs string      `json:"differs,omitempty"` // the first table that does
	MS      int64       `json:"ms"`
}

// SeedTable is one table of a data set.
type SeedTable struct {
	Name string `json:"name"`
	Rows int    `json:"rows"`
}

// Backend is what the API is served from. Methods are safe for concurrent use
// and end when their context does.
type Backend interface {
	Status() Status
	// Down begins to take everything down and returns at once.
	Down()
	Reset(ctx context.Context) (ResetReport, error)
	Seed(ctx context.Context, r SeedRequest) (SeedReport, error)
	Restart(ctx context.Context, name string) error
	// Logs calls yield for every line that q selects, until yield fails, the
	// lines end, or, when following, ctx does.
	Logs(ctx context.Context, q LogQuery, yield func(Line) error) error
	ApplyFault(s chaos.Spec) (chaos.Fault, error)
	ClearFaults(ids ...string) ([]chaos.Fault, error)
	// Built takes the watcher's word that a build ended, and swaps the process.
	Built(r reload.Report)
}
