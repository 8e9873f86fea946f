package images

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"
)

// serving is a registry in memory, on loopback, that counts the blobs it sends.
type serving struct {
	host  string
	blobs atomic.Int32
}

func serve(t *testing.T) *serving {
	t.Helper()
	// Loopback must not go through a proxy, nor ask the user's credentials.
	t.Setenv("NO_PROXY", "127.0.0.1")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := &serving{}
	memory := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			s.blobs.Add(1)
		}
		memory.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// push puts a new image of random content under that name.
func (s *serving) push(t *testing.T, repository, tag string) v1.Image {
	t.Helper()
	image, err := random.Image(256, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(s.host + "/" + repository + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return image
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	d, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestRegistryAnswers(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	b := newBuilder(t)
	for _, prefix := range []string{s.host + "/", s.host} { // with or without the slash
		b.RegistryPrefix = prefix
		g.Expect(b.RegistryAnswers(t.Context())).To(MatchError(ContainSubstring(releasedNode)), "it has no such image yet")
	}
	s.push(t, releasedNode, releasedNodeVersion)
	for _, prefix := range []string{s.host + "/", s.host} {
		b.RegistryPrefix = prefix
		g.Expect(b.RegistryAnswers(t.Context())).To(Succeed())
	}
	g.Expect(s.blobs.Load()).To(BeZero(), "a question costs no download")
}

// Without a registry this is lost at the start of every run: it must be short.
func TestRegistryThatDoesNotAnswer(t *testing.T) {
	t.Setenv("NO_PROXY", "127.0.0.1")
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := refusing.Addr().String()
	_ = refusing.Close()
	// A port that takes connections and never says a word.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	var asked atomic.Int32
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable) // worth a retry to the library, not to us
	}))
	defer broken.Close()
	for kind, host := range map[string]string{
		"closed": closed, "mute": mute.Addr().String(), "broken": strings.TrimPrefix(broken.URL, "http://"),
	} {
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			b := newBuilder(t)
			b.RegistryPrefix, b.Timeouts.RegistryProbe = host+"/", 300*time.Millisecond
			start := time.Now()
			g.Expect(b.RegistryAnswers(t.Context())).To(MatchError(ContainSubstring("ask the registry for " + host)))
			g.Expect(time.Since(start)).To(BeNumerically("<", 3*time.Second))
		})
	}
	NewWithT(t).Expect(asked.Load()).To(BeEquivalentTo(1))
}

func pullBoth(t *testing.T, b *Builder) (Archive, error) {
	t.Helper()
	return registrySource{b}.DataPlane(t.Context(), "v1.7.2")
}

func TestPullRecordsWhatItGot(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	manager, engine := s.push(t, releasedInstanceManager, "v1.7.2"), s.push(t, releasedEngine, "v1.7.2")
	b := newBuilder(t)
	b.RegistryPrefix = s.host + "/"
	archive, err := pullBoth(t, b)
	g.Expect(err).NotTo(HaveOccurred())
	// On the nodes the images bear the names they have everywhere else.
	g.Expect(archive.Refs).To(Equal(map[Component]string{
		InstanceManager: releasedInstanceManager + ":v1.7.2", Engine: releasedEngine + ":v1.7.2",
	}))
	g.Expect(archive.Origins).To(Equal([]Origin{
		{Component: "longhorn-instance-manager", Source: "registry", Version: "v1.7.2", Digest: digest(t, manager)},
		{Component: "longhorn-engine", Source: "registry", Version: "v1.7.2", Digest: digest(t, engine)},
	}))
	tag, err := name.NewTag(releasedEngine + ":v1.7.2")
	g.Expect(err).NotTo(HaveOccurred())
	image, err := tarball.ImageFromPath(archive.Path, &tag)
	g.Expect(err).NotTo(HaveOccurred())
	want, err := engine.ConfigName()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(image.ConfigName()).To(Equal(want))
}

func TestPullOnceForEachDigest(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	s.push(t, releasedInstanceManager, "v1.7.2")
	s.push(t, releasedEngine, "v1.7.2")
	b := newBuilder(t)
	b.RegistryPrefix = s.host + "/"
	first, err := pullBoth(t, b)
	g.Expect(err).NotTo(HaveOccurred())

	later := openBuilder() // in another process
	later.RegistryPrefix = b.RegistryPrefix
	before := s.blobs.Load()
	g.Expect(before).NotTo(BeZero())
	second, err := pullBoth(t, later)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(second).To(Equal(first))
	g.Expect(later.Timings).To(HaveExactElements(HaveField("Cached", true)))
	g.Expect(s.blobs.Load()).To(Equal(before), "nothing is downloaded again")

	moved := s.push(t, releasedEngine, "v1.7.2")
	third, err := pullBoth(t, later)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(third.Key).NotTo(Equal(first.Key), "a tag that was moved is another image")
	g.Expect(third.Path).NotTo(Equal(first.Path))
	g.Expect(third.Origins[1].Digest).To(Equal(digest(t, moved)))
	g.Expect(s.blobs.Load()).To(BeNumerically(">", before))
}

func TestPullOfWhatIsNotThere(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	s.push(t, releasedInstanceManager, "v1.7.2")
	b := newBuilder(t)
	b.RegistryPrefix = s.host + "/"
	_, err := pullBoth(t, b)
	g.Expect(err).To(MatchError(And(
		ContainSubstring(fmt.Sprintf("pull %s/%s:v1.7.2", s.host, releasedEngine)), ContainSubstring("is there such a release"))))
	g.Expect(os.ReadDir(b.Workspace.Images())).To(BeEmpty())
	g.Expect(os.ReadDir(b.Workspace.Tmp())).To(BeEmpty())
}

func TestReference(t *testing.T) {
	g := NewWithT(t)
	for prefix, want := range map[string]string{
		"":                    name.DefaultRegistry + "/longhornio/longhorn-engine:v1.7.2",
		"mirror.example:5000": "mirror.example:5000/longhornio/longhorn-engine:v1.7.2",
		"mirror.example/hub/": "mirror.example/hub/longhornio/longhorn-engine:v1.7.2",
	} {
		ref, err := registrySource{&Builder{RegistryPrefix: prefix}}.reference(releasedEngine, "v1.7.2")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(ref.Name()).To(Equal(want))
	}
	_, err := registrySource{&Builder{}}.reference(releasedEngine, "no tag")
	g.Expect(err).To(MatchError(ContainSubstring("no tag")))
}

// Released images are indexes of several machines' images.
func TestPullOutOfAnIndex(t *testing.T) {
	g := NewWithT(t)
	s := serve(t)
	ours, theirs := s.push(t, "any", "ours"), s.push(t, "any", "theirs")
	platform := func(image v1.Image, arch string) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}}
	}
	index := mutate.AppendManifests(empty.Index, platform(theirs, "other"), platform(ours, runtime.GOARCH))
	ref, err := name.NewTag(s.host + "/" + releasedObjectStore + ":" + objectStoreVersion)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(remote.WriteIndex(ref, index)).To(Succeed())
	b := newBuilder(t)
	b.RegistryPrefix = s.host
	archive, err := registrySource{b}.ObjectStore(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	want, err := index.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(archive.Origins).To(HaveExactElements(HaveField("Digest", want.String())))
	image, err := tarball.ImageFromPath(archive.Path, nil)
	g.Expect(err).NotTo(HaveOccurred())
	config, err := ours.ConfigName()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(image.ConfigName()).To(Equal(config))
}
