package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"

	"blackout/e2e/workspace"
)

// listing is a tar's entries in order, as "type mode name -> link = content".
func listing(t *testing.T, r io.Reader) []string {
	t.Helper()
	var entries []string
	for in := tar.NewReader(r); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%c %o %s", header.Typeflag, header.Mode, header.Name)
		if header.Linkname != "" {
			line += " -> " + header.Linkname
		}
		if len(content) > 0 {
			line += " = " + string(content)
		}
		if !header.ModTime.IsZero() && header.ModTime.Unix() != 0 {
			line += " at " + header.ModTime.String()
		}
		entries = append(entries, line)
	}
}

func layerListing(t *testing.T, layer v1.Layer) []string {
	t.Helper()
	content, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	return listing(t, content)
}

func mustLayer(t *testing.T, files ...file) v1.Layer {
	t.Helper()
	layer, err := layerOf(files)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func TestLayer(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	write(t, dir, map[string]string{"binary": "ELF"}) // not executable here: the recipe says what it is
	files := []file{
		{path: "usr/local/bin/tool", from: filepath.Join(dir, "binary"), mode: executable},
		{path: "etc/config", content: []byte("text"), mode: plain},
		{path: "usr/local/bin/alias", link: "tool"},
		{path: "top", content: []byte("t"), mode: 0o600},
		{path: "usr/empty", mode: plain},
	}
	layer := mustLayer(t, files...)
	g.Expect(layerListing(t, layer)).To(Equal([]string{
		"5 755 etc/", "0 644 etc/config = text", "0 600 top = t",
		"5 755 usr/", "0 644 usr/empty",
		"5 755 usr/local/", "5 755 usr/local/bin/", "2 777 usr/local/bin/alias -> tool", "0 755 usr/local/bin/tool = ELF",
	}), "parents once and before what is in them")

	slices.Reverse(files)
	want, err := layer.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(mustLayer(t, files...).Digest()).To(Equal(want), "the order of a recipe says nothing")
}

func TestLayerOfAMissingFile(t *testing.T) {
	g := NewWithT(t)
	layer, err := layerOf([]file{{path: "usr/bin/tool", from: filepath.Join(t.TempDir(), "gone"), mode: executable}})
	if err == nil { // found out when read, at the latest
		_, err = layer.Digest()
	}
	g.Expect(err).To(MatchError(os.ErrNotExist))
	g.Expect(err).To(MatchError(ContainSubstring("usr/bin/tool")))
}

func twoRecipes(t *testing.T) []recipe {
	t.Helper()
	shared := mustLayer(t, file{path: "shared", content: bytes.Repeat([]byte("s"), 4096), mode: plain})
	own := mustLayer(t, file{path: "bin/tool", content: []byte("ELF"), mode: executable}, file{path: "bin/alias", link: "tool"})
	return []recipe{
		{ref: "blackout/one:v1-0123", layers: []v1.Layer{shared, own}, entrypoint: []string{"/bin/tool", "-x"}, env: []string{"container=docker"}, stopSignal: "SIGUSR1"},
		{ref: "blackout/two:v1-0123", layers: []v1.Layer{shared}},
		{ref: "blackout/three:v1-0123", layers: []v1.Layer{own}, entrypoint: []string{"/bin/tool"}},
		{ref: "blackout/again-two:v1-0123", layers: []v1.Layer{shared}},
	}
}

func TestArchiveIsTheSameToTheByte(t *testing.T) {
	g := NewWithT(t)
	var first []byte
	for i := range 8 { // with four images, the order of a map would show
		path := filepath.Join(t.TempDir(), "out")
		recipes := twoRecipes(t)
		if i%2 == 1 {
			slices.Reverse(recipes)
		}
		g.Expect(writeArchive(path, recipes)).To(Succeed())
		raw, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		if first == nil {
			first = raw
		}
		g.Expect(bytes.Equal(raw, first)).To(BeTrue(), "archive %d differs", i)
	}
}

func TestArchiveStoresASharedLayerOnce(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "out")
	g.Expect(writeArchive(path, twoRecipes(t))).To(Succeed())
	f, err := os.Open(path)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = f.Close() }()
	names := map[string]int{}
	layers := 0
	for in := tar.NewReader(f); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		g.Expect(err).NotTo(HaveOccurred())
		names[header.Name]++
		if filepath.Ext(header.Name) == ".gz" {
			layers++
		}
	}
	g.Expect(names).To(HaveEach(1))
	g.Expect(names).To(HaveKey("manifest.json"))
	g.Expect(layers).To(Equal(2))
	g.Expect(names).To(HaveLen(1+layers+3), "and one configuration for equal images")
}

func TestArchiveLoadsBack(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "out")
	g.Expect(writeArchive(path, twoRecipes(t))).To(Succeed())
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	g.Expect(err).NotTo(HaveOccurred())
	var tags []string
	for _, d := range manifest {
		tags = append(tags, d.RepoTags...)
	}
	g.Expect(tags).To(ConsistOf("blackout/one:v1-0123", "blackout/two:v1-0123", "blackout/three:v1-0123", "blackout/again-two:v1-0123"))

	load := func(ref string) v1.Image {
		tag, err := name.NewTag(ref)
		g.Expect(err).NotTo(HaveOccurred())
		image, err := tarball.ImageFromPath(path, &tag)
		g.Expect(err).NotTo(HaveOccurred())
		return image
	}
	one := load("blackout/one:v1-0123")
	config, err := one.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]string{config.OS, config.Architecture}).To(Equal([]string{"linux", "amd64"}))
	g.Expect(config.Config).To(Equal(v1.Config{
		Entrypoint: []string{"/bin/tool", "-x"}, StopSignal: "SIGUSR1",
		Env:    []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"},
		Labels: map[string]string{workspace.LabelManaged: "true"},
	}))
	layers, err := one.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(layers).To(HaveLen(2))
	g.Expect(layerListing(t, layers[1])).To(Equal([]string{"5 755 bin/", "2 777 bin/alias -> tool", "0 755 bin/tool = ELF"}))
	two, err := load("blackout/again-two:v1-0123").Layers()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(two).To(HaveLen(1))
	g.Expect(two[0].DiffID()).To(Equal(config.RootFS.DiffIDs[0]))
	g.Expect(layerListing(t, two[0])).To(ConsistOf(HavePrefix("0 644 shared = sss")))
}

func TestArchiveErrors(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "out")
	g.Expect(writeArchive(path, []recipe{{ref: "Not A Name"}})).To(MatchError(ContainSubstring("Not A Name")))
	g.Expect(writeArchive(path, nil)).NotTo(Succeed(), "an archive of nothing")
	g.Expect(writeArchive(filepath.Join(path, "no", "directory"), twoRecipes(t))).To(MatchError(os.ErrNotExist))
}
