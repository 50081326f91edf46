package reload

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	// eventDelay is how long air waits after a change for the others that belong
	// to it. It adds to every reload; air does not work with 0.
	eventDelay = 50 // ms
	// pollInterval is the least that air accepts.
	pollInterval = 500 // ms
	// interruptDelay is how long a hand-over may take to end its build.
	interruptDelay = 2000 // ms
)

// airConfig is the configuration of an air that works for the watcher in dir
// (the keys: air v1.67.4, runner/config.go).
func airConfig(s scope, dir string, command []string, poll bool) string {
	var quoted []string
	for _, word := range command {
		quoted = append(quoted, shellQuote(word))
	}
	// exec: no shell is left between air and the hand-over. A command that begins
	// so is also one that air does not quote once more.
	run := "exec " + strings.Join(quoted, " ")

	below := "^" + regexp.QuoteMeta(s.Root) + "/(.*/)?"
	excluded := []string{`_test\.go$`, `/[._#][^/]*\.go$`}
	for _, name := range neverWatched {
		excluded = append(excluded, below+regexp.QuoteMeta(name)+"/")
	}

	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by devtool at each start; changes are lost.")
	line("root = %s", tomlString(s.Root))
	line("tmp_dir = %s", tomlString(dir))
	line("")
	line("[build]")
	line("cmd = %s", tomlString(run+" "+StageBuild+configFlag+shellQuote(planPath(dir))))
	line("full_bin = %s", tomlString(run+" "+StageRest+configFlag+shellQuote(planPath(dir))))
	line("entrypoint = [%s]", tomlString(command[0])) // full_bin is what runs; without this air warns
	line("include_ext = %s", tomlList(s.Extensions))
	line("exclude_dir = %s", tomlList(s.skipped()))
	line("exclude_regex = %s", tomlList(excluded))
	// air would compare checksums, but forgets those of files that were saved
	// within the delay: what is taken back later would not be built. go build
	// knows better what has changed.
	line("exclude_unchanged = false")
	line("delay = %d", eventDelay)
	line("poll = %t", poll)
	line("poll_interval = %d", pollInterval)
	line("stop_on_error = true") // otherwise the rest is built after a failed build
	line("send_interrupt = true")
	line("kill_delay = %d", interruptDelay)
	line("")
	line("[color]")
	line(`mode = "never"`)
	line("")
	line("[misc]")
	line(`startup_banner = ""`)
	return b.String()
}

// configFlag is how a hand-over is told its plan.
const configFlag = " --config "

// shellQuote makes one word for sh of any text.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// tomlString quotes s as a basic string (TOML 1.0, String).
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func tomlList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = tomlString(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
