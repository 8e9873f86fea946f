package disk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holders says who keeps the disk from being let go of: processes with an open
// file on it here, and mount namespaces that have it mounted, each by the
// oldest process that is in it.
func (d Disk) holders() string {
	const enough = 5
	loops, err := d.loops()
	if err != nil || len(loops) == 0 {
		return "it was let go of just now: try again"
	}
	device, err := number(loops[0])
	if err != nil {
		return err.Error()
	}
	point, err := resolve(d.MountPoint)
	if err != nil {
		return err.Error()
	}
	var found []string
	own, _ := os.Readlink("/proc/self/ns/mnt")
	told := map[string]bool{own: true}
	for _, pid := range processes() {
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		if file := openBelow(proc, point, loops[0].Device); file != "" {
			found = append(found, fmt.Sprintf("process %d (%s) has %s open", pid, command(proc), file))
		}
		namespace, err := os.Readlink(filepath.Join(proc, "ns/mnt"))
		if err != nil || told[namespace] {
			continue
		}
		told[namespace] = true
		if at := mountedAt(proc, device); at != "" {
			found = append(found, fmt.Sprintf("process %d (%s) has it mounted at %s", pid, command(proc), at))
		}
	}
	if len(found) == 0 {
		return fmt.Sprintf("no process that could be seen; look for other mounts of %s and for mounts below %s", loops[0].Device, point)
	}
	if more := len(found) - enough; more > 0 {
		found = append(found[:enough], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(found, "; ")
}

// processes are the numbers of all, the oldest first unless numbers wrapped.
func processes() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// openBelow is a file at or below the mount point, or the device itself, that
// the process has open or works in.
func openBelow(proc, point, device string) string {
	fds, _ := filepath.Glob(filepath.Join(proc, "fd", "*"))
	for _, link := range append(fds, filepath.Join(proc, "cwd"), filepath.Join(proc, "root")) {
		// By name: to look at a file of an xfs that was shut down is an error.
		file, err := os.Readlink(link)
		if err == nil && (file == point || file == device || strings.HasPrefix(file, point+"/")) {
			return file
		}
	}
	return ""
}

// mountedAt is where the device is mounted in the process's mount namespace.
func mountedAt(proc string, device uint64) string {
	const number, mountPoint = 2, 4 // see proc_pid_mountinfo(5)
	want := fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	raw, _ := os.ReadFile(filepath.Join(proc, "mountinfo"))
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > mountPoint && fields[number] == want {
			return fields[mountPoint]
		}
	}
	return ""
}

// command is the process's command line.
func command(proc string) string {
	raw, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
	return strings.TrimSpace(string(bytes.ReplaceAll(raw, []byte{0}, []byte{' '})))
}
