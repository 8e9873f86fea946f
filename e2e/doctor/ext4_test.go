package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"blackout/e2e/engine"
	"blackout/e2e/images"
	"blackout/e2e/workspace"
)

func TestExt4Check(t *testing.T) {
	good := survivors{synced: true}
	refused := fmt.Errorf("%w: mount: operation not permitted", errRefused)
	for name, tc := range map[string]struct {
		facts ext4Facts
		want  Status
		found string
	}{
		"works":                          {ext4Facts{root: true, hasMkfs: true, alone: true, after: good}, OK, "survived"},
		"works beside a build":           {ext4Facts{root: true, hasMkfs: true, after: good}, OK, "survived"},
		"no root":                        {ext4Facts{hasMkfs: true}, Unknown, "not tried"},
		"no mkfs":                        {ext4Facts{root: true}, Warn, "no mkfs.ext4"},
		"mount refused":                  {ext4Facts{root: true, hasMkfs: true, alone: true, err: refused}, Fail, "not permitted"},
		"mount refused beside a build":   {ext4Facts{root: true, hasMkfs: true, err: refused}, Unknown, "a build"},
		"another error":                  {ext4Facts{root: true, hasMkfs: true, alone: true, err: errPlain}, Unknown, "something else"},
		"lost what was synced":           {ext4Facts{root: true, hasMkfs: true, alone: true}, Fail, "the synced file is gone"},
		"kept what was not":              {ext4Facts{root: true, hasMkfs: true, alone: true, after: survivors{true, true}}, Fail, "the unsynced file survived"},
		"kept what was not, and a build": {ext4Facts{root: true, hasMkfs: true, after: survivors{true, true}}, Unknown, "a build"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, checkExt4(tc.facts), tc.want, tc.found) })
	}
}

// realDisk skips where the test cannot mount, and proves afterwards that
// nothing is left.
func realDisk(t *testing.T) workspace.Workspace {
	t.Helper()
	if os.Geteuid() != 0 || slices.Contains(engine.MissingCapabilities(), "CAP_SYS_ADMIN") {
		t.Skip("mounting takes root")
	}
	if commandPath("/", mkfs) == "" || openLoopControl("/") != nil {
		t.Skip("mounting an image takes mkfs.ext4 and loop devices")
	}
	t.Setenv(workspace.EnvRoot, t.TempDir())
	ws, err := workspace.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mounts, mountErr := workspace.MountsBelow(ws.Root)
		loops, loopErr := workspace.Loops(ws.Root)
		left, readErr := os.ReadDir(ws.Tmp())
		if err := errors.Join(mountErr, loopErr, readErr); err != nil || len(mounts)+len(loops)+len(left) > 0 {
			t.Errorf("left behind: mounts %v, loop devices %v, files %v, error %v", mounts, loops, left, err)
		}
	})
	return ws
}

func TestExt4ForReal(t *testing.T) {
	ws := realDisk(t)
	f := probeExt4(t.Context(), ws, true)
	if !f.alone {
		t.Error("nobody else holds the lock of a workspace of our own")
	}
	expect(t, checkExt4(f), OK, "survived")

	// The lock is free again, and one that is held is no obstacle.
	release, err := ws.Lock(images.BuildLock, false)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if f := probeExt4(t.Context(), ws, true); f.alone || f.err != nil {
		t.Errorf("beside a build: %+v", f)
	}
}

// TestExt4SeesNoCut proves that the test can fail: a cut that does not cut loses
// nothing.
func TestExt4SeesNoCut(t *testing.T) {
	ws := realDisk(t)
	after, err := losePower(t.Context(), ws, func(*os.File) error { return nil })
	expect(t, checkExt4(ext4Facts{root: true, hasMkfs: true, alone: true, after: after, err: err}), Fail, "the unsynced file survived")
}

func TestExt4CleansUpAfterErrors(t *testing.T) {
	ws := realDisk(t)
	if _, err := losePower(t.Context(), ws, func(*os.File) error { return errPlain }); !errors.Is(err, errPlain) {
		t.Errorf("the cut's error is lost: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := losePower(ended, ws, shutDown); !errors.Is(err, context.Canceled) {
		t.Errorf("an interruption is called something else: %v", err)
	}
	image := filepath.Join(ws.Tmp(), "no.img")
	if err := mountLoop(t.Context(), image, ws.Tmp()); !errors.Is(err, errRefused) {
		t.Errorf("a mount of nothing: %v", err)
	}
}
