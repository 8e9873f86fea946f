package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"blackout/e2e/engine"
	"blackout/e2e/images"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// Machine is what an examination needs to know beforehand.
type Machine struct {
	Timeouts scenario.Timeouts
	// RegistryPrefix names a mirror of the released images, or is empty.
	RegistryPrefix string
}

// Examine answers every question. It changes nothing that it does not undo,
// and takes as long as the slowest server: at most half a minute.
func (m Machine) Examine(ctx context.Context) Report {
	const root = "/"
	by := caller{root: os.Geteuid() == 0, debian: debianLike(root)}
	has := func(file string) bool { return commandPath(root, file) != "" }
	ws, openErr := workspace.Open()
	fixtures := ""
	if source, err := workspace.Source(); err == nil {
		fixtures = filepath.Join(source, "fixtures")
	}

	var s sources
	var asking sync.WaitGroup
	asking.Go(func() { s.warm, s.registry = probeImages(ctx, m, ws, fixtures) })
	asking.Go(func() { s.modules = askModuleProxy(ctx, images.ProbeModule, moduleProbe) })

	facts, capabilities, storage := m.probeEngine(ctx, root)
	ext4 := lossFacts{filesystem: scenario.Ext4, root: by.root, alone: true, err: openErr}
	xfs := ext4
	xfs.filesystem = scenario.XFS
	if openErr == nil {
		losses := probeLosses(ctx, ws, ext4.filesystem, xfs.filesystem)
		ext4, xfs = losses[0], losses[1]
	}
	policy, policyErr := "", error(nil)
	if by.debian {
		policy, policyErr = askPackages(ctx)
	}
	loopErr := openLoopControl(root)
	asking.Wait()

	return newReport([]Check{
		checkEngine(facts, by),
		checkCapabilities(capabilities),
		checkCgroups(root),
		checkOverlay(root, storage.driver),
		checkLoop(loopErr),
		checkLoss(ext4),
		checkLoss(xfs),
		checkInotify(root),
		checkMemory(root),
		checkProcessor(runtime.NumCPU(), runtime.GOARCH),
		checkDisk(ws.Root, openErr, freeSpace, s),
		checkEngineDisk(storage.dataRoot, freeSpace),
		checkRegistry(s, by),
		checkModules(s),
		checkPackages(by, policy, policyErr),
		checkTools(has, by),
	})
}

// storage is what the engine says of its own; empty where it says nothing.
type storage struct{ driver, dataRoot string }

func (m Machine) probeEngine(ctx context.Context, root string) (engineFacts, capabilityFacts, storage) {
	ctx, cancel := context.WithTimeout(ctx, m.Timeouts.EngineCall)
	defer cancel()
	var f engineFacts
	f.engine, f.err = engine.Detect(ctx)
	f.dockerd = commandPath(root, "dockerd") != ""
	c := capabilityFacts{own: engine.MissingCapabilities(), engine: f.engine}
	if f.engine == nil {
		return f, c, storage{}
	}
	c.daemon, c.daemonErr = f.engine.MissingCapabilities()
	c.daemonHere = daemonHere(root)
	// What it does not say stays empty, and the checks treat that as unknown.
	ask := func(format string) string {
		answer, err := f.engine.Run(ctx, "info", "--format", format)
		if err != nil {
			return ""
		}
		return answer
	}
	if f.engine.Name == podman {
		return f, c, storage{driver: ask("{{.Store.GraphDriverName}}"), dataRoot: ask("{{.Store.GraphRoot}}")}
	}
	c.runtime = ask("{{.DefaultRuntime}}")
	return f, c, storage{driver: ask("{{.Driver}}"), dataRoot: ask("{{.DockerRootDir}}")}
}

// commandPath finds a command, or a file by its absolute path; empty if there
// is none. System directories count even where they are not on a user's PATH.
func commandPath(root, name string) string {
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		candidates = []string{filepath.Join("/usr/sbin", name), filepath.Join("/sbin", name)}
	}
	for _, candidate := range candidates {
		path := filepath.Join(root, candidate)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
