package parity

import (
	"fmt"
	"strings"
)

// Document is the known differences as tables for docs/parity.md, one for each
// suite.
func Document(suites []Suite, known []Difference) string {
	byID := map[string]Difference{}
	for _, d := range known {
		byID[d.ID] = d
	}
	var b strings.Builder
	for _, s := range suites {
		fmt.Fprintf(&b, "\n### %s\n\n| behaviour | what it means |\n|---|---|\n", s.Kind)
		for _, behaviour := range s.Behaviours {
			d, ok := byID[behaviour.ID]
			if !ok {
				continue
			}
			means := d.Means
			if d.Source != "" {
				means += " ([source](" + d.Source + "))"
			}
			_, name, _ := strings.Cut(d.ID, "/")
			fmt.Fprintf(&b, "| %s: %s | %s |\n", name, cell(behaviour.What), cell(means))
		}
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "|", "\\|") }
