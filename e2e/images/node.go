package images

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/progress"
	"blackout/e2e/workspace"
)

const (
	// kubernetesVersion of the nodes built here, as fixtures/kubernetes/go.mod
	// pins it; nodeEntrypoint as kind's own images have it.
	kubernetesVersion = "v1.33.13"
	kubernetesMinor   = "33"
	nodeEntrypoint    = "/usr/local/bin/entrypoint"
	nodeInit          = "/sbin/init"
	nodeRepository    = "blackout/node"
	podnetRef         = "blackout/podnet:v1" // as fixtures/kubernetes/manifests names it
	kindModule        = "sigs.k8s.io/kind"
	containerdConfig  = "etc/containerd/config.toml"
)

// nodeBase is a node before the images of a run are in it.
type nodeBase struct {
	key     string
	version string // of Kubernetes
	origin  Origin
	// archives hold Kubernetes' own images, where they are not inside already.
	archives []Archive
	// load puts the base into the engine under that name.
	load func(ctx context.Context, ref string) error
}

func (s moduleSource) nodeRootfs() rootfs {
	return rootfs{
		name: "node", title: "Debian root file system for nodes", usual: 90 * time.Second, variant: "minbase", setup: s.modulePath("node", "setup.sh"),
		packages: []string{
			"bash", "ca-certificates", "conntrack", "containerd", "containernetworking-plugins", "curl", "dbus", "e2fsprogs", "ethtool", "haproxy",
			"hostname", "iproute2", "iptables", "jq", "kmod", "libseccomp2", "mount", "nfs-common", "nftables", "open-iscsi", "procps",
			"runc", "socat", "systemd", "systemd-sysv", "util-linux",
		},
	}
}

func (s moduleSource) kubernetesProgram() program {
	var flags strings.Builder
	flags.WriteString("-s -w")
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		fmt.Fprintf(&flags, " -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[3]s -X %[1]s.gitTreeState=clean",
			pkg, kubernetesVersion, kubernetesMinor)
	}
	return s.nested(program{
		name: "kubernetes-" + kubernetesVersion, title: "compile Kubernetes " + kubernetesVersion, usual: 12 * time.Minute,
		dir: s.modulePath("kubernetes"), packages: []string{".", "./pause"}, ldflags: flags.String(),
	})
}

// NodeBase implements Source.
func (s moduleSource) NodeBase(ctx context.Context) (nodeBase, error) {
	root, rootKey, err := s.b.debian(ctx, s.nodeRootfs())
	if err != nil {
		return nodeBase{}, err
	}
	bin, binKey, err := s.b.build(ctx, s.kubernetesProgram())
	if err != nil {
		return nodeBase{}, err
	}
	kube := filepath.Join(bin, "kubernetes")
	kindDir, err := s.b.moduleDir(ctx, filepath.Dir(s.b.Fixtures), kindModule)
	if err != nil {
		return nodeBase{}, err
	}
	kindFiles := filepath.Join(kindDir, "images", "base", "files")
	images, err := s.kubernetesImages(ctx, kube, binKey, kindFiles)
	if err != nil {
		return nodeBase{}, err
	}
	h := newHasher("node base " + recipeRevision)
	h.text("parts", rootKey, binKey, images.Key)
	for _, dir := range []string{kindFiles, s.modulePath("kubernetes", "manifests")} {
		if err := h.tree(dir, nil); err != nil {
			return nodeBase{}, err
		}
	}
	return nodeBase{
		key: h.key(), version: kubernetesVersion, archives: []Archive{images},
		origin: Origin{Component: "node", Source: string(Module), Version: kubernetesVersion, Key: h.key()},
		load: func(ctx context.Context, ref string) error {
			return s.loadNode(ctx, ref, root, kube, kindFiles)
		},
	}, nil
}

var sandboxImage = regexp.MustCompile(`sandbox_image\s*=\s*"([^"]+)"`)

// kubernetesImages makes the images that kubeadm starts, around one binary.
func (s moduleSource) kubernetesImages(ctx context.Context, kube, binKey, kindFiles string) (Archive, error) {
	base, baseKey, err := s.b.debian(ctx, s.baseRootfs())
	if err != nil {
		return Archive{}, err
	}
	config, err := os.ReadFile(filepath.Join(kindFiles, containerdConfig))
	if err != nil {
		return Archive{}, fmt.Errorf("read kind's containerd configuration: %w", err)
	}
	// The pause image that kind's containerd asks for need not be kubeadm's.
	match := sandboxImage.FindSubmatch(config)
	if match == nil {
		return Archive{}, fmt.Errorf("kind's %s names no sandbox_image", containerdConfig)
	}
	pause := string(match[1])
	return s.b.archive(ctx, "kubernetes-images", "images of Kubernetes", kubernetesVersion, []string{binKey, baseKey, pause}, nil, Origin{},
		func(map[Component]string) ([]recipe, error) {
			refs, err := kubeadmImages(ctx, kube)
			if err != nil {
				return nil, err
			}
			return kubernetesRecipes(filepath.Dir(kube), base, append(refs, pause, podnetRef))
		})
}

