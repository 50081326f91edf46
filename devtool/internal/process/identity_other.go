//go:build unix && !linux

package process

import (
	"os/exec"
	"strconv"
	"strings"
)

// identity tells one process from a later one with the same pid by the time it
// was started, as ps prints it.
func identity(pid int) (string, bool) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	text := strings.TrimSpace(string(out))
	if err != nil || text == "" || strings.HasPrefix(text, "Z") {
		return "", false
	}
	_, started, _ := strings.Cut(text, " ")
	return strings.TrimSpace(started), true
}
