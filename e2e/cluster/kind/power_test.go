package kind

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// cutAll keeps what is not synced.
func (f *fake) cutAll() error {
	_, err := f.Cut(f.t.Context(), scenario.Keep, f.all()...)
	return err
}

func (f *fake) restore(nodes ...cluster.Node) []cluster.DiskReturn {
	returns, err := f.Restore(f.t.Context(), nodes...)
	f.g.Expect(err).NotTo(HaveOccurred())
	return returns
}

func TestCutAndRestore(t *testing.T) {
	f := newFake(t, fixedLabel)
	began := time.Now()
	cutting, err := f.Cut(t.Context(), scenario.Keep, f.all()...)
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(cutting.Evidence).To(HavePrefix("paused by the engine, since the control group of node blackout-r1-control-plane is not seen"))
	did := f.did()
	f.g.Expect(did[0]).To(Equal("update --restart=no control-plane worker worker2"))
	f.g.Expect(did[1:4]).To(ConsistOf("pause control-plane", "pause worker", "pause worker2"), "one client each, at the same time")
	f.g.Expect(did[4:]).To(ConsistOf("kill control-plane", "kill worker", "kill worker2"))
	f.g.Expect(f.of("status")).To(Equal(three(statusExited)))
	f.g.Expect(f.notes).To(ConsistOf(ContainSubstring("are not ours to kill")))
	powers, err := f.Power(t.Context(), f.all()...)
	f.g.Expect(err).NotTo(HaveOccurred())
	for i, power := range powers {
		f.g.Expect(power.Node).To(Equal(f.all()[i].Name))
		f.g.Expect(power.On).To(BeFalse())
		f.g.Expect(power.Since).To(BeTemporally(">=", began))
		f.g.Expect(power.Evidence).To(Equal("container exited, no process, exit code 137, restart policy no"))
	}

	f.g.Expect(os.Remove(filepath.Join(f.dir, "log"))).To(Succeed())
	restored := time.Now()
	f.g.Expect(f.restore(f.all()[2], f.all()[0])).To(BeEmpty(), "no disks")
	did = f.did()
	f.g.Expect(did[:4]).To(Equal([]string{
		"network disconnect blackout-r1 worker2", "network disconnect blackout-r1 control-plane",
		"network connect --ip 172.30.0.4 blackout-r1 worker2", "network connect --ip 172.30.0.2 blackout-r1 control-plane",
	}), "none has an address before the first gets one")
	f.g.Expect(did[4:6]).To(ConsistOf("start worker2", "start control-plane"))
	f.g.Expect(did[6:]).To(Equal([]string{"update --restart=on-failure:1 worker2", "update --restart=on-failure:1 control-plane"}))
	f.g.Expect(f.journal()).To(BeAnExistingFile(), "one node is still dead")
	f.restore(f.all()[1])
	f.g.Expect(f.journal()).NotTo(BeAnExistingFile())
	f.g.Expect(f.of("ip")).To(Equal([]string{"172.30.0.2", "172.30.0.3", "172.30.0.4"}))
	f.g.Expect(f.of("policy")).To(Equal(three(kindRestart)))
	powers, err = f.Power(t.Context(), f.all()...)
	f.g.Expect(err).NotTo(HaveOccurred())
	for _, power := range powers {
		f.g.Expect(power.On).To(BeTrue())
		f.g.Expect(power.Since).To(BeTemporally(">=", restored))
	}
	_, err = f.Restore(t.Context(), f.all()[1])
	f.g.Expect(err).To(MatchError(ContainSubstring("node blackout-r1-worker has it")))
}

func TestRestoreLeavesAddressesToAnEngineThatChoseTheSubnet(t *testing.T) {
	f := newFake(t, "")
	f.g.Expect(f.cutAll()).To(Succeed())
	f.restore(f.all()[0])
	f.g.Expect(f.did()).NotTo(ContainElement(HavePrefix("network")))
	f.g.Expect(f.of("status")).To(Equal([]string{statusRunning, statusExited, statusExited}))
}

// Nodes take each other's addresses, in groups, and an outage later their own.
func TestRestoreWithOtherAddresses(t *testing.T) {
	f := newFake(t, fixedLabel)
	for _, addresses := range [][]string{{"172.30.0.3", "172.30.0.4", "172.30.0.2"}, {"172.30.0.2", "172.30.0.3", "172.30.0.4"}} {
		f.g.Expect(f.cutAll()).To(Succeed())
		nodes := f.all()
		for i := range nodes {
			nodes[i].Address = addresses[i]
		}
		f.restore(nodes[1])
		f.restore(nodes[2], nodes[0])
		f.g.Expect(f.of("ip")).To(Equal(addresses))
		f.g.Expect(f.journal()).NotTo(BeAnExistingFile())
	}
}

