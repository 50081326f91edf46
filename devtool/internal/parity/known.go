package parity

import (
	"bytes"
	_ "embed" // differences.yaml
	"fmt"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml"
)

//go:embed differences.yaml
var differences []byte

// Difference is a behaviour that is known not to be the same on all servers.
type Difference struct {
	ID    string   `yaml:"id"`    // of the behaviour
	Means string   `yaml:"means"` // for a user, one sentence or two
	Says  []Answer `yaml:"says"`
	// Source is the documentation that an answer was taken from. Without it all
	// answers have been seen.
	Source string `yaml:"source"`
}

// Answer is what some servers do. A server may have several, as PostgreSQL has
// for two locales: each of them is known.
type Answer struct {
	Server      string `yaml:"server"` // a regular expression for Result.Server
	Observation string `yaml:"observation"`
	pattern     *regexp.Regexp
}

// Differences reads the list that is built in.
func Differences() ([]Difference, error) { return parse(differences) }

func parse(data []byte) ([]Difference, error) {
	var list []Difference
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&list); err != nil {
		return nil, fmt.Errorf("read differences.yaml: %w", err)
	}
	for i, d := range list {
		if d.ID == "" || d.Means == "" || len(d.Says) < 2 {
			return nil, fmt.Errorf("read differences.yaml: %q needs an id, what it means, and two answers", d.ID)
		}
		if slices.ContainsFunc(list[:i], func(e Difference) bool { return e.ID == d.ID }) {
			return nil, fmt.Errorf("read differences.yaml: %s is there twice", d.ID)
		}
		for j, a := range d.Says {
			pattern, err := regexp.Compile(a.Server)
			if err != nil {
				return nil, fmt.Errorf("read differences.yaml: %s: %w", d.ID, err)
			}
			list[i].Says[j].pattern = pattern
		}
	}
	return list, nil
}

// Answers are those that are listed for a server; none when it is not.
func (d Difference) Answers(server string) []string {
	var list []string
	for _, a := range d.Says {
		if a.pattern.MatchString(server) {
			list = append(list, a.Observation)
		}
	}
	return list
}

func (d Difference) lists(r Result) bool { return slices.Contains(d.Answers(r.Server), r.Observation) }

// separates says that two servers have answers and none in common.
func (d Difference) separates(a, b string) bool {
	left, right := d.Answers(a), d.Answers(b)
	return len(left) > 0 && len(right) > 0 &&
		!slices.ContainsFunc(left, func(o string) bool { return slices.Contains(right, o) })
}