func kubernetesRecipes(bin, base string, refs []string) ([]recipe, error) {
	names := []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns", "podnet"}
	files := []file{{path: "usr/local/bin/kube", from: filepath.Join(bin, "kubernetes"), mode: executable}}
	for _, name := range names {
		files = append(files, file{path: "usr/local/bin/" + name, link: "kube"})
	}
	binary, err := layerOf(files)
	if err != nil {
		return nil, err
	}
	// Apart from the rest: it runs in every pod, and the large binary would cost
	// each 17 MB for the start-up of packages that it never calls.
	pause, err := layerOf([]file{{path: "usr/local/bin/pause", from: filepath.Join(bin, "pause"), mode: executable}})
	if err != nil {
		return nil, err
	}
	root, err := tarball.LayerFromFile(base, stored)
	if err != nil {
		return nil, fmt.Errorf("read the root file system: %w", err)
	}
	var recipes []recipe
	for _, ref := range refs {
		r := recipe{ref: ref}
		tag, err := name.NewTag(ref)
		if err != nil {
			return nil, fmt.Errorf("name image %s: %w", ref, err)
		}
		switch component := path.Base(tag.RepositoryStr()); component {
		case "etcd":
			r.layers = []v1.Layer{root}
		case "pause":
			r.layers, r.entrypoint = []v1.Layer{pause}, []string{"/usr/local/bin/pause"}
		case "kube-proxy", "podnet": // they call iptables
			r.layers, r.entrypoint = []v1.Layer{root, binary}, []string{"/usr/local/bin/" + component}
		default:
			r.layers, r.entrypoint = []v1.Layer{binary}, []string{"/usr/local/bin/" + component}
		}
		recipes = append(recipes, r)
	}
	return recipes, nil
}

// loadNode streams the node without its images into the engine.
func (s moduleSource) loadNode(ctx context.Context, ref, root, kube, kindFiles string) error {
	files, err := nodeFiles(kube, kindFiles, s.modulePath("kubernetes", "manifests"))
	if err != nil {
		return err
	}
	layer, err := layerOf(files)
	if err != nil {
		return err
	}
	rootLayer, err := tarball.LayerFromFile(root, stored)
	if err != nil {
		return fmt.Errorf("read the root file system: %w", err)
	}
	image, err := recipe{
		ref: ref, layers: []v1.Layer{rootLayer, layer}, entrypoint: []string{nodeEntrypoint, nodeInit},
		// systemd: https://systemd.io/CONTAINER_INTERFACE/
		env: []string{"container=docker"}, stopSignal: "SIGRTMIN+3",
	}.image()
	if err != nil {
		return err
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return fmt.Errorf("name image %s: %w", ref, err)
	}
	return s.b.load(ctx, tag, image)
}

