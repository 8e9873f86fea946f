package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"blackout/e2e/engine"
)

const (
	docker = "docker"
	podman = "podman"

	// Docker 20.10 is the oldest that Blackout was run with.
	oldestDockerMajor = 20
	oldestDockerMinor = 10
)

// caller is who asks: what "make engine" and a build may install.
type caller struct {
	root   bool
	debian bool
}

func (c caller) installs() bool { return c.root && c.debian }

// engineFacts is what engine.Detect returned, and whether Docker's daemon is
// installed so that it could be started.
type engineFacts struct {
	engine  *engine.Engine
	err     error
	dockerd bool
}

func checkEngine(f engineFacts, by caller) Check {
	c := Check{Name: "engine"}
	if f.err != nil {
		return checkNoEngine(c, f, by)
	}
	c.Status, c.Found = OK, f.engine.Name+" "+f.engine.Version
	switch f.engine.Name {
	case podman:
		c.Status = Warn
		c.Means = "kind calls its support for Podman experimental, and no run of Blackout was ever made on it"
		c.Do = "use docker 20.10 or newer if a run fails in a way that has nothing to do with Longhorn"
	case docker:
		if old, known := olderThan(f.engine.Version, oldestDockerMajor, oldestDockerMinor); known && old {
			c.Status = Warn
			c.Means = "kind's node images were not tried on an engine this old"
			c.Do = fmt.Sprintf("install docker %d.%d or newer", oldestDockerMajor, oldestDockerMinor)
		}
	}
	return c
}

// checkNoEngine follows engine.Ensure: what that would install or start by
// itself is a warning only.
func checkNoEngine(c Check, f engineFacts, by caller) Check {
	c.Found = clientSays(f.err)
	c.Means = "nothing runs without a container engine"
	mends := by.installs() || by.root && f.dockerd
	switch {
	case errors.Is(f.err, engine.ErrPermission):
		c.Status = Fail
		c.Do = "run as root, or add yourself to the engine's group and log in again"
	case errors.Is(f.err, engine.ErrNotRunning):
		c.Status, c.Do = Fail, "start the engine as root (make engine does it for docker)"
		if mends {
			c.Status, c.Do = Warn, "nothing needed: the first run starts it, or start it now with make engine"
		}
	case errors.Is(f.err, engine.ErrNone):
		c.Status, c.Do = Fail, "install docker 20.10 or newer and start it; as root on Debian or Ubuntu make engine does it"
		if mends {
			c.Status, c.Do = Warn, "nothing needed: the first run installs Debian's docker package, or do it now with make engine"
		}
	default:
		c.Status, c.Do = Unknown, "mend what the engine's client complains of and ask again"
	}
	return c
}

// clientSays is the error without its remedy, on one line.
func clientSays(err error) string {
	for _, plain := range []error{engine.ErrNone, engine.ErrPermission} {
		if errors.Is(err, plain) {
			return plain.Error()
		}
	}
	var said []string
	for line := range strings.Lines(err.Error()) {
		problem, _, _ := strings.Cut(strings.TrimSpace(line), "; ")
		said = append(said, problem)
	}
	return strings.Join(said, "; ")
}

// olderThan compares the first two numbers. Versions are not always semantic:
// "18.09.1" is none.
func olderThan(version string, major, minor int) (old, known bool) {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	gotMajor, err := strconv.Atoi(first)
	if err != nil {
		return false, false
	}
	gotMinor, err := strconv.Atoi(second)
	if err != nil {
		return false, false
	}
	return gotMajor < major || gotMajor == major && gotMinor < minor, true
}

// capabilityFacts is what the bounding sets lack.
type capabilityFacts struct {
	own       []string
	engine    *engine.Engine // nil if none answers
	daemon    []string
	daemonErr error
	// daemonHere: the daemon is a process of this machine, so that its set could
	// be read at all.
	daemonHere bool
	runtime    string // the daemon's default
}

func checkCapabilities(f capabilityFacts) Check {
	c := Check{Name: "capabilities"}
	ownText := "this process lacks none"
	if len(f.own) > 0 {
		ownText = "this process lacks " + strings.Join(f.own, ", ")
	}
	const wrapped = "the engine starts containers through the runtime " + engine.RuntimeName +
		", which leaves out what it cannot give, and the nodes run with KubeletInUserNamespace"
	switch {
	case f.engine == nil && len(f.own) == 0:
		c.Status, c.Found = OK, ownText
	case f.engine == nil:
		c.Status, c.Found = Warn, ownText
		c.Means = "privileged containers fail here under an ordinary runtime. With an engine that Blackout starts, " + wrapped
		c.Do = "let make engine start the engine"
	case f.engine.Name == docker && !f.daemonHere:
		c.Status, c.Found = Unknown, ownText+"; docker's daemon is no process of this machine"
		c.Means = "if the daemon lacks capabilities, the nodes do not start"
		c.Do = "nothing, or use an engine on this machine"
	case f.daemonErr != nil:
		c.Status, c.Found = Unknown, ownText+"; of the daemon: "+f.daemonErr.Error()
		c.Means = "if the daemon lacks capabilities, the nodes do not start"
		c.Do = "run as root to find out"
	case len(f.daemon) == 0:
		c.Status, c.Found = OK, ownText+", nor does the engine's daemon"
		if len(f.own) > 0 {
			c.Found = ownText + ", the engine's daemon none"
		}
	case f.engine.Name != docker:
		c.Status, c.Found = Warn, f.engine.Name+" lacks "+strings.Join(f.daemon, ", ")
		c.Means = "privileged nodes probably do not start, and the runtime that helps is for docker only"
		c.Do = "use docker, or a machine that allows these capabilities"
	default:
		return checkWrapper(c, f, wrapped)
	}
	return c
}

// checkWrapper is for a docker daemon that lacks capabilities.
func checkWrapper(c Check, f capabilityFacts, wrapped string) Check {
	lacks := "the engine's daemon lacks " + strings.Join(f.daemon, ", ")
	if f.runtime == engine.RuntimeName {
		c.Status = OK
		c.Found = lacks + "; its default runtime is " + engine.RuntimeName + ", nodes get KubeletInUserNamespace"
		c.Means = wrapped
		return c
	}
	if f.runtime == "" {
		c.Status, c.Found = Unknown, lacks+"; its default runtime is not known"
		c.Means = "nodes start only under the runtime " + engine.RuntimeName
		c.Do = "run make engine, which says what is wrong"
		return c
	}
	c.Status = Fail
	c.Found = fmt.Sprintf("%s; its default runtime is %s", lacks, f.runtime)
	c.Means = "kind's privileged nodes do not start, and Blackout does not change a daemon it did not start"
	c.Do = "stop that daemon and run make engine, or run make engine for the lines that /etc/docker/daemon.json needs"
	return c
}

// daemonHere looks for docker's daemon among the processes.
func daemonHere(root string) bool {
	paths, err := filepath.Glob(filepath.Join(root, "/proc/[0-9]*/comm"))
	if err != nil {
		return false
	}
	for _, path := range paths {
		if name, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(name)) == "dockerd" {
			return true
		}
	}
	return false
}
