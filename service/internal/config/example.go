package config

import (
	"fmt"
	"strings"
)

// Example is the text of .env.example: every variable with its meaning and its
// default. A copy of it is a valid .env.
func Example() string {
	var b strings.Builder
	b.WriteString("# The service's configuration. Copy this file to .env and change what you need;\n" +
		"# the environment overrides it. Check it with: go run ./service/cmd/server config check\n" +
		"#\n" +
		"# Generated from service/internal/config/config.go; make it anew with:\n" +
		"#   go run ./service/cmd/server config example > .env.example\n")
	for _, v := range variables() {
		if v.Section != "" {
			fmt.Fprintf(&b, "\n# --- %s ---\n", v.Section)
		}
		fmt.Fprintf(&b, "\n# %s\n", v.Doc)
		if rules := v.rules(); rules != "" {
			fmt.Fprintf(&b, "# %s\n", rules)
		}
		fmt.Fprintf(&b, "%s=%s\n", v.Name, v.Default)
	}
	return b.String()
}

// rules says which values pass, for the reader of .env.example.
func (v variable) rules() string {
	if list := v.tag.Get("oneof"); list != "" {
		return "One of " + strings.ReplaceAll(list, ",", ", ") + "."
	}
	low, high := v.tag.Get("min"), v.tag.Get("max")
	switch {
	case low != "" && high != "":
		return fmt.Sprintf("From %s to %s.", low, high)
	case low != "":
		return fmt.Sprintf("At least %s.", low)
	}
	return ""
}
