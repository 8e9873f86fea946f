package disk

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"blackout/e2e/scenario"
)

// Outcome is what was found on a disk when power returned.
type Outcome struct {
	// Replayed says that the disk had not been unmounted, so that its journal was
	// replayed. xfs has none to replay if nothing was written since its mount.
	Replayed bool
	// Said is what the checker said, in one short line.
	Said string
}

// Return does what a machine does when it boots: it checks the disk's file
// system, replays its journal and mounts it. A file system that cannot be used
// any more is an error with what the checker said.
func (d Disk) Return(ctx context.Context) (Outcome, error) {
	kind, err := kindOf(d.Filesystem)
	if err != nil {
		return Outcome{}, err
	}
	if err := d.free(); err != nil {
		return Outcome{}, fmt.Errorf("return the disk: %w", err)
	}
	var o Outcome
	if d.Filesystem == scenario.XFS {
		o, err = d.recoverXFS(ctx, kind.fsck)
	} else {
		o, err = d.recoverExt4(ctx, kind.fsck)
	}
	if err != nil {
		return o, fmt.Errorf("return the disk %s: %w", d.Image, err)
	}
	return o, d.Mount(ctx)
}

// recoverExt4 lets the checker replay the journal, as Debian does at boot.
func (d Disk) recoverExt4(ctx context.Context, fsck string) (Outcome, error) {
	const unrepaired = 4 // and above; below are bits for "corrected", see e2fsck(8)
	said, err := run(ctx, fsck, "-p", d.Image)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() < unrepaired {
		err = nil
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("its ext4 cannot be used any more: %w", err)
	}
	return Outcome{Replayed: strings.Contains(said, "recovering journal"), Said: fsck + ": " + short(said)}, nil
}

// recoverXFS lets a mount replay the log, which is the only way, and then the
// checker look at the whole: as long as there is a log to replay, what it finds
// means nothing.
func (d Disk) recoverXFS(ctx context.Context, fsck string) (Outcome, error) {
	const dirty = "valuable metadata changes in a log"
	said, err := run(ctx, fsck, "-n", d.Image)
	o := Outcome{Said: "clean", Replayed: strings.Contains(said, dirty)}
	if o.Replayed {
		if err := d.Mount(ctx); err != nil {
			return Outcome{}, fmt.Errorf("its xfs cannot be used any more: the log cannot be replayed: %w; %s: %s", err, fsck, short(said))
		}
		if err := d.Unmount(ctx); err != nil {
			return Outcome{}, err
		}
		o.Said = "log replayed by mount, then clean"
		_, err = run(ctx, fsck, "-n", d.Image)
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("its xfs cannot be used any more: %w", err)
	}
	o.Said = fsck + ": " + o.Said
	return o, nil
}
