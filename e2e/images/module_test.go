package images

import (
	"archive/zip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/mod/sumdb/dirhash"
)

// proxied makes the go command see one module in a proxy of its own, and no
// checksum database that answers. It returns the two lines of a go.sum: of the
// go.mod, and of all files.
func proxied(t *testing.T, module, version string, files map[string]string) (modSum, sum string) {
	t.Helper()
	g := NewWithT(t)
	proxy, cache := t.TempDir(), t.TempDir()
	t.Cleanup(func() { // the go command takes the right to remove from directories
		_ = filepath.WalkDir(cache, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			return os.Chmod(path, executable)
		})
	})
	for key, value := range map[string]string{
		"GOPROXY": "file://" + proxy, "GOMODCACHE": cache, "GOENV": "off", "GOSUMDB": "sum.golang.org https://127.0.0.1:1",
		"GOPRIVATE": "", "GONOPROXY": "", "GONOSUMDB": "", "GOINSECURE": "", "GOTOOLCHAIN": "local",
	} {
		t.Setenv(key, value)
	}
	base := filepath.Join(module, "@v", version)
	write(t, proxy, map[string]string{base + ".info": `{"Version":"` + version + `"}`, base + ".mod": files["go.mod"], base + ".zip": ""})
	path := filepath.Join(proxy, base+".zip")
	out, err := os.Create(path)
	g.Expect(err).NotTo(HaveOccurred())
	archive := zip.NewWriter(out)
	for name, content := range files {
		w, err := archive.Create(module + "@" + version + "/" + name)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = w.Write([]byte(content))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(archive.Close()).To(Succeed())
	g.Expect(out.Close()).To(Succeed())
	all, err := dirhash.HashZip(path, dirhash.Hash1)
	g.Expect(err).NotTo(HaveOccurred())
	mod, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(files["go.mod"])), nil
	})
	g.Expect(err).NotTo(HaveOccurred())
	line := module + " " + version
	return line + "/go.mod " + mod + "\n", line + " " + all + "\n"
}

// What is pinned is checked against the committed go.sum, by nobody else.
func TestCRDsOfAPinnedVersion(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	b.Fixtures = t.TempDir()
	pinned := filepath.Join(managerModules, "v1.7.2")
	modSum, sum := proxied(t, managerPackage, "v1.7.2", map[string]string{"go.mod": managerMod, "k8s/crds.yaml": "kind: List\n"})
	write(t, b.Fixtures, map[string]string{
		filepath.Join(pinned, "go.mod"): "module pinned\n\ngo 1.22\n\nrequire " + managerPackage + " v1.7.2\n",
		filepath.Join(pinned, "go.sum"): modSum + managerPackage + " v1.7.2 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
	})
	_, err := b.crds(t.Context(), "v1.7.2")
	g.Expect(err).To(MatchError(ContainSubstring("checksum mismatch")))
	write(t, b.Fixtures, map[string]string{filepath.Join(pinned, "go.sum"): modSum + sum})
	g.Expect(b.crds(t.Context(), "v1.7.2")).To(BeEquivalentTo("kind: List\n"))
	_, err = b.crds(t.Context(), "v9.9.9")
	g.Expect(err).To(MatchError(ContainSubstring("is there such a version?")))
}
