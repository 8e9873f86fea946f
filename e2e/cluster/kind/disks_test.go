package kind

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"blackout/e2e/power/disk"
	"blackout/e2e/scenario"
)

func TestMakeDisks(t *testing.T) {
	if err := disk.Check(scenario.Ext4); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	f := newFake(t, "")
	f.giveDisks()
	disks := filepath.Join(f.workspace.Run("r1"), disksDir)
	f.g.Expect(os.RemoveAll(disks)).To(Succeed())
	config, err := f.spec.Config()
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(f.makeDisks(t.Context(), config)).To(Succeed())
	f.g.Expect(disks).NotTo(BeADirectory(), "none is asked for")

	f.spec.Disks = &DiskSpec{Filesystem: scenario.Ext4, Size: 1 << 30}
	f.g.Expect(f.makeDisks(t.Context(), config)).To(Succeed())
	f.g.Expect(f.disks()).To(Equal([]string{wellMounted, wellMounted, wellMounted, wellMounted}))
	mount := func(node, name, path string) v1alpha4.Mount {
		return v1alpha4.Mount{HostPath: filepath.Join(disks, node, name, "data"), ContainerPath: path, Propagation: v1alpha4.MountPropagationNone}
	}
	f.g.Expect(config.Nodes[0].ExtraMounts).To(Equal([]v1alpha4.Mount{
		mount("blackout-r1-control-plane", "longhorn", "/var/lib/longhorn"), mount("blackout-r1-control-plane", "etcd", "/var/lib/etcd"),
	}))
	f.g.Expect(config.Nodes[2].ExtraMounts).To(Equal([]v1alpha4.Mount{mount("blackout-r1-worker2", "longhorn", "/var/lib/longhorn")}))
	etcd, err := os.Stat(config.Nodes[0].ExtraMounts[1].HostPath)
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(etcd.Mode().Perm()).To(BeEquivalentTo(0o700), "etcd refuses more")
}

func TestMakeDisksRefusesAnUnknownFilesystem(t *testing.T) {
	f := newFake(t, "")
	f.spec.Disks = &DiskSpec{Filesystem: "btrfs", Size: 1 << 30}
	f.g.Expect(f.makeDisks(t.Context(), nil)).To(MatchError(ContainSubstring("btrfs")))
}

func TestCapabilities(t *testing.T) {
	g := NewWithT(t)
	g.Expect(made{}.Capabilities().Unsynced).To(Equal([]scenario.UnsyncedWrites{scenario.Keep}))
	g.Expect(made{}.Capabilities().Addresses).To(BeFalse())
	g.Expect(made{disks: true, addresses: true}.Capabilities().Unsynced).To(Equal([]scenario.UnsyncedWrites{scenario.Drop, scenario.Keep}))
	g.Expect(made{addresses: true}.Capabilities().Addresses).To(BeTrue())
}
