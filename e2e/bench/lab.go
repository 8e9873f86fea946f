package main

import (
	"context"
	"fmt"
	"io"

	"blackout/e2e/controlplane"
	"blackout/e2e/longhorn"
	"blackout/e2e/progress"
	"blackout/e2e/run"
	"blackout/e2e/scenario"
)

// version of Longhorn whose CRDs the API server gets.
const version = "v1.7.2"

// lab is an API server that knows Longhorn's objects, and nobody who acts on them.
type lab struct {
	server *controlplane.Server
	system *longhorn.System
}

// startLab keeps everything in dir. What is not built on this machine is an
// images.ErrNotBuilt.
func startLab(ctx context.Context, dir string) (l *lab, err error) {
	h, err := run.NewHarness(progress.New(io.Discard))
	if err != nil {
		return nil, err
	}
	found, err := h.Builder(nil).ControlPlane(ctx, version, dir)
	if err != nil {
		return nil, err
	}
	server, err := controlplane.Start(ctx, dir, controlplane.Programs{Kubernetes: found.Kubernetes, Etcd: found.Etcd})
	if err != nil {
		return nil, err
	}
	l = &lab{server: server}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make an API server that knows Longhorn: %w", err)
			_ = server.Close() // the first error is the one to tell
		}
	}()
	if err := server.CreateNamespace(ctx, longhorn.Namespace); err != nil {
		return nil, err
	}
	release := longhorn.Release{Version: version, CRDs: found.CRDs}
	if l.system, err = longhorn.Open(server, release, scenario.DefaultTimeouts(), nil); err != nil {
		return nil, err
	}
	return l, l.system.InstallCRDs(ctx)
}

func (l *lab) close() error { return l.server.Close() }
