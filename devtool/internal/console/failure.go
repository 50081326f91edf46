package console

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes, part of the contract of the command line.
const (
	ExitOK      = 0 // as asked
	ExitNo      = 1 // the answer is no: a replay differs, the environment is not valid
	ExitUsage   = 2 // wrong usage
	ExitNoStack = 3 // no stack is running
	ExitFailed  = 4 // the machine or a dependency failed
)

// Failure is an error that says how the command ends and what to type next.
type Failure struct {
	Exit  int
	Text  string // what happened, in what; may be empty when Cause says it all
	Hint  string // the next thing to type; may hold several lines
	Cause error
}

// Fail returns a Failure without a cause.
func Fail(exit int, hint, format string, args ...any) *Failure {
	return &Failure{Exit: exit, Hint: hint, Text: fmt.Sprintf(format, args...)}
}

// Wrap gives err an exit code and a hint.
func Wrap(err error, exit int, hint string) *Failure {
	return &Failure{Exit: exit, Hint: hint, Cause: err}
}

func (f *Failure) Error() string {
	switch {
	case f.Cause == nil:
		return f.Text
	case f.Text == "":
		return f.Cause.Error()
	}
	return f.Text + ": " + f.Cause.Error()
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// hinted is any error that knows the next thing to type, whichever package it
// comes from.
type hinted interface {
	error
	NextStep() string
}

// NextStep is the failure's hint.
func (f *Failure) NextStep() string { return f.Hint }

// HintOf finds the first hint in err's chain.
func HintOf(err error) string {
	var h hinted
	for errors.As(err, &h) {
		if hint := h.NextStep(); hint != "" {
			return hint
		}
		err = errors.Unwrap(h)
	}
	return ""
}

// Silent is an error that ends a command with a code and prints nothing: the
// command has said it all.
type Silent int

func (s Silent) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// Report prints err as the contract says and returns the exit code.
func Report(s *Streams, err error) int {
	if err == nil {
		return ExitOK
	}
	var quiet Silent
	if errors.As(err, &quiet) {
		return int(quiet)
	}
	exit := ExitFailed
	var f *Failure
	if errors.As(err, &f) {
		exit = f.Exit
	} else if errors.Is(err, context.Canceled) {
		s.Saying("stopped")
		return 130 // as shells report an interrupt
	}
	s.Saying("%s %s", Paint(s.Color, Red, "error:"), err)
	if hint := HintOf(err); hint != "" {
		s.Saying("%s %s", Paint(s.Color, Cyan, "hint:"), hint)
	}
	return exit
}
