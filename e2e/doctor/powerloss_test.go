package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"blackout/e2e/engine"
	"blackout/e2e/images"
	"blackout/e2e/power/disk"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

func TestLossCheck(t *testing.T) {
	good := survivors{synced: true}
	refused := fmt.Errorf("%w: mount: operation not permitted", errRefused)
	mkfs := disk.MissingToolError{Tool: "mkfs.it", Package: "its-package"}
	for name, tc := range map[string]struct {
		facts     lossFacts
		ext4, xfs Status
		found     string
	}{
		"works":                          {lossFacts{root: true, alone: true, after: good}, OK, OK, "survived"},
		"works beside a build":           {lossFacts{root: true, after: good}, OK, OK, "survived"},
		"no root":                        {lossFacts{}, Unknown, Unknown, "not tried"},
		"no mkfs":                        {lossFacts{root: true, alone: true, missing: mkfs}, Warn, Unknown, "no mkfs.it"},
		"mount refused":                  {lossFacts{root: true, alone: true, err: refused}, Fail, Warn, "not permitted"},
		"mount refused beside a build":   {lossFacts{root: true, err: refused}, Unknown, Unknown, "a build"},
		"another error":                  {lossFacts{root: true, alone: true, err: errPlain}, Unknown, Unknown, "something else"},
		"lost what was synced":           {lossFacts{root: true, alone: true}, Fail, Warn, "the synced file is gone"},
		"kept what was not":              {lossFacts{root: true, alone: true, after: survivors{true, true}}, Fail, Warn, "the unsynced file survived"},
		"kept what was not, and a build": {lossFacts{root: true, after: survivors{true, true}}, Unknown, Unknown, "a build"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.facts.filesystem = scenario.Ext4
			expect(t, checkLoss(tc.facts), tc.ext4, tc.found)
			tc.facts.filesystem = scenario.XFS
			expect(t, checkLoss(tc.facts), tc.xfs, tc.found)
		})
	}
	c := checkLoss(lossFacts{filesystem: scenario.XFS, root: true, missing: mkfs})
	if c.Name != "xfs shutdown" || c.Do != "install its-package, or choose scenarios without xfs" {
		t.Errorf("%+v", c)
	}
}

// onEach runs a test on each file system, in a workspace of its own. It skips
// where the test cannot mount, and proves afterwards that nothing is left.
func onEach(t *testing.T, test func(t *testing.T, ws workspace.Workspace, filesystem scenario.Filesystem)) {
	t.Helper()
	for _, filesystem := range []scenario.Filesystem{scenario.Ext4, scenario.XFS} {
		t.Run(string(filesystem), func(t *testing.T) {
			if err := disk.Check(filesystem); err != nil {
				t.Skipf("NOT TESTED ON %s: %v", strings.ToUpper(string(filesystem)), err)
			}
			if slices.Contains(engine.MissingCapabilities(), "CAP_SYS_ADMIN") {
				t.Skipf("NOT TESTED ON %s: mounting takes CAP_SYS_ADMIN", strings.ToUpper(string(filesystem)))
			}
			test(t, emptyWorkspace(t), filesystem)
		})
	}
}

func emptyWorkspace(t *testing.T) workspace.Workspace {
	t.Helper()
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

func TestLossForReal(t *testing.T) {
	onEach(t, func(t *testing.T, ws workspace.Workspace, filesystem scenario.Filesystem) {
		f := probeLosses(t.Context(), ws, filesystem)[0]
		if !f.alone {
			t.Error("nobody else holds the lock of a workspace of our own")
		}
		expect(t, checkLoss(f), OK, "survived")

		// The lock is free again, and one that is held is no obstacle.
		release, err := ws.Lock(images.BuildLock, false)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if f := probeLosses(t.Context(), ws, filesystem)[0]; f.alone || f.err != nil {
			t.Errorf("beside a build: %+v", f)
		}
	})
}

// TestLossSeesNoCut proves that the trial can fail: a cut that does not cut loses
// nothing.
func TestLossSeesNoCut(t *testing.T) {
	onEach(t, func(t *testing.T, ws workspace.Workspace, filesystem scenario.Filesystem) {
		after, err := losePower(t.Context(), ws, filesystem, func(*disk.Live) error { return nil })
		if want := (survivors{synced: true, unsynced: true}); err != nil || after != want {
			t.Errorf("without a cut: %+v, %v", after, err)
		}
	})
}

func TestLossCleansUpAfterErrors(t *testing.T) {
	onEach(t, func(t *testing.T, ws workspace.Workspace, filesystem scenario.Filesystem) {
		_, err := losePower(t.Context(), ws, filesystem, func(*disk.Live) error { return errPlain })
		if !errors.Is(err, errPlain) || !errors.Is(err, errRefused) {
			t.Errorf("the cut's error is lost: %v", err)
		}
		interrupted, cancel := context.WithCancel(t.Context())
		_, err = losePower(interrupted, ws, filesystem, func(l *disk.Live) error {
			cancel()
			return l.Shutdown()
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, errRefused) {
			t.Errorf("an interruption is called something else: %v", err)
		}
	})
}
