package main_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"example.com/goldenpath/devtool/internal/stack/embedded/binaries"
)

// postgresBinary is the server program that the stack uses.
func postgresBinary(b testing.TB) string {
	b.Helper()
	set, found, err := binaries.Find(context.Background(), binaries.SystemPlaces(os.Getenv))
	if err != nil || !found {
		b.Fatalf("find PostgreSQL: %v", err)
	}
	return set.Postgres()
}

// runAsOwner has a program run as the owner of a directory, when we are root:
// PostgreSQL refuses to be run by root.
func runAsOwner(cmd *exec.Cmd, dir string) {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return
	}
	owner := info.Sys().(*syscall.Stat_t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
}

func freePort(b testing.TB) int {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
