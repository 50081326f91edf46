package process

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// identity tells one process from a later one with the same pid: the boot and
// the start time in clock ticks (field 22 of /proc/PID/stat, proc(5)). A zombie
// does not run.
func identity(pid int) (string, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	// The command name in parentheses may hold anything, spaces included.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" {
		return "", false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = nil
	}
	return strings.TrimSpace(string(boot)) + "/" + string(fields[19]), true
}
