package images

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// mmdebstrap hands the hook to sh with the root directory as its argument.
func TestHookOfAStrangePath(t *testing.T) {
	g := NewWithT(t)
	dir := filepath.Join(t.TempDir(), "it's a $HOME")
	write(t, dir, map[string]string{"setup.sh*": "#!/bin/sh\nprintf %s \"$1\"\n"})
	hook, ok := strings.CutPrefix(rootfs{setup: filepath.Join(dir, "setup.sh")}.hook(), "--customize-hook=")
	g.Expect(ok).To(BeTrue())
	g.Expect(exec.Command("sh", "-c", hook, "exec", "/a root").Output()).To(BeEquivalentTo("/a root"))
}

func TestKeyOfARootFileSystem(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	key := func(r rootfs) string {
		e, err := r.entry(b)
		g.Expect(err).NotTo(HaveOccurred())
		return e.key
	}
	here, there := t.TempDir(), t.TempDir()
	write(t, here, map[string]string{"setup.sh*": "#!/bin/sh\n"})
	write(t, there, map[string]string{"setup.sh*": "#!/bin/sh\n", "other.sh*": "#!/bin/sh\nexit\n"})
	base := rootfs{variant: "minbase", packages: []string{"a", "b"}, setup: filepath.Join(here, "setup.sh")}
	want := key(base)
	moved := base
	moved.setup = filepath.Join(there, "setup.sh")
	g.Expect(key(moved)).To(Equal(want), "where the checkout lies is no input")
	for name, change := range map[string]func(*rootfs){
		"variant":  func(r *rootfs) { r.variant = "essential" },
		"packages": func(r *rootfs) { r.packages = []string{"a"} },
		"setup":    func(r *rootfs) { r.setup = filepath.Join(there, "other.sh") },
		"no setup": func(r *rootfs) { r.setup = "" },
	} {
		other := base
		change(&other)
		g.Expect(key(other)).NotTo(Equal(want), name)
	}
}
