package images

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"

	"blackout/e2e/workspace"
)

const managerMod = "module " + managerPackage + "\n\ngo 1.22\n"

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// repository is a committed checkout of a longhorn-manager of three files.
func repository(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("NOT TESTED: git is not installed")
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"go.mod": managerMod, "main.go": "package main\n", "old.go": "package main\n", ".gitignore": "ignored*\n"})
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-qm", "first")
	git(t, dir, "tag", "v1.7.2")
	return dir
}

func lookAt(t *testing.T, dir string) *checkoutSource {
	t.Helper()
	c, err := newCheckout(t.Context(), newBuilder(t), nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// seenKey is the key of the files that a look at the checkout finds now.
func seenKey(t *testing.T, dir string) string {
	t.Helper()
	h := newHasher("test")
	if err := h.files(dir, lookAt(t, dir).files); err != nil {
		t.Fatal(err)
	}
	return h.key()
}

func TestCheckoutOfGit(t *testing.T) {
	g := NewWithT(t)
	dir := repository(t)
	c := lookAt(t, dir)
	g.Expect(c.files).To(ConsistOf("go.mod", "main.go", "old.go", ".gitignore"))
	g.Expect(c.describe).To(Equal("v1.7.2"))
	g.Expect(c.dirty).To(BeFalse())
	g.Expect(c.label()).To(Equal("v1.7.2"))
	g.Expect(c.Name()).To(Equal("checkout"))
	clean := seenKey(t, dir)

	write(t, dir, map[string]string{"ignored.go": "package main\n"})
	g.Expect(lookAt(t, dir).dirty).To(BeFalse(), "ignored files are nobody's change")
	g.Expect(seenKey(t, dir)).To(Equal(clean))

	write(t, dir, map[string]string{"new one.go": "package main\n"})
	c = lookAt(t, dir)
	g.Expect(c.files).To(ContainElement("new one.go"), "Go compiles what git does not track yet")
	g.Expect(c.dirty).To(BeTrue())
	g.Expect(c.label()).To(Equal("v1.7.2-dirty"))
	withNew := seenKey(t, dir)
	g.Expect(withNew).NotTo(Equal(clean))

	g.Expect(os.Remove(filepath.Join(dir, "old.go"))).To(Succeed())
	g.Expect(seenKey(t, dir)).NotTo(Equal(withNew), "a deleted file is a change")

	git(t, dir, "add", "--all")
	git(t, dir, "commit", "-qm", "second")
	c = lookAt(t, dir)
	g.Expect(c.dirty).To(BeFalse())
	g.Expect(c.describe).To(MatchRegexp(`^v1\.7\.2-1-g[0-9a-f]+$`))
	g.Expect(c.files).To(ConsistOf("go.mod", "main.go", "new one.go", ".gitignore"))
}

// A user's configuration or a git hook around us must not change what is seen.
func TestCheckoutInStrangeSurroundings(t *testing.T) {
	g := NewWithT(t)
	dir := repository(t)
	write(t, dir, map[string]string{"new.go": "package main\n"})
	git(t, dir, "config", "status.showUntrackedFiles", "no")
	t.Setenv("GIT_DIR", filepath.Join(t.TempDir(), "elsewhere"))
	t.Setenv("GIT_INDEX_FILE", filepath.Join(t.TempDir(), "index"))
	c := lookAt(t, dir)
	g.Expect(c.describe).To(Equal("v1.7.2"))
	g.Expect(c.dirty).To(BeTrue())
	g.Expect(c.files).To(ContainElement("new.go"))
}

func TestCheckoutWithoutGit(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	// No repository that git would accept: what it holds is no input.
	write(t, dir, map[string]string{"go.mod": managerMod, "pkg/a.go": "package a\n", ".gitignore": "*.go", ".git/index": "1"})
	c := lookAt(t, dir)
	g.Expect(c.files).To(ConsistOf("go.mod", "pkg/a.go", ".gitignore"))
	g.Expect(c.label()).To(Equal("unversioned"))
	g.Expect(c.dirty).To(BeFalse())
}

// The state of a repository that merely contains the copy says nothing of it.
func TestCheckoutBelowAnotherRepository(t *testing.T) {
	g := NewWithT(t)
	outer := repository(t)
	write(t, outer, map[string]string{"ignored/copy/go.mod": managerMod, "ignored/copy/main.go": "package main\n"})
	c := lookAt(t, filepath.Join(outer, "ignored", "copy"))
	g.Expect(c.files).To(ConsistOf("go.mod", "main.go"))
	g.Expect(c.describe).To(Equal("unversioned"))
}

func TestCheckoutOfALink(t *testing.T) {
	g := NewWithT(t)
	dir := repository(t)
	link := filepath.Join(t.TempDir(), "link")
	g.Expect(os.Symlink(dir, link)).To(Succeed())
	g.Expect(lookAt(t, link).describe).To(Equal("v1.7.2"))
}

func TestCheckoutIsLonghornManager(t *testing.T) {
	for mod, says := range map[string]string{
		"module example.com/other\n":             `is module "example.com/other"`,
		"module " + managerPackage + "/v2\n":     "not " + managerPackage,
		"":                                       `is module ""`,
		"// a comment\nmodule " + managerPackage: "",
		"module \"" + managerPackage + "\" // why\n": "",
		"module " + managerPackage + "\r\n":          "",
	} {
		g := NewWithT(t)
		dir := t.TempDir()
		write(t, dir, map[string]string{"go.mod": mod})
		_, err := newCheckout(t.Context(), newBuilder(t), nil, dir)
		if says == "" {
			g.Expect(err).NotTo(HaveOccurred(), mod)
			continue
		}
		g.Expect(err).To(MatchError(And(ContainSubstring(EnvManagerSource+"="+dir), ContainSubstring(says))), mod)
	}
}

func TestCheckoutThatCannotBeRead(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	for _, missing := range []string{dir, filepath.Join(dir, "gone")} {
		_, err := newCheckout(t.Context(), newBuilder(t), nil, missing)
		g.Expect(err).To(MatchError(ContainSubstring("holds no go.mod")))
	}
	// Root reads everything but a directory in a file's place: the same branch.
	g.Expect(os.Mkdir(filepath.Join(dir, "go.mod"), 0o755)).To(Succeed())
	_, err := newCheckout(t.Context(), newBuilder(t), nil, dir)
	g.Expect(err).To(MatchError(ContainSubstring("make the checkout readable")))

	if os.Getuid() == 0 {
		t.Skip("NOT TESTED as root: go.mod without permission to read it")
	}
	closed := t.TempDir()
	write(t, closed, map[string]string{"go.mod": managerMod})
	g.Expect(os.Chmod(filepath.Join(closed, "go.mod"), 0)).To(Succeed())
	_, err = newCheckout(t.Context(), newBuilder(t), nil, closed)
	g.Expect(err).To(MatchError(os.ErrPermission))
	g.Expect(err).To(MatchError(ContainSubstring("make the checkout readable")))
}

func TestCheckoutKeyHasItsReplacements(t *testing.T) {
	g := NewWithT(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, "manager")
	write(t, dir, map[string]string{"go.mod": managerMod + "\nreplace example.com/x => ../x\n\nreplace example.com/y => example.com/z v1.0.0\n"})
	key := func() string {
		h := newHasher("test")
		g.Expect(lookAt(t, dir).inputs(h)).To(Succeed())
		return h.key()
	}
	g.Expect(lookAt(t, dir).inputs(newHasher("test"))).To(MatchError(ContainSubstring("replaces example.com/x by ../x")))
	write(t, parent, map[string]string{"x/x.go": "package x\n"})
	before := key()
	write(t, parent, map[string]string{"x/.git/index": "1"})
	g.Expect(key()).To(Equal(before))
	write(t, parent, map[string]string{"x/x.go": "package x // changed\n"})
	g.Expect(key()).NotTo(Equal(before))

	write(t, dir, map[string]string{"vendor/github.com/x/x.go": "package x\n"})
	vendored := key()
	write(t, parent, map[string]string{"x/x.go": "package x\n"})
	g.Expect(key()).To(Equal(vendored), "go compiles the copies in vendor")
}

// Where a registry answers, a checkout needs nothing of Debian.
func TestCheckoutOnTheReleasedManager(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	released := s.push(t, releasedManager, "v1.7.2")
	dir := t.TempDir()
	write(t, dir, map[string]string{"go.mod": managerMod, "main.go": "package main\n\nfunc main() {}\n", "k8s/crds.yaml": "kind: List\n"})
	build := func() (*Builder, Archive) {
		b := openBuilder()
		b.RegistryPrefix = s.host
		c, err := newCheckout(t.Context(), b, registrySource{b}, dir)
		g.Expect(err).NotTo(HaveOccurred())
		archive, crds, err := c.Manager(t.Context(), "v1.7.2")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(crds)).To(Equal("kind: List\n"))
		g.Expect(c.Steps()-c.Source.Steps()).To(Equal(len(b.Timings)-1), "in the place of one pull")
		return b, archive
	}
	t.Setenv(workspace.EnvRoot, t.TempDir())
	_, archive := build()
	ref := archive.Refs[Manager]
	g.Expect(ref).To(Equal("blackout/longhorn-manager:v1.7.2-checkout-" + archive.Key))
	g.Expect(archive.Origins).To(HaveExactElements(HaveField("Source", "checkout")))
	tag, err := name.NewTag(ref)
	g.Expect(err).NotTo(HaveOccurred())
	image, err := tarball.ImageFromPath(archive.Path, &tag)
	g.Expect(err).NotTo(HaveOccurred())
	config, err := image.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Config.Labels).To(HaveKeyWithValue(workspace.LabelManaged, "true"))
	base, err := released.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	below := len(base.RootFS.DiffIDs)
	g.Expect(config.RootFS.DiffIDs).To(HaveLen(below + 1))
	g.Expect(config.RootFS.DiffIDs[:below]).To(Equal(base.RootFS.DiffIDs))
	layers, err := image.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(layerListing(t, layers[below])).To(ContainElement(HavePrefix("0 755 usr/local/sbin/longhorn-manager = ")))

	downloads := s.blobs.Load()
	again, same := build()
	g.Expect(same).To(Equal(archive))
	g.Expect(again.Timings).To(HaveEach(HaveField("Cached", true)))
	g.Expect(s.blobs.Load()).To(Equal(downloads), "nothing is downloaded again")
	s.push(t, releasedManager, "v1.7.2")
	_, moved := build()
	g.Expect(moved.Key).NotTo(Equal(archive.Key), "another image below is another image")
}
