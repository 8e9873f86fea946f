package images

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"blackout/e2e/workspace"
)

// file of a layer: a copy of a file on this machine, literal content, or a
// symbolic link.
type file struct {
	path    string // in the image, without a leading slash
	from    string // on this machine
	content []byte
	link    string
	mode    int64
}

const (
	executable = 0o755
	plain      = 0o644
)

// layerOf makes a layer of the files. The tar is written anew each time it is
// read, the same to the byte, so that no copy of large binaries is kept.
func layerOf(files []file) (v1.Layer, error) {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		reader, writer := io.Pipe()
		go func() { writer.CloseWithError(writeTar(writer, files)) }()
		return reader, nil
	}, stored)
}

// stored keeps layers uncompressed inside their gzip frame: they travel no
// further than the engine next door, where compressing costs more than it saves.
var stored = tarball.WithCompressionLevel(0)

func writeTar(out io.Writer, files []file) error {
	w := tar.NewWriter(out)
	seen := map[string]bool{".": true}
	for _, f := range files {
		if err := writeParents(w, f.path, seen); err != nil {
			return err
		}
		if err := writeFile(w, f); err != nil {
			return fmt.Errorf("put %s into a layer: %w", f.path, err)
		}
	}
	return w.Close()
}

func writeParents(w *tar.Writer, path string, seen map[string]bool) error {
	dir := filepath.Dir(path)
	if seen[dir] {
		return nil
	}
	if err := writeParents(w, dir, seen); err != nil {
		return err
	}
	seen[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: executable})
}

func writeFile(w *tar.Writer, f file) error {
	if f.link != "" {
		const linkMode = 0o777
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: f.path, Linkname: f.link, Mode: linkMode})
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Size: int64(len(f.content))}
	if f.from == "" {
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err := w.Write(f.content)
		return err
	}
	source, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	header.Size = info.Size()
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(w, source)
	return err
}

// recipe of one image.
type recipe struct {
	ref string
	// base is an image whose configuration stays, or nil: then the layers are all.
	base       v1.Image
	layers     []v1.Layer
	entrypoint []string
	env        []string
	stopSignal string
}

func (r recipe) image() (v1.Image, error) {
	if r.base != nil {
		image, err := mutate.AppendLayers(r.base, r.layers...)
		if err != nil {
			return nil, fmt.Errorf("assemble %s: %w", r.ref, err)
		}
		return labeled(image)
	}
	image, err := mutate.AppendLayers(empty.Image, r.layers...)
	if err != nil {
		return nil, fmt.Errorf("assemble %s: %w", r.ref, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("assemble %s: %w", r.ref, err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config = v1.Config{
		Entrypoint: r.entrypoint,
		StopSignal: r.stopSignal,
		Env:        append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, r.env...),
		Labels:     map[string]string{workspace.LabelManaged: "true"},
	}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, fmt.Errorf("assemble %s: %w", r.ref, err)
	}
	return image, nil
}

// labeled is an image of somebody else's with our label, by which it is found
// for removal.
func labeled(image v1.Image) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read an image's configuration: %w", err)
	}
	changed := config.DeepCopy().Config
	if changed.Labels == nil {
		changed.Labels = map[string]string{}
	}
	changed.Labels[workspace.LabelManaged] = "true"
	if image, err = mutate.Config(image, changed); err != nil {
		return nil, fmt.Errorf("label an image: %w", err)
	}
	return image, nil
}

// writeArchive writes the images into one tar.
func writeArchive(path string, recipes []recipe) error {
	images := map[name.Tag]v1.Image{}
	for _, r := range recipes {
		tag, err := name.NewTag(r.ref)
		if err != nil {
			return fmt.Errorf("name image %s: %w", r.ref, err)
		}
		if images[tag], err = r.image(); err != nil {
			return err
		}
	}
	return writeImages(path, images)
}

// writeImages does what tarball.MultiWriteToFile does, but in a fixed order: the
// same images make the same archive, to the byte. Layers they share are in it
// once.
func writeImages(path string, images map[name.Tag]v1.Image) (err error) {
	refs := map[name.Reference]v1.Image{}
	byConfig := map[string]v1.Image{}
	for tag, image := range images {
		config, err := image.ConfigName()
		if err != nil {
			return fmt.Errorf("read image %s: %w", tag, err)
		}
		// Equal images are one, under several names.
		if _, ok := byConfig[config.String()]; !ok {
			byConfig[config.String()] = image
		}
		refs[tag] = byConfig[config.String()]
	}
	manifest, err := tarball.ComputeManifest(refs)
	if err != nil {
		return fmt.Errorf("write the image archive: %w", err)
	}
	for i := range manifest {
		slices.Sort(manifest[i].RepoTags)
	}
	slices.SortFunc(manifest, func(a, b tarball.Descriptor) int { return slices.Compare(a.RepoTags, b.RepoTags) })
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the image archive: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	seen := map[string]bool{}
	for _, d := range manifest {
		if err := writeImage(w, d, byConfig[d.Config], seen); err != nil {
			return fmt.Errorf("write %s into the image archive: %w", strings.Join(d.RepoTags, ", "), err)
		}
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return fmt.Errorf("write the image archive: %w", err)
	}
	if err := writeFile(w, file{path: "manifest.json", content: text, mode: plain}); err != nil {
		return fmt.Errorf("write the image archive: %w", err)
	}
	return w.Close()
}

// writeImage writes the configuration and those layers that are not in seen.
func writeImage(w *tar.Writer, d tarball.Descriptor, image v1.Image, seen map[string]bool) error {
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	if err := writeFile(w, file{path: d.Config, content: config, mode: plain}); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for i, layer := range layers {
		if path := d.Layers[i]; !seen[path] {
			seen[path] = true
			if err := writeLayer(w, path, layer); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeLayer(w *tar.Writer, path string, layer v1.Layer) error {
	size, err := layer.Size()
	if err != nil {
		return err
	}
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: plain, Size: size}); err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}
