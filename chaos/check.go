package chaos

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// attribute is a whole number that a fault takes.
type attribute struct {
	name     string
	min, max int64
	// initial is its value when it is left out; required says that it may not be.
	initial  int64
	required bool
}

// Check returns the specification with its defaults filled in, its type by our
// name and its attributes as int64, or a *UsageError.
func Check(s Spec) (Spec, error) {
	if s.Type == "reset_peer" {
		s.Type = Reset
	}
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.typ == s.Type })
	if i < 0 {
		var types []string
		for _, k := range all {
			types = append(types, k.typ)
		}
		hint := "there are " + strings.Join(types, ", ")
		if near, ok := nearest(s.Type, types); ok {
			hint = "did you mean " + near + "?"
		}
		return Spec{}, usage("invalid fault type "+quoted(s.Type), hint)
	}
	k := all[i]
	switch {
	case s.Stream != "" && s.Stream != Downstream && s.Stream != Upstream:
		return Spec{}, usage("invalid stream "+quoted(s.Stream), "it is downstream or upstream")
	case math.IsNaN(s.Probability) || s.Probability < 0 || s.Probability > 1:
		return Spec{}, usage(fmt.Sprintf("probability %v is out of range", s.Probability), "it is above 0 and at most 1, as in 0.2")
	case s.For < 0:
		return Spec{}, usage(fmt.Sprintf("lease %s is negative", s.For), "it is how long the fault lasts, as in 30s")
	}
	if k.whole {
		s.Stream = ""
	} else if s.Stream == "" && !k.bothWays {
		s.Stream = Downstream
	}
	if s.Probability == 0 {
		s.Probability = 1
	}
	if s.For == 0 {
		s.For = DefaultLease
	}
	attributes, err := k.check(s.Attributes)
	if err != nil {
		return Spec{}, err
	}
	s.Attributes = attributes
	return s, nil
}

// check brings attributes to whole numbers within their limits.
func (k kind) check(given map[string]any) (map[string]any, error) {
	checked := make(map[string]any, len(k.attributes))
	for _, a := range k.attributes {
		value, ok := given[a.name]
		if !ok {
			if a.required {
				return nil, usage(fmt.Sprintf("%s needs the attribute %s", k.typ, a.name), k.recipe.Value)
			}
			checked[a.name] = a.initial
			continue
		}
		n, ok := whole(value)
		if !ok || n < a.min || n > a.max {
			return nil, usage(fmt.Sprintf("%s of %s is %v", a.name, k.typ, value), fmt.Sprintf("it is a whole number from %d to %d", a.min, a.max))
		}
		checked[a.name] = n
	}
	for name := range given {
		if _, ok := checked[name]; !ok {
			return nil, k.stranger(name)
		}
	}
	if average, ok := checked["average_size"]; ok && checked["size_variation"].(int64) >= average.(int64) {
		return nil, usage("size_variation is not below average_size", "as in average_size 64, size_variation 32")
	}
	return checked, nil
}

// stranger says that a fault has no such attribute.
func (k kind) stranger(name string) *UsageError {
	var names []string
	for _, a := range k.attributes {
		names = append(names, a.name)
	}
	hint := "it has " + strings.Join(names, ", ")
	if len(names) == 0 {
		hint = "it has none"
	}
	return usage(k.typ+" has no attribute "+quoted(name), hint)
}

// whole reads a number as Go or JSON has it. A fraction is refused rather than
// cut off.
func whole(value any) (int64, bool) {
	switch n := value.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
			return 0, false
		}
		return int64(n), true
	}
	return 0, false
}
