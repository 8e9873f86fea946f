package images

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"

	"blackout/e2e/engine"
	"blackout/e2e/workspace"
)

// engineSaying is a fake of the engine's client: a shell script.
func engineSaying(t *testing.T, script string) *engine.Engine {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"engine*": "#!/bin/sh\n" + script + "\n"})
	return &engine.Engine{Name: filepath.Join(dir, "engine")}
}

// loaded is the image that the fake engine was given.
func loaded(t *testing.T, ref string, load func(*engine.Engine) error) v1.Image {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "loaded.tar")
	g.Expect(load(engineSaying(t, "cat >"+path))).To(Succeed())
	tag, err := name.NewTag(ref)
	g.Expect(err).NotTo(HaveOccurred())
	image, err := tarball.ImageFromPath(path, &tag)
	g.Expect(err).NotTo(HaveOccurred())
	return image
}

func TestInspected(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	b.Engine = engineSaying(t, `[ "$*" = "image inspect --format {{.Id}} registry.example/kindest/haproxy:v1" ] && echo sha256:0123`)
	g.Expect(b.inspected(t.Context(), "registry.example/kindest/haproxy:v1")).To(BeTrue())
	for _, says := range []string{"Error: No such image: x", "Error response from daemon: no such image: x", "Error: x: image not known"} {
		b.Engine = engineSaying(t, "echo '"+says+"' >&2; exit 1")
		g.Expect(b.inspected(t.Context(), "x")).To(BeFalse(), says)
	}
	b.Engine = engineSaying(t, "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
	_, err := b.inspected(t.Context(), "x")
	g.Expect(err).To(MatchError(ContainSubstring("Cannot connect")), "an engine that does not answer says nothing of an image")
}

func TestLoadBalancerComesAfterEnsure(t *testing.T) {
	NewWithT(t).Expect(newBuilder(t).EnsureLoadBalancer(t.Context())).To(MatchError(ContainSubstring("call Ensure first")))
}

func TestLoadBalancerRef(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	_, err := loadBalancerRef(dir)
	g.Expect(err).To(MatchError(os.ErrNotExist))
	path := "pkg/cluster/internal/loadbalancer/const.go"
	write(t, dir, map[string]string{path: "package loadbalancer\n"})
	_, err = loadBalancerRef(dir)
	g.Expect(err).To(MatchError(ContainSubstring("adapt loadBalancerImage")))
	write(t, dir, map[string]string{path: "package loadbalancer\n\nconst Image = \"registry.example/kindest/haproxy:v1\"\n"})
	g.Expect(loadBalancerRef(dir)).To(HaveField("Name()", "registry.example/kindest/haproxy:v1"))
}

// From the mirror, under the name that kind asks for, and ours to remove.
func TestLoadBalancerOfARegistry(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	released := s.push(t, "kindest/haproxy", "v1")
	const ref = "registry.example/kindest/haproxy:v1"
	image := loaded(t, ref, func(e *engine.Engine) error {
		b := newBuilder(t)
		b.RegistryPrefix, b.Engine = s.host, e
		tag, err := name.NewTag(ref)
		g.Expect(err).NotTo(HaveOccurred())
		return registrySource{b}.LoadBalancer(t.Context(), tag, "")
	})
	expectLabeled(t, image, released)
}

func TestPulledNodeIsOurs(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	released := s.push(t, releasedNode, releasedNodeVersion)
	const ref = "blackout/node-base:0123"
	image := loaded(t, ref, func(e *engine.Engine) error {
		b := newBuilder(t)
		b.RegistryPrefix, b.Engine = s.host, e
		base, err := registrySource{b}.NodeBase(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		return base.load(t.Context(), ref)
	})
	expectLabeled(t, image, released)
}

func expectLabeled(t *testing.T, image, released v1.Image) {
	t.Helper()
	g := NewWithT(t)
	got, err := image.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	want, err := released.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Config.Labels).To(HaveKeyWithValue(workspace.LabelManaged, "true"))
	g.Expect(got.RootFS).To(Equal(want.RootFS))
}