// nodeFiles is kind's own set of files, Kubernetes, and the units to start.
func nodeFiles(kube, kindFiles, manifests string) ([]file, error) {
	files := []file{
		{path: "usr/bin/kube", from: kube, mode: executable},
		{path: "kind/version", content: []byte(kubernetesVersion), mode: plain},
	}
	for _, command := range []string{"kubelet", "kubeadm", "kubectl"} {
		files = append(files, file{path: "usr/bin/" + command, link: "kube"})
	}
	for _, unit := range []string{"kubelet", "containerd", "undo-mount-hacks"} {
		files = append(files, file{
			path: "etc/systemd/system/multi-user.target.wants/" + unit + ".service",
			link: "/etc/systemd/system/" + unit + ".service",
		})
	}
	for dir, target := range map[string]string{kindFiles: "", manifests: "kind/manifests"} {
		err := filepath.WalkDir(dir, func(from string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			relative, err := filepath.Rel(dir, from)
			if err != nil {
				return err
			}
			f := file{path: path.Join(target, relative), from: from, mode: plain}
			// The module cache keeps no modes.
			if strings.HasPrefix(f.path, "usr/local/bin/") || strings.HasPrefix(f.path, "kind/bin/") {
				f.mode = executable
			}
			files = append(files, f)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read kind's node files: %w", err)
		}
	}
	return files, nil
}

// bake puts the archives into the node's containerd, so that no cluster has to
// load an image, and returns the name of the result.
func (b *Builder) bake(ctx context.Context, base nodeBase, archives []Archive) (string, error) {
	all := append(append([]Archive(nil), base.archives...), archives...)
	h := newHasher("node " + recipeRevision)
	h.text("base", base.key)
	for _, archive := range all {
		h.text("archive", archive.Key)
	}
	ref := fmt.Sprintf("%s:%s-%s", nodeRepository, base.version, h.key())
	const usual = 40 * time.Second
	step := b.Progress.Step("node image with everything in it", usual)
	switch found, err := b.Engine.HasImage(ctx, ref); {
	case err != nil:
		step.Failed()
		return "", err
	case found:
		b.record("node image", step.Cached(), true)
		return ref, nil
	}
	if err := b.bakeNode(ctx, step, ref, h.key(), base, all); err != nil {
		step.Failed()
		return "", spaceAdvice(fmt.Errorf("assemble the node image: %w", err), b.Workspace)
	}
	b.record("node image", step.Done(), false)
	return ref, nil
}

func (b *Builder) bakeNode(ctx context.Context, step *progress.Step, ref, key string, base nodeBase, archives []Archive) (err error) {
	baseRef := fmt.Sprintf("%s-base:%s", nodeRepository, base.key)
	found, err := b.Engine.HasImage(ctx, baseRef)
	if err != nil {
		return err
	}
	if !found {
		step.Note("loading the node's root file system")
		if err := base.load(ctx, baseRef); err != nil {
			return err
		}
	}
	container := workspace.NamePrefix + "bake-" + key
	remove := func(ctx context.Context) error {
		_, err := b.Engine.Run(ctx, "rm", "--force", "--volumes", container)
		if err != nil && strings.Contains(strings.ToLower(err.Error()), "no such container") {
			return nil
		}
		return err
	}
	// A killed build may have left one of this name.
	if err := remove(ctx); err != nil {
		return err
	}
	_, err = b.Engine.Run(ctx, "run", "--detach", "--name", container, "--label", workspace.LabelManaged+"=true",
		"--security-opt", "seccomp=unconfined", "--network", "none", "--entrypoint", "sleep", baseRef, "infinity")
	if err != nil {
		return err
	}
	defer func() {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.Timeouts.CleanUp)
		defer cancel()
		if removeErr := remove(cleanup); err == nil {
			err = removeErr
		}
	}()
	if err := b.importAll(ctx, step, container, archives); err != nil {
		return err
	}
	step.Note("committing")
	_, err = b.Engine.Run(ctx, "commit",
		"--change", fmt.Sprintf(`ENTRYPOINT [%q, %q]`, nodeEntrypoint, nodeInit), "--change", "CMD []",
		"--change", fmt.Sprintf("LABEL %s=true", workspace.LabelManaged), container, ref)
	return err
}

// importAll runs the node's containerd for as long as it takes to hand it the
// archives. Nothing is unpacked: an overlay cannot lie on an overlay, and a
// node unpacks what it runs.
func (b *Builder) importAll(ctx context.Context, step *progress.Step, container string, archives []Archive) error {
	if _, err := b.Engine.Run(ctx, "exec", "--detach", container, "containerd"); err != nil {
		return err
	}
	var last error
	err := wait.PollUntilContextTimeout(ctx, b.Timeouts.Poll, b.Timeouts.EngineStart, true, func(ctx context.Context) (bool, error) {
		_, last = b.Engine.Run(ctx, "exec", container, "ctr", "version")
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the node's containerd: %w: %w", err, last)
	}
	for _, archive := range archives {
		step.Note("putting in %s", filepath.Base(archive.Path))
		f, err := os.Open(archive.Path)
		if err != nil {
			return fmt.Errorf("open an image archive: %w", err)
		}
		_, err = b.Engine.Pipe(ctx, f, "exec", "--interactive", container,
			"ctr", "--namespace=k8s.io", "images", "import", "--no-unpack", "-")
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	out, err := b.Engine.Run(ctx, "exec", container, "ctr", "--namespace=k8s.io", "images", "list", "--quiet")
	if err != nil {
		return err
	}
	for _, archive := range archives {
		for _, ref := range archive.Refs {
			if !bytes.Contains([]byte(out), []byte(ref)) {
				return fmt.Errorf("the node's containerd does not list %s after its import", ref)
			}
		}
	}
	_, err = b.Engine.Run(ctx, "exec", container, "pkill", "--signal", "TERM", "--exact", "containerd")
	if err != nil {
		return fmt.Errorf("stop the node's containerd: %w", err)
	}
	return wait.PollUntilContextTimeout(ctx, b.Timeouts.Poll, b.Timeouts.EngineStart, true, func(ctx context.Context) (bool, error) {
		_, err := b.Engine.Run(ctx, "exec", container, "pgrep", "--exact", "containerd")
		return err != nil, nil
	})
}
