package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
)

// checkoutSource is another source, with the manager compiled from a directory.
type checkoutSource struct {
	Source
	b   *Builder
	dir string
	// describe is what git says of the commit, or "unversioned".
	describe string
	dirty    bool
	// files below dir that are compiled or could be.
	files []string
}

// newCheckout looks at the directory before anything is built.
func newCheckout(ctx context.Context, b *Builder, rest Source, dir string) (*checkoutSource, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvManagerSource, err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s=%s holds no go.mod: name the root directory of a longhorn-manager checkout", EnvManagerSource, dir)
	case err != nil:
		return nil, fmt.Errorf("%s: %w; make the checkout readable for this user", EnvManagerSource, err)
	}
	if module := modfile.ModulePath(mod); module != managerPackage {
		return nil, fmt.Errorf("%s=%s is module %q, not %s", EnvManagerSource, dir, module, managerPackage)
	}
	c := &checkoutSource{Source: rest, b: b, dir: dir, describe: "unversioned"}
	return c, c.inspect(ctx)
}

// inspect lists the files and asks git for the commit. A directory without git
// (a copy, an unpacked archive) is as good, and called unversioned.
func (c *checkoutSource) inspect(ctx context.Context) error {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", c.dir, "-c", "safe.directory=*"}, args...)...)
		// GIT_DIR and its like, which a git hook sets, lead to another tree.
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	if top, err := git("rev-parse", "--show-toplevel"); err == nil && samePath(top, c.dir) {
		listed, err := git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
		if err != nil {
			return fmt.Errorf("list the checkout's files: %w", err)
		}
		c.files = strings.FieldsFunc(listed, func(r rune) bool { return r == 0 })
		if described, err := git("describe", "--always", "--tags"); err == nil {
			c.describe = described
		}
		status, err := git("status", "--porcelain", "--untracked-files=normal")
		if err != nil {
			return fmt.Errorf("read the checkout's state: %w", err)
		}
		c.dirty = status != ""
		return nil
	}
	var err error
	if c.files, err = filesBelow(c.dir); err != nil {
		return fmt.Errorf("%s: %w; make the checkout readable for this user", EnvManagerSource, err)
	}
	return nil
}

// filesBelow lists all files of a tree, except git's own.
func filesBelow(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == ".git" {
			return skipped(entry) // changes with every look at it
		}
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(root, path)
		files = append(files, relative)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", root, err)
	}
	return files, nil
}

// inputs are the checkout's files and those of modules beside it that its go.mod
// puts in the place of others.
func (c *checkoutSource) inputs(h *hasher) error {
	if err := h.files(c.dir, c.files); err != nil {
		return err
	}
	if c.vendored() {
		return nil // go compiles the copies in vendor
	}
	path := filepath.Join(c.dir, "go.mod")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("hash the inputs: %w", err)
	}
	mod, err := modfile.Parse(path, text, nil)
	if err != nil {
		return fmt.Errorf("read the checkout's go.mod: %w", err)
	}
	for _, replace := range mod.Replace {
		if replace.New.Version != "" {
			continue // a module with a checksum of its own
		}
		dir := replace.New.Path
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.dir, dir)
		}
		files, err := filesBelow(dir)
		if err != nil {
			return fmt.Errorf("go.mod replaces %s by %s: %w", replace.Old.Path, replace.New.Path, err)
		}
		h.text("replace", replace.Old.Path, replace.Old.Version, replace.New.Path)
		if err := h.files(dir, files); err != nil {
			return err
		}
	}
	return nil
}

// skipped leaves an entry of a walk out, with all that is below it.
func skipped(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func samePath(a, b string) bool {
	left, leftErr := filepath.EvalSymlinks(a)
	right, rightErr := filepath.EvalSymlinks(b)
	return leftErr == nil && rightErr == nil && left == right
}

// Name implements Source.
func (c *checkoutSource) Name() string { return "checkout" }

// label is how the checkout is called in image tags and reports.
func (c *checkoutSource) label() string {
	label := c.describe
	if c.dirty {
		label += "-dirty"
	}
	return label
}

// vendored tells whether the checkout brings its dependencies. A copy of the
// module has only vendor/modules.txt, which go would take for all of them.
func (c *checkoutSource) vendored() bool { return exists(filepath.Join(c.dir, "vendor", "github.com")) }

// Steps implements Source: where the rest is pulled, compiling comes on top.
func (c *checkoutSource) Steps() int {
	if _, ok := c.Source.(registrySource); ok {
		return c.Source.Steps() + 1
	}
	return c.Source.Steps()
}

// ground of the manager comes from where the rest comes from, so that a registry
// spares a machine the tools of Debian.
func (c *checkoutSource) ground(ctx context.Context, version string) (ground, error) {
	if registry, ok := c.Source.(registrySource); ok {
		return registry.managerGround(ctx, version)
	}
	return moduleSource{c.b}.ground(ctx)
}

// Manager implements Source. The version tells which release the checkout
// stands for: Longhorn refuses to start with one that is not semantic.
func (c *checkoutSource) Manager(ctx context.Context, version string) (Archive, []byte, error) {
	crds, err := readCRDs(c.dir)
	if err != nil {
		return Archive{}, nil, err
	}
	p := program{
		name: "longhorn-manager-checkout", title: "compile longhorn-manager from " + c.dir + " (" + c.label() + ")", usual: 6 * time.Minute,
		dir: c.dir, packages: []string{"."}, ldflags: managerFlags(version, c.label()), ownVendor: c.vendored(),
		inputs: c.inputs,
	}
	below, err := c.ground(ctx, version)
	if err != nil {
		return Archive{}, nil, err
	}
	archive, err := c.b.managerArchive(ctx, below, p, version+"-checkout",
		Origin{Component: string(Manager), Source: c.Name(), Version: c.label(), Dirty: c.dirty})
	if err != nil {
		return Archive{}, nil, fmt.Errorf("longhorn-manager of %s=%s: %w\nmend the checkout and run the same command again, or unset %s", EnvManagerSource, c.dir, err, EnvManagerSource)
	}
	return archive, crds, nil
}
