package kind

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"blackout/e2e/workspace"
)

// idLength is that of a container's id in full, which no path contains by chance.
const idLength = 64

// Replaced in tests.
var (
	procRoot = "/proc"
	kill     = syscall.Kill
)

// members are the processes of one container that this process sees.
type members struct {
	pids    []int
	freezer *freezer // that holds them, if it is seen too
	outside int      // how many of them it does not hold
}

// doom kills all processes of all these nodes, each node's first process before
// any other: with it the kernel lets nothing new begin in the node. Frozen ones
// die as they thaw, without running another instruction. The engine alone would
// kill the first process, thaw, and leave the others running until the kernel
// gets to them: measured, up to 0.6 s on a busy machine, in which nodes see each
// other die and data is written. It reports whether it could: the processes may
// be another machine's, or another user's.
func (p *Provider) doom(nodes []container) (all bool, err error) {
	var inits, others []int
	byNode, err := membersOf(nodes)
	if err != nil {
		return false, err
	}
	for i, c := range nodes {
		seen := false
		for _, pid := range byNode[i].pids {
			if pid == c.State.Pid {
				inits, seen = append(inits, pid), true
			} else {
				others = append(others, pid)
			}
		}
		if !seen {
			return false, nil
		}
	}
	for _, pid := range append(inits, others...) {
		switch err := kill(pid, syscall.SIGKILL); {
		case errors.Is(err, syscall.EPERM):
			return false, nil
		case err != nil && !errors.Is(err, syscall.ESRCH): // that one is dead
			return false, fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return true, nil
}

// membersOf lists, for each container, the processes in its control group and
// below. Engines put the container's id into the group's path, so that nothing
// of another machine's engine is ever found.
func membersOf(nodes []container) ([]members, error) {
	for _, c := range nodes {
		if len(c.ID) != idLength {
			return nil, fmt.Errorf("the engine gives %q as the id of node %s", c.ID, c.Name)
		}
	}
	paths, err := filepath.Glob(filepath.Join(procRoot, "[0-9]*", "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := make([]members, len(nodes))
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		groups := string(raw)
		for i, c := range nodes {
			if !strings.Contains(groups, c.ID) {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return nil, fmt.Errorf("list processes: %w", err)
			}
			f := findFreezer(groups, c.ID)
			if f == nil {
				// The older control groups let a process go when it ends.
				if zombie, _ := workspace.Zombie(filepath.Dir(path)); zombie {
					continue
				}
				found[i].outside++
			} else {
				found[i].freezer = f
			}
			found[i].pids = append(found[i].pids, pid)
		}
	}
	return found, nil
}

// remains tells which of these dead nodes has a process yet, or "".
func remains(nodes []container) (string, error) {
	byNode, err := membersOf(nodes)
	if err != nil {
		return "", err
	}
	for i, c := range nodes {
		if left := byNode[i].pids; len(left) > 0 {
			return fmt.Sprintf("node %s has %d processes yet, one is %d", c.Name, len(left), left[0]), nil
		}
	}
	return "", nil
}
