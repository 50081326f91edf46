package config

import (
	"fmt"
	"io"
)

// Problem is one thing that is wrong with the configuration. It holds no value
// of a secret.
type Problem struct {
	Variable string `json:"variable"` // empty when a line or a file cannot be read
	File     string `json:"file"`     // empty unless a .env file is the source
	Line     int    `json:"line"`     // from 1, else 0
	Source   string `json:"source"`   // ".env:12", "environment" or "default"
	Reason   string `json:"reason"`
	Hint     string `json:"hint"`
}

// Report is all that is wrong, and all that merely looks wrong.
type Report struct {
	Problems []Problem
	Warnings []Problem
}

// OK says that the configuration can be used.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Text writes the report for people: problems, then warnings.
func (r Report) Text(w io.Writer) error {
	for _, kind := range []struct {
		word string
		list []Problem
	}{{"problem", r.Problems}, {"warning", r.Warnings}} {
		for _, p := range kind.list {
			subject := p.Source
			if p.Variable != "" {
				subject = fmt.Sprintf("%s (%s)", p.Variable, p.Source)
			}
			if _, err := fmt.Fprintf(w, "%s: %s: %s\n  hint: %s\n", kind.word, subject, p.Reason, p.Hint); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Report) add(p Problem) { r.Problems = append(r.Problems, p) }

func (r *Report) warn(p Problem, reason, hint string) {
	p.Reason, p.Hint = reason, hint
	r.Warnings = append(r.Warnings, p)
}

func (r *Report) names(variable string) bool {
	for _, p := range r.Problems {
		if p.Variable == variable {
			return true
		}
	}
	return false
}
