package reload

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// polled are file systems whose changes are made on another machine or kernel,
// which inotify here does not see. They are known by name: statfs(2) tells a
// fuse mount from Docker Desktop and a local fuse-overlayfs by the same number.
var polled = map[string]string{
	"9p":               "a drive of the host (WSL or a virtual machine)",
	"drvfs":            "a Windows drive",
	"virtiofs":         "a folder of the host",
	"vboxsf":           "a VirtualBox shared folder",
	"prl_fs":           "a Parallels shared folder",
	"fuse.vmhgfs":      "a VMware shared folder",
	"fuse.vmhgfs-fuse": "a VMware shared folder",
	"fuse.grpcfuse":    "a folder of the host (Docker Desktop)",
	"fuse.osxfs":       "a folder of the host (Docker Desktop)",
	"osxfs":            "a folder of the host (Docker Desktop)",
	"fakeowner":        "a folder of the host (Docker Desktop)",
	"fuse.sshfs":       "a folder of another machine",
	"nfs":              "a folder of another machine",
	"nfs4":             "a folder of another machine",
	"cifs":             "a folder of another machine",
	"smb3":             "a folder of another machine",
}

// NeedsPolling says whether changes below root must be looked for, and why, in
// words that follow "polling: ". Where mounts cannot be read it says no.
func NeedsPolling(root string) (bool, string) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, "" // not Linux
	}
	defer f.Close()
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	if root, err = filepath.Abs(root); err != nil {
		return false, ""
	}
	mount, kind := mountOf(f, root)
	if what, ok := polled[kind]; ok {
		return true, fmt.Sprintf("%s is %s (%s), whose changes the kernel does not report", mount, what, kind)
	}
	return false, ""
}

// mountOf finds where the file system that path lies on is mounted, and its type
// (mountinfo: proc(5)).
func mountOf(mountinfo io.Reader, path string) (mount, kind string) {
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 1<<20) // overlay options are long
	for lines.Scan() {
		// 36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/sda1 rw
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(tail) < 1 {
			continue
		}
		point := octal.Replace(fields[4])
		// A later line hides an earlier one at the same place.
		if contains(point, path) && len(point) >= len(mount) {
			mount, kind = point, tail[0]
		}
	}
	return mount, kind
}

// octal undoes the escapes of mountinfo.
var octal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func contains(dir, path string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}