// What was given to one node is not what the journal gives another.
func TestRepowerAfterHalfOfTheAddressesWereShuffled(t *testing.T) {
	for name, spoil := range map[string]func(*fake){
		"journal":    func(*fake) {},
		"no journal": func(f *fake) { f.g.Expect(os.Remove(f.journal())).To(Succeed()) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, fixedLabel)
			f.g.Expect(f.cutAll()).To(Succeed())
			f.restore(f.all()...) // all ask for their own now
			f.g.Expect(f.cutAll()).To(Succeed())
			taker := f.all()[1]
			taker.Address = "172.30.0.2"
			f.restore(taker)
			spoil(f)
			f.g.Expect(f.Repower(t.Context())).To(Succeed())
			want := []string{"172.30.0.3", "172.30.0.2", "172.30.0.4"}
			if name == "no journal" {
				want[0] = "172.30.0.90" // what the engine gives
			}
			f.g.Expect(f.of("ip")).To(Equal(want))
		})
	}
}

func TestCutRefuses(t *testing.T) {
	worker := filepath.Join("nodes", "blackout-r1-worker")
	for name, test := range map[string]struct {
		unsynced scenario.UnsyncedWrites
		spoil    func(*fake)
		says     string
	}{
		"another cluster's": {scenario.Keep, func(f *fake) { f.write(worker+"/cluster", "blackout-r2") }, "is no node of cluster blackout-r1: nothing was done"},
		"dead already":      {scenario.Keep, func(f *fake) { f.write(worker+"/status", statusExited) }, "node blackout-r1-worker is exited with exit code 137; repower"},
		"cannot freeze":     {scenario.Keep, func(f *fake) { f.write("fail-pause", "3") }, "freeze node blackout-r1-control-plane: docker pause"},
		"no journal":        {scenario.Keep, func(f *fake) { f.workspace.Root = "/proc/none" }, "write the journal"},
		"undead":            {scenario.Keep, func(f *fake) { f.write(worker+"/undead", "") }, "node blackout-r1-worker is running with process 200"},
		"no disks":          {scenario.Drop, func(*fake) {}, "node blackout-r1-control-plane has no disk of its own"},
		"no word":           {"", func(*fake) {}, `"" says nothing of unsynced writes`},
		"not mounted": {scenario.Keep, func(f *fake) {
			f.giveDisks()
			f.g.Expect(f.everyDisk()[2].Unmount(f.t.Context())).To(Succeed())
		}, "the disk longhorn of node blackout-r1-worker is unmounted; repower"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			test.spoil(f)
			_, err := f.Cut(t.Context(), test.unsynced, f.all()...)
			f.g.Expect(err).To(MatchError(ContainSubstring(test.says)))
			if name != "undead" {
				f.g.Expect(f.of("status")).NotTo(ContainElement(statusPaused))
				f.g.Expect(f.read("log")).NotTo(ContainSubstring("\nkill"))
			}
		})
	}
	f := newFake(t, "")
	_, err := f.Cut(t.Context(), scenario.Keep)
	f.g.Expect(err).To(MatchError(ContainSubstring("no nodes are given")))
	_, err = f.Restore(t.Context())
	f.g.Expect(err).To(MatchError(ContainSubstring("no nodes are given")))
}

var processes = map[int]int{100: 0, 101: 0, 200: 1, 201: 1, 202: 1, 300: 2, 400: 7}

