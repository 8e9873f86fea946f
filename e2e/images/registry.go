package images

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"blackout/e2e/progress"
)

// Released images by the names that their projects publish them under.
const (
	releasedNode            = "kindest/node"
	releasedNodeVersion     = "v1.33.4" // of the 1.33 line, with kind v0.30 and newer
	releasedManager         = "longhornio/longhorn-manager"
	releasedInstanceManager = "longhornio/longhorn-instance-manager"
	releasedEngine          = "longhornio/longhorn-engine"
	releasedObjectStore     = "versity/versitygw"
)

// registrySource pulls released images and records their digests.
type registrySource struct{ b *Builder }

// Name implements Source.
func (registrySource) Name() string { return string(Registry) }

// Steps implements Source: four archives and the node image.
func (registrySource) Steps() int { return 5 }

// reference resolves a name the way the engine would, below the mirror if one
// is set.
func (s registrySource) reference(repository, tag string) (name.Tag, error) {
	prefix := s.b.RegistryPrefix
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	ref, err := name.NewTag(prefix + repository + ":" + tag)
	if err != nil {
		return name.Tag{}, fmt.Errorf("name image %s:%s: %w", repository, tag, err)
	}
	return ref, nil
}

func (s registrySource) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}),
	}
}

// answers asks for one small thing that every run needs, for a few seconds.
func (s registrySource) answers(ctx context.Context) error {
	ref, err := s.reference(releasedNode, releasedNodeVersion)
	if err != nil {
		return err
	}
	return s.ask(ctx, ref)
}

func (s registrySource) ask(ctx context.Context, ref name.Tag) error {
	ctx, cancel := context.WithTimeout(ctx, s.b.Timeouts.RegistryProbe)
	defer cancel()
	options := append(s.options(ctx), remote.WithTransport(http.DefaultTransport), remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	if _, err := remote.Head(ref, options...); err != nil {
		return fmt.Errorf("ask the registry for %s: %w", ref, err)
	}
	return nil
}

// pulled is one image of an archive that comes from a registry.
type pulled struct {
	component  Component
	repository string
	tag        string
}

// pull fetches images into one archive. The tag is resolved first: what is
// cached is found by digest, so a tag that was moved is pulled again.
func (s registrySource) pull(ctx context.Context, title string, wanted ...pulled) (Archive, error) {
	h := newHasher("registry")
	archive := Archive{Refs: map[Component]string{}}
	found := map[name.Tag]name.Digest{}
	for _, want := range wanted {
		ref, err := s.reference(want.repository, want.tag)
		if err != nil {
			return Archive{}, err
		}
		digest, err := s.digest(ctx, ref)
		if err != nil {
			return Archive{}, err
		}
		// On the nodes it bears the name it has everywhere else.
		plain, err := name.NewTag(want.repository + ":" + want.tag)
		if err != nil {
			return Archive{}, fmt.Errorf("name image %s: %w", want.repository, err)
		}
		found[plain] = digest
		h.text(want.repository+":"+want.tag, digest.DigestStr())
		archive.Refs[want.component] = want.repository + ":" + want.tag
		archive.Origins = append(archive.Origins, Origin{
			Component: string(want.component), Source: string(Registry), Version: want.tag, Digest: digest.DigestStr(),
		})
	}
	archive.Key = h.key()
	const usual = 30 * time.Second
	e := entry{dir: s.b.Workspace.Images(), name: string(wanted[0].component), key: archive.Key, title: title, usual: usual}
	var err error
	archive.Path, err = s.b.once(ctx, e, func(ctx context.Context, _ *progress.Step, tmp string) error {
		images := map[name.Tag]v1.Image{}
		for tag, digest := range found {
			var err error
			if images[tag], err = s.image(ctx, digest); err != nil {
				return err
			}
		}
		return writeImages(tmp, images)
	})
	return archive, err
}

// digest asks what a tag names now, which downloads nothing.
func (s registrySource) digest(ctx context.Context, ref name.Tag) (name.Digest, error) {
	head, err := remote.Head(ref, s.options(ctx)...)
	if err != nil {
		return name.Digest{}, fmt.Errorf("pull %s: %w; is there such a release, and does the registry answer?", ref, err)
	}
	return ref.Digest(head.Digest.String()), nil
}

// image by its digest, or this machine's one among those of an index.
func (s registrySource) image(ctx context.Context, digest name.Digest) (v1.Image, error) {
	image, err := remote.Image(digest, s.options(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w; run the same command again", digest, err)
	}
	return image, nil
}

// managerGround is the released manager, for another binary to be put on.
func (s registrySource) managerGround(ctx context.Context, version string) (ground, error) {
	ref, err := s.reference(releasedManager, version)
	if err != nil {
		return ground{}, err
	}
	digest, err := s.digest(ctx, ref)
	if err != nil {
		return ground{}, err
	}
	return ground{key: digest.DigestStr(), recipe: func() (recipe, error) {
		base, err := s.image(ctx, digest)
		return recipe{base: base}, err
	}}, nil
}

// Manager implements Source.
func (s registrySource) Manager(ctx context.Context, version string) (Archive, []byte, error) {
	archive, err := s.pull(ctx, "pull longhorn-manager "+version, pulled{Manager, releasedManager, version})
	if err != nil {
		return Archive{}, nil, err
	}
	crds, err := s.b.crds(ctx, version)
	return archive, crds, err
}

// DataPlane implements Source.
func (s registrySource) DataPlane(ctx context.Context, version string) (Archive, error) {
	return s.pull(ctx, "pull instance manager and engine "+version,
		pulled{InstanceManager, releasedInstanceManager, version}, pulled{Engine, releasedEngine, version})
}

// ObjectStore implements Source.
func (s registrySource) ObjectStore(ctx context.Context) (Archive, error) {
	return s.pull(ctx, "pull versitygw "+objectStoreVersion, pulled{ObjectStore, releasedObjectStore, objectStoreVersion})
}

// nodeComponent is the node itself among the components that are pulled.
const nodeComponent Component = "node"

// NodeBase implements Source.
func (s registrySource) NodeBase(ctx context.Context) (nodeBase, error) {
	archive, err := s.pull(ctx, "pull kind's node image "+releasedNodeVersion, pulled{nodeComponent, releasedNode, releasedNodeVersion})
	if err != nil {
		return nodeBase{}, err
	}
	return nodeBase{
		key: archive.Key, version: releasedNodeVersion, origin: archive.Origins[0],
		load: func(ctx context.Context, ref string) error {
			tag, err := name.NewTag(archive.Refs[nodeComponent])
			if err != nil {
				return fmt.Errorf("name image %s: %w", ref, err)
			}
			image, err := tarball.ImageFromPath(archive.Path, &tag)
			if err != nil {
				return fmt.Errorf("read the pulled node image: %w", err)
			}
			if image, err = labeled(image); err != nil {
				return err
			}
			renamed, err := name.NewTag(ref)
			if err != nil {
				return fmt.Errorf("name image %s: %w", ref, err)
			}
			return s.b.load(ctx, renamed, image)
		},
	}, nil
}

// load streams an image into the engine under that name.
func (b *Builder) load(ctx context.Context, tag name.Tag, image v1.Image) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(tarball.Write(tag, image, writer)) }()
	_, err := b.Engine.Pipe(ctx, reader, "load", "--quiet")
	_ = reader.Close() // ends the writer if the engine stopped reading
	return err
}
