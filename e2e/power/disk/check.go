package disk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"blackout/e2e/scenario"
)

const (
	mount       = "mount"
	loopControl = "/dev/loop-control"

	wayOut = "or run with --unsynced-writes keep"
)

// kind is what there is to know of a kind of file system.
type kind struct {
	mkfs     string
	mkfsArgs []string
	fsck     string
	pack     string // Debian's package with both
	least    int64  // bytes
}

var kinds = map[scenario.Filesystem]kind{
	// A smaller one gets no journal, or one with hardly a file beside it.
	scenario.Ext4: {mkfs: "mkfs.ext4", mkfsArgs: []string{"-q", "-F"}, fsck: "e2fsck", pack: "e2fsprogs", least: 16 << 20},
	// mkfs.xfs refuses smaller ones from version 5.19 on.
	scenario.XFS: {mkfs: "mkfs.xfs", mkfsArgs: []string{"-q", "-f"}, fsck: "xfs_repair", pack: "xfsprogs", least: 300 << 20},
}

func kindOf(filesystem scenario.Filesystem) (kind, error) {
	k, ok := kinds[filesystem]
	if !ok {
		return kind{}, fmt.Errorf("the file system %q is not one for disks: choose %s or %s", filesystem, scenario.Ext4, scenario.XFS)
	}
	return k, nil
}

// MissingToolError is a program that is not installed.
type MissingToolError struct {
	Tool    string
	Package string // Debian's
}

func (e MissingToolError) Error() string {
	return fmt.Sprintf("there is no %s on this machine: install the package that has it (Debian: %s), %s", e.Tool, e.Package, wayOut)
}

// Check tells, before anything is made, why this machine cannot have such
// disks: no root, no tools (a MissingToolError) or no loop devices.
func Check(filesystem scenario.Filesystem) error {
	return check(filesystem, os.Geteuid(), find, loopControl)
}

func check(filesystem scenario.Filesystem, euid int, pathOf func(tool string) string, loopControl string) error {
	kind, err := kindOf(filesystem)
	if err != nil {
		return err
	}
	if euid != 0 {
		return fmt.Errorf("disks that lose unsynced writes take root to mount: run as root, %s", wayOut)
	}
	for _, tool := range []MissingToolError{{kind.mkfs, kind.pack}, {kind.fsck, kind.pack}, {mount, "mount"}} {
		if pathOf(tool.Tool) == "" {
			return tool
		}
	}
	f, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no loop devices can be had (%w): as root modprobe loop, in a container give it the host's devices, %s", err, wayOut)
	}
	return f.Close()
}

// find returns the path of a program, or nothing. System directories count even
// where they are not on root's PATH.
func find(tool string) string {
	for _, candidate := range []string{tool, filepath.Join("/usr/sbin", tool), filepath.Join("/sbin", tool)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// run returns what the program printed in English, also if it failed: then the
// error begins with the same.
func run(ctx context.Context, tool string, args ...string) (string, error) {
	path := find(tool)
	if path == "" {
		path = tool // the error of starting it says the rest
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	// Ctrl-C on a terminal is for this process to act on, not for a file system
	// check in the middle of cleaning up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.CombinedOutput()
	said := string(out)
	for _, arg := range args {
		// Whoever reads the line knows which file it is about. e2fsck writes a space
		// in a name as an underscore.
		if filepath.IsAbs(arg) {
			underscored, name := strings.ReplaceAll(arg, " ", "_"), filepath.Base(arg)
			said = strings.NewReplacer(arg+": ", "", underscored+": ", "", arg, name, underscored, name).Replace(said)
		}
	}
	if err == nil {
		return said, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return said, fmt.Errorf("%s: %w: %s", tool, err, short(said))
}

// noise is what the tools print whatever they find, by the beginnings of lines.
var noise = []string{
	"Phase ", "- ", "No modify flag set",
	"Cannot get host filesystem geometry", "Repair may fail if there is a sector size", "the image and the host filesystem",
	"ALERT: The filesystem has valuable metadata changes", "ignored because the -n option", "which may be resolved by first mounting",
}

// short is the first of what a tool printed, in one line.
func short(said string) string {
	const enough = 240 // bytes
	var lines []string
	for line := range strings.Lines(said) {
		line = strings.Join(strings.Fields(line), " ")
		line = strings.Trim(line, ".") // the progress of a search
		if line != "" && !startsWith(line, noise) {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "; ")
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "") + "..."
	}
	return text
}

func startsWith(line string, beginnings []string) bool {
	for _, beginning := range beginnings {
		if strings.HasPrefix(line, beginning) {
			return true
		}
	}
	return false
}
