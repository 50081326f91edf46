//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// setGroup gives the program a process group of its own, so that a Ctrl-C at
// the terminal reaches the supervisor alone, which then stops things in order.
func setGroup(cmd *exec.Cmd, c *Credential) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID}
	}
}

func signalGroup(pid int, s syscall.Signal) {
	if pid > 1 {
		_ = syscall.Kill(-pid, s)
	}
}

// KillPID ends a process that is not ours to wait for.
func KillPID(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
