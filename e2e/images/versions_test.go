package images

import (
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestValidateVersion(t *testing.T) {
	for _, version := range []string{"v1.6.0", "v1.7.2", "v1.10.0", "v2.0.0", "v1.8.0-rc1"} {
		NewWithT(t).Expect(ValidateVersion(version)).To(Succeed(), version)
	}
	for version, says := range map[string]string{
		"v1.5.0": "older than v1.6.0", "v1.5.99": "older than", "v1.6.0-rc1": "older than", "v0.0.0": "older than",
		"1.7.2": "not of the form v1.7.2", "v1.7": "not of the form", "v1": "not of the form", "latest": "not of the form",
		"": "not of the form", "v1.7.2+build": "not of the form", "v1.07.2": "not of the form",
		"v1.7.2\n": "not of the form", "v1.7.2/../x": "not of the form", "V1.7.2": "not of the form",
	} {
		NewWithT(t).Expect(ValidateVersion(version)).To(MatchError(ContainSubstring(says)), "%q", version)
	}
}

// fixtures pins three versions, beside what is none.
func fixtures(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"v1.10.0", "v1.7.2", "v1.6.0"} {
		write(t, dir, map[string]string{filepath.Join(managerModules, name, "go.mod"): "module x\n"})
	}
	write(t, dir, map[string]string{filepath.Join(managerModules, "README.md"): "", filepath.Join(managerModules, "main", "go.mod"): ""})
	return dir
}

func TestBuildable(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Buildable(fixtures(t))).To(Equal([]string{"v1.6.0", "v1.7.2", "v1.10.0"}), "oldest first")
	_, err := Buildable(t.TempDir())
	g.Expect(err).To(MatchError(ContainSubstring("pinned longhorn-manager modules")))
}

// A request that cannot be met is refused before anything is built, or locked.
func TestRequestsRefusedAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		request Request
		says    string
	}{
		"too old":            {Request{Longhorn: "v1.5.0", Mode: Module}, "older than"},
		"no version":         {Request{Mode: Module}, "not of the form"},
		"not pinned":         {Request{Longhorn: "v9.9.9", Mode: Module}, "only v1.6.0, v1.7.2, v1.10.0 can"},
		"unknown mode":       {Request{Longhorn: "v1.7.2", Mode: "tarball"}, `"tarball" is unknown: say auto, registry or module`},
		"no checkout there":  {Request{Longhorn: "v1.7.2", Mode: Registry, ManagerSource: "/nowhere"}, EnvManagerSource + "=/nowhere holds no go.mod"},
		"auto, no registry":  {Request{Longhorn: "v9.9.9"}, "only v1.6.0, v1.7.2, v1.10.0 can"},
		"auto by its name":   {Request{Longhorn: "v9.9.9", Mode: Auto}, "without an image registry"},
		"checkout, too old":  {Request{Longhorn: "v1.5.0", ManagerSource: "/nowhere"}, "older than"},
		"mode with a prefix": {Request{Longhorn: "v1.7.2", Mode: "Module"}, "is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := newBuilder(t)
			b.Fixtures, b.RegistryPrefix = fixtures(t), "127.0.0.1:1/" // nobody listens there
			_, err := b.Ensure(t.Context(), test.request)
			g.Expect(err).To(MatchError(ContainSubstring(test.says)))
			g.Expect(b.Timings).To(BeEmpty())
			g.Expect(filepath.Join(b.Workspace.Root, BuildLock+".lock")).NotTo(BeAnExistingFile())
		})
	}
}

func TestSource(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	s.push(t, releasedNode, releasedNodeVersion)
	b := newBuilder(t)
	b.Fixtures, b.RegistryPrefix = fixtures(t), s.host+"/"
	for _, mode := range []Mode{Auto, "", Registry} {
		source, err := b.source(t.Context(), Request{Longhorn: "v9.9.9", Mode: mode})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(source.Name()).To(Equal("registry"), "an answering registry has versions that are not pinned")
	}
	source, err := b.source(t.Context(), Request{Longhorn: "v1.7.2", Mode: Module})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(source.Name()).To(Equal("module"))

	checkout := repository(t)
	source, err = b.source(t.Context(), Request{Longhorn: "v1.7.2", Mode: Registry, ManagerSource: checkout})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(source.Name()).To(Equal("checkout"))
	g.Expect(source.Steps()).To(Equal(registrySource{b}.Steps()+1), "the rest comes from the registry, the binary from a compiler")

	b.RegistryPrefix, b.Timeouts.RegistryProbe = "127.0.0.1:1/", 300*time.Millisecond
	source, err = b.source(t.Context(), Request{Longhorn: "v1.7.2"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(source.Name()).To(Equal("module"), "auto falls back")
}
