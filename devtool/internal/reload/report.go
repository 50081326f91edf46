// Package reload turns a saved file into a new binary. air watches and decides
// when to build; what it runs is a hand-over, this package in a process of its
// own, which builds, tells the supervisor and waits. The supervisor alone starts
// and stops the service's processes.
//
// air is GPL-3.0: it is run as a program, `go tool air`, and never imported.
package reload

import "time"

// Target is a program to build.
type Target struct {
	Process string `json:"process"` // as the supervisor calls it; lower case letters, digits, - and _
	Package string `json:"package"` // as go build takes it: ./service/cmd/server
}

// Built is a program that was built.
type Built struct {
	Process string
	// Binary is where it lies. What is at this path never changes; it stays until
	// Builder.Prune takes it away.
	Binary string
	// Digest tells one build from another: the same code gives the same digest.
	Digest string
	// Unchanged says that it is the build that was made before this one.
	Unchanged bool
	Duration  time.Duration
}

// Report is what a hand-over tells the supervisor about one target.
type Report struct {
	Process   string `json:"process"`
	OK        bool   `json:"ok"`
	Binary    string `json:"binary,omitempty"` // see Built
	Digest    string `json:"digest,omitempty"`
	Unchanged bool   `json:"unchanged"` // the same build as before: nothing to swap
	// Environment is a digest of the environment files as they were when the
	// build began. When it differs from what a process was started with, the
	// process is to be started anew, even if its binary is unchanged.
	Environment string `json:"environment"`
	// Summary is the first complaint, "note.go:12:3: undefined: x", and Output all
	// that the compiler said. Both are empty when OK.
	Summary string `json:"summary,omitempty"`
	Output  string `json:"output,omitempty"`
	// Trigger is the file that was saved last, relative to the root, and Saved
	// when that was.
	Trigger  string        `json:"trigger,omitempty"`
	Saved    time.Time     `json:"saved"`
	Began    time.Time     `json:"began"`       // when the build began
	Duration time.Duration `json:"duration_ns"` // of the build
}
