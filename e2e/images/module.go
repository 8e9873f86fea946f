package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"blackout/e2e/progress"
)

// moduleSource compiles everything from Go modules pinned below fixtures/ and
// puts it on Debian root file systems.
type moduleSource struct{ b *Builder }

// Name implements Source.
func (moduleSource) Name() string { return string(Module) }

// Steps implements Source: two root file systems, four compilations, four
// archives and the node image.
func (moduleSource) Steps() int { return 11 }

// baseRootfs is below every image that needs a shell or iptables: one layer,
// which each node unpacks once.
func (moduleSource) baseRootfs() rootfs {
	return rootfs{
		name: "base", title: "Debian root file system for containers", usual: 50 * time.Second, variant: "essential",
		packages: []string{"etcd-server", "iproute2", "iptables", "kmod", "mount", "netcat-openbsd", "tini"},
	}
}

func (s moduleSource) modulePath(parts ...string) string {
	return filepath.Join(append([]string{s.b.Fixtures}, parts...)...)
}

// nested is a program whose inputs are the files of its own nested module.
func (s moduleSource) nested(p program) program {
	p.inputs = func(h *hasher) error {
		return h.tree(p.dir, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
	}
	return p
}

const managerPackage = "github.com/longhorn/longhorn-manager"

func managerFlags(version, commit string) string {
	return fmt.Sprintf("-s -w -X %[1]s/meta.Version=%[2]s -X %[1]s/meta.GitCommit=%[3]s", managerPackage, version, commit)
}

func (s moduleSource) managerProgram(version string) program {
	return s.nested(program{
		name: "longhorn-manager-" + version, title: "compile longhorn-manager " + version, usual: 6 * time.Minute,
		dir: s.modulePath(managerModules, version), packages: []string{managerPackage}, ldflags: managerFlags(version, "module"),
	})
}

// Manager implements Source.
func (s moduleSource) Manager(ctx context.Context, version string) (Archive, []byte, error) {
	if err := buildable(version, s.b.Fixtures); err != nil {
		return Archive{}, nil, err
	}
	crds, err := s.b.crds(ctx, version)
	if err != nil {
		return Archive{}, nil, err
	}
	below, err := s.ground(ctx)
	if err != nil {
		return Archive{}, nil, err
	}
	archive, err := s.b.managerArchive(ctx, below, s.managerProgram(version), version,
		Origin{Component: string(Manager), Source: string(Module), Version: version})
	return archive, crds, err
}

// crds reads the version's own definitions out of its module: the zip alone is
// enough, so this works for versions that do not compile here. A pinned version
// is checked against the committed go.sum, any other by a checksum database.
func (b *Builder) crds(ctx context.Context, version string) ([]byte, error) {
	in, module := b.Fixtures, managerPackage+"@"+version
	if buildable(version, b.Fixtures) == nil {
		in, module = filepath.Join(b.Fixtures, managerModules, version), managerPackage
	}
	dir, err := b.moduleDir(ctx, in, module)
	if err != nil {
		return nil, fmt.Errorf("find the CRDs of longhorn %s: %w; is there such a version?", version, err)
	}
	return readCRDs(dir)
}

func readCRDs(managerDir string) ([]byte, error) {
	crds, err := os.ReadFile(filepath.Join(managerDir, "k8s", "crds.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the CRDs: %w", err)
	}
	return crds, nil
}

// ground is what a manager's binary is put on.
type ground struct {
	key string
	// recipe of the image without the binary; called only if the image is made.
	recipe func() (recipe, error)
}

// ground is the Debian root file system.
func (s moduleSource) ground(ctx context.Context) (ground, error) {
	base, key, err := s.b.debian(ctx, s.baseRootfs())
	return ground{key: key, recipe: func() (recipe, error) {
		layer, err := tarball.LayerFromFile(base, stored)
		if err != nil {
			return recipe{}, fmt.Errorf("read the root file system: %w", err)
		}
		return recipe{layers: []v1.Layer{layer}}, nil
	}}, err
}

// managerArchive compiles a manager and makes its image.
func (b *Builder) managerArchive(ctx context.Context, below ground, p program, version string, origin Origin) (Archive, error) {
	bin, binKey, err := b.build(ctx, p)
	if err != nil {
		return Archive{}, err
	}
	return b.archive(ctx, "longhorn-manager", "image of "+p.name, version, []string{below.key, binKey}, []Component{Manager}, origin,
		func(refs map[Component]string) ([]recipe, error) {
			made, err := below.recipe()
			if err != nil {
				return nil, err
			}
			layer, err := layerOf([]file{{path: "usr/local/sbin/longhorn-manager", from: filepath.Join(bin, filepath.Base(managerPackage)), mode: executable}})
			if err != nil {
				return nil, err
			}
			made.ref, made.layers = refs[Manager], append(made.layers, layer)
			return []recipe{made}, nil
		})
}

// archive makes the images of one archive once. Their tags end with the key, so
// that a name on a node says exactly what is inside.
func (b *Builder) archive(ctx context.Context, name, title, version string, inputs []string, components []Component, origin Origin,
	recipes func(refs map[Component]string) ([]recipe, error),
) (Archive, error) {
	h := newHasher("archive " + recipeRevision)
	h.text("version", version)
	h.text("inputs", inputs...)
	archive := Archive{Key: h.key(), Refs: map[Component]string{}}
	for _, component := range components {
		archive.Refs[component] = fmt.Sprintf("blackout/%s:%s-%s", component, version, h.key())
		o := origin
		o.Component, o.Key = string(component), h.key()
		archive.Origins = append(archive.Origins, o)
	}
	const usual = 10 * time.Second
	e := entry{dir: b.Workspace.Images(), name: name, key: h.key(), title: title, usual: usual}
	var err error
	archive.Path, err = b.once(ctx, e, func(_ context.Context, _ *progress.Step, tmp string) error {
		made, err := recipes(archive.Refs)
		if err != nil {
			return err
		}
		return writeArchive(tmp, made)
	})
	return archive, err
}

// recipeRevision changes when the recipes in this package change what they put
// into an image from the same inputs.
const recipeRevision = "1"

const instanceManagerPackage = "github.com/longhorn/longhorn-instance-manager"

func (s moduleSource) dataPlaneProgram() program {
	return s.nested(program{
		name: "longhorn-data-plane", title: "compile longhorn-instance-manager and longhorn-engine", usual: 90 * time.Second,
		dir: s.modulePath("longhorn-instance-manager"), cgo: true,
		// Static, as upstream links them: no image has to carry libqcow.
		tags: "netgo,osusergo", ldflags: `-s -w -linkmode external -extldflags "-static" -X main.Version=` + dataPlaneVersion,
		packages: []string{
			instanceManagerPackage, "github.com/longhorn/longhorn-engine",
			"github.com/grpc-ecosystem/grpc-health-probe",
		},
	})
}

// dataPlaneVersion names the pinned set in reports: it is older than the
// managers it serves, and a report must say so.
const dataPlaneVersion = "v1.6.0-rc2"

// DataPlane implements Source. One pinned set serves all managers built here.
func (s moduleSource) DataPlane(ctx context.Context, _ string) (Archive, error) {
	base, baseKey, err := s.b.debian(ctx, s.baseRootfs())
	if err != nil {
		return Archive{}, err
	}
	if err := s.needQcow(ctx); err != nil {
		return Archive{}, err
	}
	bin, binKey, err := s.b.build(ctx, s.dataPlaneProgram())
	if err != nil {
		return Archive{}, err
	}
	upstream, err := s.b.moduleDir(ctx, s.dataPlaneProgram().dir, instanceManagerPackage)
	if err != nil {
		return Archive{}, err
	}
	origin := Origin{Source: string(Module), Version: dataPlaneVersion}
	return s.b.archive(ctx, "longhorn-data-plane", "images of instance manager and engine", dataPlaneVersion,
		[]string{baseKey, binKey}, []Component{InstanceManager, Engine}, origin,
		func(refs map[Component]string) ([]recipe, error) {
			rootLayer, err := tarball.LayerFromFile(base, stored)
			if err != nil {
				return nil, fmt.Errorf("read the root file system: %w", err)
			}
			layer, err := layerOf([]file{
				{path: "usr/local/bin/longhorn-instance-manager", from: filepath.Join(bin, "longhorn-instance-manager"), mode: executable},
				{path: "usr/local/bin/longhorn", from: filepath.Join(bin, "longhorn-engine"), mode: executable},
				{path: "usr/local/bin/grpc_health_probe", from: filepath.Join(bin, "grpc-health-probe"), mode: executable},
				{path: "usr/local/bin/instance-manager", from: filepath.Join(upstream, "package", "instance-manager"), mode: executable},
			})
			if err != nil {
				return nil, err
			}
			layers := []v1.Layer{rootLayer, layer}
			return []recipe{{ref: refs[InstanceManager], layers: layers, entrypoint: []string{"/usr/bin/tini", "--"}}, {ref: refs[Engine], layers: layers}}, nil
		})
}

// needQcow installs the C library that the engine links with. Only a build
// needs it, so nothing happens where the result is cached.
func (s moduleSource) needQcow(ctx context.Context) error {
	e, err := s.dataPlaneProgram().entry(ctx, s.b)
	if err != nil || exists(e.path()) {
		return err
	}
	headers, err := filepath.Glob("/usr/include/libqcow.h")
	if err != nil || len(headers) > 0 {
		return err
	}
	s.b.Progress.Logf("installing libqcow-dev and gcc, which longhorn-engine is compiled with")
	return s.b.Host.APTInstall(ctx, "gcc", "libc6-dev", "libqcow-dev", "zlib1g-dev")
}

func (s moduleSource) objectStoreProgram() program {
	return s.nested(program{
		name: "versitygw", title: "compile the S3 server versitygw", usual: 100 * time.Second,
		dir: s.modulePath("s3"), packages: []string{"github.com/versity/versitygw/cmd/versitygw"}, ldflags: "-s -w -X main.Version=" + objectStoreVersion,
	})
}

// objectStoreVersion of versitygw, as fixtures/s3/go.mod pins it.
const objectStoreVersion = "v1.8.0"

// ObjectStore implements Source: a static binary on nothing.
func (s moduleSource) ObjectStore(ctx context.Context) (Archive, error) {
	bin, key, err := s.b.build(ctx, s.objectStoreProgram())
	if err != nil {
		return Archive{}, err
	}
	origin := Origin{Source: string(Module), Version: objectStoreVersion}
	return s.b.archive(ctx, "object-store", "image of versitygw", objectStoreVersion, []string{key}, []Component{ObjectStore}, origin,
		func(refs map[Component]string) ([]recipe, error) {
			layer, err := layerOf([]file{{path: "usr/local/bin/versitygw", from: filepath.Join(bin, "versitygw"), mode: executable}})
			if err != nil {
				return nil, err
			}
			return []recipe{{ref: refs[ObjectStore], layers: []v1.Layer{layer}, entrypoint: []string{"/usr/local/bin/versitygw"}}}, nil
		})
}

// largeEntries are what takes the space of a build.
func (b *Builder) largeEntries(ctx context.Context) []entry {
	s := moduleSource{b}
	var entries []entry
	for _, p := range []program{s.kubernetesProgram(), s.dataPlaneProgram()} {
		if e, err := p.entry(ctx, b); err == nil {
			entries = append(entries, e)
		}
	}
	return entries
}

// kubeadmImages asks kubeadm which names it will look for, so that none is
// written down here.
func kubeadmImages(ctx context.Context, kube string) ([]string, error) {
	cmd := exec.CommandContext(ctx, kube)
	cmd.Args = []string{"kubeadm", "config", "images", "list", "--kubernetes-version", kubernetesVersion}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask kubeadm for its images: %w", err)
	}
	return strings.Fields(string(out)), nil
}
