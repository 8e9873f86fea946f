// Package run wires the rooms together: it brings clusters up, runs the phases
// and owns the cleaning up.
package run

import (
	"context"
	"os"
	"path/filepath"

	"blackout/e2e/engine"
	"blackout/e2e/images"
	"blackout/e2e/progress"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// Harness is what every run needs of this machine.
type Harness struct {
	Workspace workspace.Workspace
	Timeouts  scenario.Timeouts
	Progress  *progress.Reporter
	// Fixtures is the directory of pinned modules and manifests.
	Fixtures string
	// RegistryPrefix names a mirror of the released images, or is empty.
	RegistryPrefix string
}

// EnvRegistry names a mirror of the released images.
const EnvRegistry = "BLACKOUT_REGISTRY"

// NewHarness opens the workspace and finds the source tree.
func NewHarness(reporter *progress.Reporter) (Harness, error) {
	ws, err := workspace.Open()
	if err != nil {
		return Harness{}, err
	}
	source, err := workspace.Source()
	if err != nil {
		return Harness{}, err
	}
	return Harness{
		Workspace: ws, Timeouts: scenario.DefaultTimeouts(), Progress: reporter, Fixtures: filepath.Join(source, "fixtures"),
		RegistryPrefix: os.Getenv(EnvRegistry),
	}, nil
}

// Host is the machine, as the engine room sees it.
func (h Harness) Host() engine.Host {
	return engine.Host{Workspace: h.Workspace, Timeouts: h.Timeouts, Log: h.Progress.Logf}
}

// Builder makes images with an engine that answers.
func (h Harness) Builder(e *engine.Engine) *images.Builder {
	return &images.Builder{
		Workspace: h.Workspace, Engine: e, Host: h.Host(), Timeouts: h.Timeouts, Progress: h.Progress,
		Fixtures: h.Fixtures, RegistryPrefix: h.RegistryPrefix,
	}
}

// Images provides the images of a request, the engine first.
func (h Harness) Images(ctx context.Context, request images.Request) (images.Set, []images.Timing, error) {
	e, err := h.Host().Ensure(ctx)
	if err != nil {
		return images.Set{}, nil, err
	}
	builder := h.Builder(e)
	set, err := builder.Ensure(ctx, request)
	return set, builder.Timings, err
}
