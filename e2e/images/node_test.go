package images

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// fakeKindFiles is laid out like kind's images/base/files, without modes, as the
// module cache keeps them.
func fakeKindFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"etc/containerd/config.toml":         `sandbox_image = "registry.example/pause:3.10"`,
		"etc/systemd/system/kubelet.service": "[Unit]",
		"kind/README.txt":                    "kind",
		"kind/bin/undo-mount-hacks.sh":       "#!/bin/sh",
		"usr/local/bin/entrypoint":           "#!/bin/bash",
		"usr/local/binary.txt":               "text",
	})
	return dir
}

func TestNodeFiles(t *testing.T) {
	g := NewWithT(t)
	kind, manifests, bin := fakeKindFiles(t), t.TempDir(), t.TempDir()
	write(t, manifests, map[string]string{"default-cni.yaml": "kind: List"})
	write(t, bin, map[string]string{"kubernetes": "ELF"})
	kube := filepath.Join(bin, "kubernetes")
	files, err := nodeFiles(kube, kind, manifests)
	g.Expect(err).NotTo(HaveOccurred())
	got := map[string]string{}
	for _, f := range files {
		g.Expect(got).NotTo(HaveKey(f.path), "two files of one name hide one another")
		switch {
		case f.link != "":
			got[f.path] = "-> " + f.link
		case f.from != "":
			raw, err := os.ReadFile(f.from)
			g.Expect(err).NotTo(HaveOccurred())
			got[f.path] = fmt.Sprintf("%o %s", f.mode, raw)
		default:
			got[f.path] = fmt.Sprintf("%o %s", f.mode, f.content)
		}
	}
	const wants = "etc/systemd/system/multi-user.target.wants/"
	g.Expect(got).To(Equal(map[string]string{
		"usr/bin/kube":    "755 ELF",
		"usr/bin/kubelet": "-> kube", "usr/bin/kubeadm": "-> kube", "usr/bin/kubectl": "-> kube",
		"kind/version":                       "644 " + kubernetesVersion,
		"kind/README.txt":                    "644 kind",
		"kind/bin/undo-mount-hacks.sh":       "755 #!/bin/sh",
		"kind/manifests/default-cni.yaml":    "644 kind: List",
		"usr/local/bin/entrypoint":           "755 #!/bin/bash",
		"usr/local/binary.txt":               "644 text",
		"etc/containerd/config.toml":         `644 sandbox_image = "registry.example/pause:3.10"`,
		"etc/systemd/system/kubelet.service": "644 [Unit]",
		wants + "kubelet.service":            "-> /etc/systemd/system/kubelet.service",
		wants + "containerd.service":         "-> /etc/systemd/system/containerd.service",
		wants + "undo-mount-hacks.service":   "-> /etc/systemd/system/undo-mount-hacks.service",
	}))

	_, err = nodeFiles(kube, filepath.Join(kind, "gone"), manifests)
	g.Expect(err).To(MatchError(os.ErrNotExist))
}

func TestKubernetesRecipes(t *testing.T) {
	g := NewWithT(t)
	bin := t.TempDir()
	write(t, bin, map[string]string{"kubernetes*": "fake kubernetes", "pause*": "fake pause"})
	base := filepath.Join(t.TempDir(), "rootfs.tar")
	f, err := os.Create(base)
	g.Expect(err).NotTo(HaveOccurred())
	w := tar.NewWriter(f)
	g.Expect(writeFile(w, file{path: "base", content: []byte("debian"), mode: plain})).To(Succeed())
	g.Expect(w.Close()).To(Succeed())
	g.Expect(f.Close()).To(Succeed())

	// As "kubeadm config images list" prints them, and what the node adds.
	const (
		kube    = "0 755 usr/local/bin/kube = fake kubernetes"
		pause   = "0 755 usr/local/bin/pause = fake pause"
		debian  = "0 644 base = debian"
		plugins = "/usr/local/bin/"
	)
	wanted := map[string]struct {
		entrypoint []string
		has        []string
	}{
		"registry.example/kube-apiserver:v1.33.13":          {[]string{plugins + "kube-apiserver"}, []string{kube}},
		"registry.example/kube-controller-manager:v1.33.13": {[]string{plugins + "kube-controller-manager"}, []string{kube}},
		"registry.example/kube-scheduler:v1.33.13":          {[]string{plugins + "kube-scheduler"}, []string{kube}},
		"registry.example/kube-proxy:v1.33.13":              {[]string{plugins + "kube-proxy"}, []string{debian, kube}},
		"registry.example/coredns/coredns:v1.12.0":          {[]string{plugins + "coredns"}, []string{kube}},
		"registry.example/etcd:3.5.21-0":                    {nil, []string{debian}},
		"registry.example/pause:3.10":                       {[]string{plugins + "pause"}, []string{pause}},
		podnetRef:                                           {[]string{plugins + "podnet"}, []string{debian, kube}},
	}
	var refs []string
	for ref := range wanted {
		refs = append(refs, ref)
	}
	recipes, err := kubernetesRecipes(bin, base, refs)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(recipes).To(HaveLen(len(wanted)))
	for _, r := range recipes {
		want := wanted[r.ref]
		g.Expect(r.entrypoint).To(Equal(want.entrypoint), r.ref)
		g.Expect(r.layers).To(HaveLen(len(want.has)), r.ref)
		var all []string
		for i, layer := range r.layers {
			entries := layerListing(t, layer)
			g.Expect(entries).To(ContainElement(want.has[i]), r.ref)
			all = append(all, entries...)
		}
		if len(r.entrypoint) > 0 {
			g.Expect(all).To(ContainElement(HaveSuffix(" "+r.entrypoint[0][1:]+
				map[bool]string{true: " = fake pause", false: " -> kube"}[r.entrypoint[0] == plugins+"pause"])), "what %s starts is in it", r.ref)
		}
	}
	// All of them fit into one archive.
	g.Expect(writeArchive(filepath.Join(t.TempDir(), "out"), recipes)).To(Succeed())

	_, err = kubernetesRecipes(bin, base, []string{"Not A Name"})
	g.Expect(err).To(MatchError(ContainSubstring("Not A Name")))
	_, err = kubernetesRecipes(bin, filepath.Join(t.TempDir(), "gone"), refs)
	g.Expect(err).To(MatchError(os.ErrNotExist))
}

func TestKubeadmImages(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	// A fake of the one binary: it must be called by kubeadm's name.
	write(t, dir, map[string]string{"kubernetes*": "#!/bin/sh\n[ \"$*\" = \"config images list --kubernetes-version " + kubernetesVersion +
		"\" ] && printf 'registry.example/etcd:3.5.21-0\\nregistry.example/pause:3.10\\n'\n"})
	g.Expect(kubeadmImages(t.Context(), filepath.Join(dir, "kubernetes"))).To(Equal([]string{"registry.example/etcd:3.5.21-0", "registry.example/pause:3.10"}))
	write(t, dir, map[string]string{"broken*": "#!/bin/sh\nexit 1\n"})
	_, err := kubeadmImages(t.Context(), filepath.Join(dir, "broken"))
	g.Expect(err).To(MatchError(ContainSubstring("ask kubeadm for its images")))
}
