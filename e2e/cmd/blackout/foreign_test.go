package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestClusterOfSomebodyElseIsNamedWhole(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "power.yaml")
	g.Expect(os.WriteFile(path, []byte("nodes: [b]\nswitch: sysrq\nunsyncedWrites: drop\nsysrq:\n  image: busybox:1\n  trigger: reboot\n"), 0o600)).To(Succeed())
	f := foreignFlags{kubeconfig: "k", context: "lab", uid: "u", power: path, store: "store:1"}
	found, err := f.cluster()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]string{found.Kubeconfig, found.Context, found.SystemUID, found.PowerFile, found.ObjectStore}).To(Equal([]string{"k", "lab", "u", path, "store:1"}))
	g.Expect(found.Power.Nodes).To(Equal([]string{"b"}))
}
