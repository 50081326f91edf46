//go:build !linux

package process

import (
	"fmt"
	"os/exec"
	"strings"
)

// Holder names who listens on a TCP port of this machine, as "pid 812 (nginx)",
// or "" when that cannot be seen.
func Holder(port int) string {
	out, err := exec.Command("lsof", "-nP", fmt.Sprintf("-iTCP:%d", port), "-sTCP:LISTEN", "-Fpc").Output()
	if err != nil {
		return ""
	}
	pid, name := "", ""
	for _, line := range strings.Split(string(out), "\n") {
		switch {
		case pid == "" && strings.HasPrefix(line, "p"):
			pid = line[1:]
		case name == "" && strings.HasPrefix(line, "c"):
			name = line[1:]
		}
	}
	if pid == "" {
		return ""
	}
	return fmt.Sprintf("pid %s (%s)", pid, name)
}
