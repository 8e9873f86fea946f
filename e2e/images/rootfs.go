package images

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"blackout/e2e/progress"
)

// debianSuite is pinned by name; a point release of it changes no key on
// purpose, so that a security fix upstream does not rebuild a laptop's cache.
const debianSuite = "trixie"

// rootfs is a Debian root file system.
type rootfs struct {
	name     string
	title    string
	usual    time.Duration
	variant  string // of mmdebstrap
	packages []string
	// setup is a script that gets the root directory as its argument, or empty.
	setup string
}

func (r rootfs) entry(b *Builder) (entry, error) {
	h := newHasher("rootfs")
	h.text("suite", debianSuite, r.variant)
	h.text("packages", r.packages...)
	if r.setup != "" {
		if err := h.file("setup", r.setup); err != nil {
			return entry{}, err
		}
	}
	return entry{dir: b.Workspace.Rootfs(), name: r.name, key: h.key(), title: r.title, usual: r.usual}, nil
}

// debian makes the root file system once and returns its tar.
func (b *Builder) debian(ctx context.Context, r rootfs) (path, key string, err error) {
	e, err := r.entry(b)
	if err != nil {
		return "", "", err
	}
	path, err = b.once(ctx, e, func(ctx context.Context, step *progress.Step, tmp string) error {
		if err := b.needTool(ctx, step, "mmdebstrap"); err != nil {
			return err
		}
		args := []string{
			"--variant=" + r.variant, "--format=tar", "--include=" + strings.Join(r.packages, ","),
			// Nothing reads manuals inside a node, and every node copies the image.
			"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
			"--dpkgopt=path-exclude=/usr/share/locale/*",
		}
		if r.setup != "" {
			args = append(args, "--customize-hook="+r.setup+` "$1"`)
		}
		return b.tool(ctx, step, "", nil, "mmdebstrap", append(args, debianSuite, tmp)...)
	})
	return path, e.key, err
}

// needTool installs a missing Debian package of the same name.
func (b *Builder) needTool(ctx context.Context, step *progress.Step, name string, packages ...string) error {
	if _, err := exec.LookPath(name); err == nil {
		return nil
	}
	return b.needPackages(ctx, step, append([]string{name}, packages...)...)
}

func (b *Builder) needPackages(ctx context.Context, step *progress.Step, packages ...string) error {
	step.Note("installing %s", strings.Join(packages, " "))
	if err := b.Host.APTInstall(ctx, packages...); err != nil {
		return fmt.Errorf("install what building needs: %w; building images without a registry takes root on Debian or Ubuntu", err)
	}
	return nil
}
