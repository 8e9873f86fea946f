package images

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/workspace"
)

func TestControlPlaneBuildsNothing(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(workspace.EnvRoot, t.TempDir())
	ws, err := workspace.Open()
	g.Expect(err).NotTo(HaveOccurred())
	b := &Builder{Workspace: ws, Fixtures: filepath.Join("..", "..", "fixtures")}
	_, err = b.ControlPlane(t.Context(), "v1.7.2", t.TempDir())
	g.Expect(err).To(And(MatchError(ErrNotBuilt), MatchError(ContainSubstring("make images"))))
}

func TestExtract(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	archive := filepath.Join(dir, "root.tar")
	f, err := os.Create(archive)
	g.Expect(err).NotTo(HaveOccurred())
	w := tar.NewWriter(f)
	for name, text := range map[string]string{"./usr/bin/other": "other", etcdInRootfs: "ELF"} {
		g.Expect(w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(text)), Mode: 0o600})).To(Succeed())
		_, err := w.Write([]byte(text))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(errors.Join(w.Close(), f.Close())).To(Succeed())

	to := filepath.Join(dir, "etcd")
	g.Expect(extract(archive, etcdInRootfs, to)).To(Succeed())
	text, err := os.ReadFile(to)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(Equal("ELF"))
	info, err := os.Stat(to)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm() & 0o100).NotTo(BeZero())

	g.Expect(extract(archive, "./usr/bin/none", filepath.Join(dir, "none"))).To(MatchError(ContainSubstring("make images")))
	g.Expect(extract(filepath.Join(dir, "etcd"), etcdInRootfs, to)).NotTo(Succeed())
}
