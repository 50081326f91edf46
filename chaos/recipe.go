package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Recipe explains one fault to people. Its name is put behind that of a
// dependency: latency on db is db-latency.
type Recipe struct {
	Fault   string // "slow-close"
	Summary string // what it does, in a line
	Value   string // what VALUE means; empty when there is none
	Example string // "db-latency 500ms"
	Client  string // what a client of the dependency sees
}

// Options are the flags that go with a recipe.
type Options struct {
	For         time.Duration // the lease; 0 is DefaultLease
	Probability float64       // share of connections; 0 is 1
	Jitter      time.Duration // of latency
	Stream      string        // Downstream or Upstream; empty leaves it to the fault
}

// kind is all that is known about one fault.
type kind struct {
	typ    string
	recipe Recipe
	// whole says that it acts on the connection as a whole and has no stream.
	whole bool
	// bothWays says that with no stream it acts in both directions.
	bothWays   bool
	attributes []attribute
	// parse turns the value and the flags into attributes. It is not called
	// with an empty value unless optional is set.
	parse    func(value string, flags Options) (map[string]any, *UsageError)
	optional bool // a value may be left out
	bare     bool // there is no value
}

// kinds gives the faults in the order in which people are shown them.
func kinds() []kind {
	return []kind{
		latencyKind(), downKind(), timeoutKind(), resetKind(),
		bandwidthKind(), slowCloseKind(), limitDataKind(), slicerKind(),
	}
}

// Recipes explains every fault, in the same order each time.
func Recipes() []Recipe {
	var recipes []Recipe
	for _, k := range kinds() {
		recipes = append(recipes, k.recipe)
	}
	return recipes
}

// Parse turns what a person types into a specification that has passed Check:
// "db-latency" and "500ms". Every error is a *UsageError.
func Parse(name, value string, flags Options, targets []Target) (Spec, error) {
	target, k, err := find(name, targets)
	if err != nil {
		return Spec{}, err
	}
	full := target + "-" + k.recipe.Fault
	example := target + strings.TrimPrefix(k.recipe.Example, "db")
	spec := Spec{Target: target, Type: k.typ, Stream: flags.Stream, Probability: flags.Probability, For: flags.For}
	switch {
	case k.bare && value != "":
		return Spec{}, usage(full+" takes no value, not "+quoted(value), "type "+example)
	case !k.bare && !k.optional && value == "":
		return Spec{}, usage(fmt.Sprintf("%s needs a value: %s", full, k.recipe.Value), "as in "+example)
	case flags.Jitter != 0 && k.typ != Latency:
		return Spec{}, usage(full+" has no jitter", "jitter goes with latency, as in "+target+"-latency 500ms±100ms")
	case flags.Jitter < 0:
		return Spec{}, usage(fmt.Sprintf("%s: jitter %s is negative", full, flags.Jitter), "as in 100ms")
	}
	if k.parse != nil {
		attributes, bad := k.parse(value, flags)
		if bad != nil {
			return Spec{}, usage(full+": "+bad.What, bad.Hint+"; for example "+example)
		}
		spec.Attributes = attributes
	}
	return Check(spec)
}

// find splits a name into dependency and fault. The names of dependencies may
// have dashes themselves, so a split that gives a known fault wins, and among
// those the longest dependency.
func find(name string, targets []Target) (string, kind, error) {
	if len(targets) == 0 {
		return "", kind{}, usage(quoted(name)+": there is no dependency to act on", "describe one under dependencies")
	}
	all := kinds()
	var target, unknown string
	var found *kind
	for _, t := range targets {
		fault, ok := strings.CutPrefix(name, t.Name+"-")
		if !ok {
			continue
		}
		i := slices.IndexFunc(all, func(k kind) bool { return k.recipe.Fault == fault })
		switch {
		case i >= 0 && (found == nil || len(t.Name) > len(target)):
			target, found = t.Name, &all[i]
		case i < 0 && found == nil && len(t.Name) > len(unknown):
			unknown = t.Name
		}
	}
	if found != nil {
		return target, *found, nil
	}
	return "", kind{}, notFound(name, unknown, targets, all)
}

// notFound says which half of a name is wrong. target is the dependency that
// the name does begin with, if any.
func notFound(name, target string, targets []Target, all []kind) *UsageError {
	var names, faults, dependencies []string
	for _, k := range all {
		faults = append(faults, k.recipe.Fault)
	}
	for _, t := range targets {
		dependencies = append(dependencies, t.Name)
		for _, f := range faults {
			names = append(names, t.Name+"-"+f)
		}
	}
	what := quoted(name) + " is no fault that is known"
	hint := "a fault is named DEPENDENCY-FAULT: dependencies " + strings.Join(dependencies, ", ") + "; faults " + strings.Join(faults, ", ")
	if target != "" {
		what = target + " has no fault " + quoted(strings.TrimPrefix(name, target+"-"))
		hint = target + " has the faults " + strings.Join(faults, ", ")
	} else if i := slices.IndexFunc(faults, func(f string) bool { return strings.HasSuffix(name, "-"+f) }); i >= 0 {
		what = "there is no dependency " + quoted(strings.TrimSuffix(name, "-"+faults[i]))
		hint = "there are the dependencies " + strings.Join(dependencies, ", ")
	}
	if near, ok := nearest(name, names); ok {
		hint = "did you mean " + near + "?"
	}
	return usage(what, hint)
}
