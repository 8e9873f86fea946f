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

// debianKeys is the package with Debian's keys, which Ubuntu's mmdebstrap needs
// and does not bring.
const debianKeys = "debian-archive-keyring"

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

// options of mmdebstrap, all but the setup, which lies where the checkout lies.
func (r rootfs) options() []string {
	return []string{
		"--variant=" + r.variant, "--format=tar", "--include=" + strings.Join(r.packages, ","),
		// Nothing reads manuals inside a node, and every node copies the image.
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
	}
}

// hook is the setup as mmdebstrap hands it to sh.
func (r rootfs) hook() string {
	return "--customize-hook='" + strings.ReplaceAll(r.setup, "'", `'\''`) + `' "$1"`
}

func (r rootfs) entry(b *Builder) (entry, error) {
	h := newHasher("rootfs")
	h.text("suite", debianSuite)
	h.text("options", r.options()...)
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
		if err := b.needTool(ctx, step, "mmdebstrap", debianKeys); err != nil {
			return err
		}
		args := r.options()
		if r.setup != "" {
			args = append(args, r.hook())
		}
		return b.tool(ctx, step, "", nil, "mmdebstrap", append(args, debianSuite, tmp)...)
	})
	return path, e.key, err
}

// needTool installs a missing Debian package of the same name, and with it what
// else its work takes.
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
