package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"blackout/e2e/workspace"
)

const (
	kib = 1 << 10
	gib = 1 << 30

	// comfortableMemory is what one control plane and two workers want.
	comfortableMemory = 8
	// Below warnMemory a backlog of some size brings the machine to its knees,
	// below failMemory the nodes do not even become ready. In bytes.
	warnMemory = 6 * gib
	failMemory = 4 * gib

	wantedCPUs = 2
	builtFor   = "amd64"

	// A first build fills Go's caches, root file systems, archives and the
	// engine's copy of a node image; afterwards a run's volumes and logs are left.
	firstBuildSpace = 12 * gib
	runSpace        = 5 * gib
)

func inGiB(bytes uint64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/gib) }

func checkMemory(root string) Check {
	c := Check{Name: "memory", Means: "too little memory looks like a fault of Longhorn: pods get killed in the middle of a run"}
	const meminfo = "/proc/meminfo"
	text, err := read(root, meminfo)
	if err != nil {
		c.Status, c.Found, c.Do = Unknown, err.Error(), "check with: free -g"
		return c
	}
	total, totalOK := memoryField(text, "MemTotal:")
	available, availableOK := memoryField(text, "MemAvailable:")
	if !totalOK || !availableOK {
		c.Status, c.Found, c.Do = Unknown, meminfo+" does not say what is available", "check with: free -g"
		return c
	}
	c.Status, c.Found = OK, fmt.Sprintf("%s available of %s", inGiB(available), inGiB(total))
	c.Do = fmt.Sprintf("free some memory: one control plane and two workers want %d GiB; or use fewer workers", comfortableMemory)
	switch {
	case available < failMemory:
		c.Status = Fail
	case available < warnMemory:
		c.Status = Warn
	default:
		c.Means, c.Do = "", ""
	}
	return c
}

func memoryField(meminfo, key string) (bytes uint64, ok bool) {
	for line := range strings.Lines(meminfo) {
		if rest, found := strings.CutPrefix(line, key); found {
			value, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return value * kib, err == nil
		}
	}
	return 0, false
}

func checkProcessor(count int, arch string) Check {
	c := Check{Name: "processor", Status: OK, Found: fmt.Sprintf("%d CPUs, %s", count, arch)}
	switch {
	case arch != builtFor:
		c.Status = Fail
		c.Means = "images are made and pulled for " + builtFor + " only"
		c.Do = "use a machine of that kind"
	case count < 1:
		c.Status, c.Found = Unknown, "the number of CPUs is not known"
		c.Means, c.Do = "on a single CPU runs may end inconclusive", "check with: nproc"
	case count < wantedCPUs:
		c.Status = Warn
		c.Means = "bounds and time-outs are measured on two CPUs: runs may end inconclusive"
		c.Do = fmt.Sprintf("give this machine %d CPUs or more", wantedCPUs)
	}
	return c
}

// freeSpace of the file system that holds the path.
func freeSpace(path string) (uint64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("read the free space of %s: %w", path, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}

// sources is what images can be made from.
type sources struct {
	registry error // nil: it answers
	modules  error
	warm     bool // the large parts were built before
}

// checkDisk is about the workspace; openErr says why there is none.
func checkDisk(path string, openErr error, free func(string) (uint64, error), s sources) Check {
	c := Check{Name: "disk"}
	if openErr != nil {
		found, _, _ := strings.Cut(openErr.Error(), "; ") // its remedy is ours
		c.Status, c.Found = Fail, found
		c.Means = "nothing that is built or made by a run has a place"
		c.Do = "set " + workspace.EnvRoot + " to a writable directory on a large disk"
		return c
	}
	space, err := free(path)
	if err != nil {
		c.Status, c.Found = Unknown, err.Error()
		c.Means, c.Do = "a full disk ends a run in the middle", "check with: df -h"
		return c
	}
	c.Status, c.Found = OK, fmt.Sprintf("%s free for the workspace %s", inGiB(space), path)
	c.Do = "free some space, or set " + workspace.EnvRoot + " to a larger disk"
	switch {
	case space < runSpace:
		c.Status = Fail
		c.Means = fmt.Sprintf("a run needs %s for volumes, logs and profiles", inGiB(runSpace))
	case space < firstBuildSpace && !s.warm && s.registry != nil:
		c.Status = Fail
		c.Means = fmt.Sprintf("the first build needs %s and refuses to begin", inGiB(firstBuildSpace))
	case space < firstBuildSpace && !s.warm:
		c.Status = Warn
		c.Means = fmt.Sprintf("enough while the registry answers; building the images would need %s", inGiB(firstBuildSpace))
	default:
		c.Do = ""
	}
	return c
}

// checkEngineDisk is about the engine's own data; an empty path is one that is
// not known.
func checkEngineDisk(path string, free func(string) (uint64, error)) Check {
	c := Check{Name: "engine disk", Means: "the nodes and their images live there: kubelet evicts pods when it fills up"}
	if path == "" {
		c.Status, c.Found, c.Do = Unknown, "no engine says where its data lies", "ask again when an engine runs here"
		return c
	}
	space, err := free(path)
	if err != nil {
		c.Status, c.Found, c.Do = Unknown, err.Error(), "nothing if the engine runs elsewhere, else run as root"
		return c
	}
	c.Found = fmt.Sprintf("%s free for the engine's data in %s", inGiB(space), path)
	if space < runSpace {
		c.Status, c.Do = Fail, "free some space there ("+inGiB(runSpace)+" are needed), or move the engine's data to a larger disk"
		return c
	}
	c.Status, c.Means = OK, ""
	return c
}
