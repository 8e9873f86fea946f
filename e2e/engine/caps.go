package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilityNames in the kernel's numbering, see capability.h and
// capabilities(7).
var capabilityNames = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// MissingCapabilities lists the capabilities that this process's bounding set
// lacks: nothing started from here can ever have them, and a runtime that asks
// for them fails. The order is the kernel's.
func MissingCapabilities() []string {
	var missing []string
	for number, name := range capabilityNames {
		// An error means that the running kernel does not know the capability.
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(number), 0, 0, 0)
		if err == nil && has == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// missingFromMask does the same for a CapBnd line of /proc/PID/status; the
// kernel knows capabilities up to the number last.
func missingFromMask(mask uint64, last int) []string {
	var missing []string
	for number, name := range capabilityNames {
		if number <= last && mask&(1<<number) == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// daemonBoundingSet reads what the engine's daemon with that process id lacks.
func daemonBoundingSet(pid int) ([]string, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return nil, fmt.Errorf("read the daemon's capabilities: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				return nil, fmt.Errorf("read the daemon's capabilities: %w", err)
			}
			return missingFromMask(mask, lastCapability()), nil
		}
	}
	return nil, fmt.Errorf("read the daemon's capabilities: /proc/%d/status has no CapBnd line", pid)
}

// lastCapability is the highest number that the running kernel knows.
func lastCapability() int {
	all := len(capabilityNames) - 1
	raw, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return all
	}
	last, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return all
	}
	return last
}