func TestCutDropsWhatIsNotSynced(t *testing.T) {
	f := newFake(t, fixedLabel)
	f.giveDisks()
	s := f.see(processes, v1)
	began := time.Now()
	cutting, err := f.Cut(t.Context(), scenario.Drop, f.all()...)
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(cutting.Evidence).To(MatchRegexp("^frozen through their control groups, the last process seen to stand still after [0-9.µm]+s, " +
		"4 file systems shut down without a flush, killed, no process left, 4 file systems unmounted$"))
	f.g.Expect(cutting.Stopped).To(HaveLen(3))
	for _, at := range cutting.Stopped {
		f.g.Expect(at).To(And(BeTemporally(">=", began), BeTemporally("<", time.Now())))
	}
	f.g.Expect(cutting.Skew()).To(And(BeNumerically(">", 0), BeNumerically("<", time.Second)))
	did := f.did()
	f.g.Expect(did[0]).To(HavePrefix("update --restart=no"))
	f.g.Expect(did[1:5]).To(ConsistOf(
		"disk shutdown control-plane/etcd", "disk shutdown control-plane/longhorn", "disk shutdown worker/longhorn", "disk shutdown worker2/longhorn"))
	f.g.Expect(did[5:8]).To(ConsistOf("SIGKILL 100", "SIGKILL 200", "SIGKILL 300"), "each node's first process first")
	f.g.Expect(did[8:11]).To(ConsistOf("SIGKILL 101", "SIGKILL 201", "SIGKILL 202"))
	f.g.Expect(did[11:14]).To(ConsistOf("kill control-plane", "kill worker", "kill worker2"))
	f.g.Expect(did[14:]).To(HaveLen(4))
	f.g.Expect(did[14:]).To(HaveEach(HavePrefix("disk unmount ")))
	f.g.Expect(s.killed).NotTo(ContainElement(400), "and none of another container")
	f.g.Expect(f.freezers()).To(Equal(three("THAWED")), "what is killed dies only then")
	f.g.Expect(f.notes).To(BeEmpty())

	f.g.Expect(f.restore(f.all()[2], f.all()[0])).To(Equal([]cluster.DiskReturn{
		{Node: "blackout-r1-worker2", Path: "/var/lib/longhorn", Filesystem: scenario.Ext4, Replayed: true, Outcome: "replayed"},
		{Node: "blackout-r1-control-plane", Path: "/var/lib/etcd", Filesystem: scenario.Ext4, Replayed: true, Outcome: "replayed"},
		{Node: "blackout-r1-control-plane", Path: "/var/lib/longhorn", Filesystem: scenario.Ext4, Replayed: true, Outcome: "replayed"},
	}))
	f.g.Expect(f.disks()).To(Equal([]string{wellMounted, wellMounted, noMount, wellMounted}))
}

func TestCutKeepsWhatIsNotSynced(t *testing.T) {
	f := newFake(t, fixedLabel)
	f.giveDisks()
	f.see(processes, v2)
	f.g.Expect(f.cutAll()).To(Succeed())
	f.g.Expect(f.disks()).To(Equal([]string{noMount, noMount, noMount, noMount}))
	f.g.Expect(f.read("log")).NotTo(ContainSubstring("shutdown"))
}

func TestCutDoomsEveryProcess(t *testing.T) {
	f := newFake(t, "")
	f.write("fail-pause", "3") // it can do without
	s := f.see(processes, "")
	f.g.Expect(f.cutAll()).To(Succeed())
	slices.Sort(s.killed)
	f.g.Expect(s.killed).To(Equal([]int{100, 101, 200, 201, 202, 300}))
	f.g.Expect(f.notes).To(ConsistOf(ContainSubstring("not all nodes could be frozen")))

	f = newFake(t, "")
	f.see(processes, "").answer = syscall.EPERM
	f.g.Expect(f.cutAll()).To(MatchError(ContainSubstring("has 2 processes yet")), "it is seen that they do not die")
	f.g.Expect(f.notes).To(ConsistOf(ContainSubstring("not ours to kill")))

	f = newFake(t, "")
	some := map[int]int{100: 0, 200: 1}
	s = f.see(some, "")
	f.g.Expect(f.cutAll()).NotTo(Succeed())
	f.g.Expect(s.killed).To(BeEmpty(), "all nodes or none: else some die earlier than others")
}

// What a node's init said when it gave up is worth more than its exit code.
func TestPowerTellsWhyAnInitGaveUp(t *testing.T) {
	f := newFake(t, "")
	f.write("nodes/blackout-r1-worker/status", "exited")
	f.write("nodes/blackout-r1-worker/code", "255")
	f.write("nodes/blackout-r1-worker2/status", "exited")
	all, err := f.Power(t.Context(), f.all()...)
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(all[1].Evidence).To(HaveSuffix("exit code 255, restart policy on-failure:1, it said: Too many open files; Exiting PID 1..."))
	f.g.Expect(all[2].Evidence).To(HaveSuffix("exit code 137, restart policy on-failure:1"), "killed")
}
