package kind

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestFindFreezer(t *testing.T) {
	g := NewWithT(t)
	old := cgroupRoot
	defer func() { cgroupRoot = old }()
	cgroupRoot = t.TempDir()
	id := strings.Repeat("a", idLength)
	put := func(path string) string {
		path = filepath.Join(cgroupRoot, path)
		g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
		g.Expect(os.WriteFile(path, nil, 0o644)).To(Succeed())
		return path
	}
	for name, test := range map[string]struct{ groups, order, at string }{
		"v1":          {"6:freezer:/docker/" + id + "/kubelet/pod1\n0::/docker/" + id, "FROZEN", put("freezer/docker/" + id + "/freezer.state")},
		"v1, systemd": {"6:freezer,pids:/system.slice/docker-" + id + ".scope/x\n", "FROZEN", put("freezer/system.slice/docker-" + id + ".scope/freezer.state")},
		"v2":          {"0::/machine.slice/docker-" + id + ".scope/init.scope\n", "1", put("machine.slice/docker-" + id + ".scope/cgroup.freeze")},
		"not seen":    {"0::/elsewhere/" + id + "\n", "", ""},
		"outside":     {"6:freezer:/\n5:pids:/docker/" + id + "\n", "", ""},
		"nonsense":    {id + "\n", "", ""},
	} {
		f := findFreezer(test.groups, id)
		if test.at == "" {
			g.Expect(f).To(BeNil(), name)
			continue
		}
		g.Expect(f).NotTo(BeNil(), name)
		g.Expect(f.order).To(Equal(test.at), name)
		g.Expect(f.stop).To(Equal(test.order), name)
	}
}

// A freezer that does not get there is given up in time, and all are killed.
func TestCutDoomsWhatDoesNotStandStill(t *testing.T) {
	f := newFake(t, "")
	f.timeouts.Freeze = 20 * time.Millisecond
	s := f.see(processes, v2)
	events := filepath.Join(cgroupRoot, "docker", strings.Repeat("1", idLength), "cgroup.events")
	f.put(events, "populated 1\nfrozen 0\n")
	f.g.Expect(f.cutAll()).To(Succeed())
	f.g.Expect(s.killed).To(HaveLen(6))
	f.g.Expect(f.notes).To(ConsistOf(ContainSubstring("freeze node blackout-r1-worker: not all stood still within 20ms")))
	for _, node := range []string{"0", "1", "2"} {
		order := filepath.Join(cgroupRoot, "docker", strings.Repeat(node, idLength), "cgroup.freeze")
		f.g.Expect(os.ReadFile(order)).To(HavePrefix("0"), "thawed")
	}
}

// A node's runc freezes what it starts. Killed in the middle of that, it never
// thaws it, and nothing there dies; what lives on it thaws itself.
func TestWhatANodeFrozeItselfIsThawedOnceItIsKilled(t *testing.T) {
	f := newFake(t, "")
	f.see(processes, v1)
	pod := filepath.Join(filepath.Dir(f.freezerFile(1)), "kubelet.slice", "pod.slice", "container.scope", "freezer.state")
	f.put(pod, "FROZEN\n")
	found, err := f.inspect(t.Context(), namesOf(f.all()))
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(thaw(found)).To(Succeed())
	f.g.Expect(os.ReadFile(pod)).To(HavePrefix("FROZEN"))
	f.g.Expect(f.cutAll()).To(Succeed())
	f.g.Expect(os.ReadFile(pod)).To(HavePrefix("THAWED"))
}

func TestRemoveThawsWhatDoesNotDie(t *testing.T) {
	f := newFake(t, "")
	f.see(processes, v1)
	pod := filepath.Join(filepath.Dir(f.freezerFile(1)), "container.scope", "freezer.state")
	f.put(pod, "FROZEN\n")
	id := strings.Repeat("1", idLength)
	f.g.Expect(Remove(t.Context(), f.engine, id)).To(Succeed())
	f.g.Expect(os.ReadFile(pod)).To(HavePrefix("FROZEN"), "nothing needed it")
	f.write("fail-rm", "1")
	f.g.Expect(Remove(t.Context(), f.engine, id)).To(Succeed())
	f.g.Expect(os.ReadFile(pod)).To(HavePrefix("THAWED"))
	f.write("fail-rm", "2")
	f.g.Expect(Remove(t.Context(), f.engine, id)).To(MatchError(ContainSubstring("cannot rm")))
}

func TestFreezeAsksTheEngineForProcessesElsewhere(t *testing.T) {
	f := newFake(t, "")
	f.see(processes, v1)
	f.put(filepath.Join(procRoot, "201", "cgroup"), "6:freezer:/\n5:pids:/docker/"+strings.Repeat("1", idLength)+"\n")
	found, err := f.inspect(t.Context(), namesOf(f.all()))
	f.g.Expect(err).NotTo(HaveOccurred())
	frozen, err := f.freeze(t.Context(), found)
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(frozen.how).To(Equal("paused by the engine, since 1 processes of node blackout-r1-worker are outside of its control group"))
	f.g.Expect(f.of("status")).To(Equal(three(statusPaused)))
}

// The older control groups let a process go when it ends, not when its parent
// notices: instance managers leave such behind.
func TestFreezeDoesNotCountTheEnded(t *testing.T) {
	f := newFake(t, "")
	f.see(processes, v1)
	f.put(filepath.Join(procRoot, "201", "cgroup"), "6:freezer:/\n5:pids:/docker/"+strings.Repeat("1", idLength)+"\n")
	f.put(filepath.Join(procRoot, "201", "stat"), "201 (a (Z) S) Z 200 1")
	found, err := f.inspect(t.Context(), namesOf(f.all()))
	f.g.Expect(err).NotTo(HaveOccurred())
	frozen, err := f.freeze(t.Context(), found)
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(frozen.how).To(HavePrefix("frozen through their control groups"))
}

func TestFreezeWaitsForWhatIsJustEnding(t *testing.T) {
	f := newFake(t, "")
	f.see(processes, v1)
	ending := filepath.Join(procRoot, "201", "cgroup")
	f.put(ending, "6:freezer:/\n5:pids:/docker/"+strings.Repeat("1", idLength)+"\n")
	found, err := f.inspect(t.Context(), namesOf(f.all()))
	f.g.Expect(err).NotTo(HaveOccurred())
	gone := time.AfterFunc(50*time.Millisecond, func() { _ = os.Remove(ending) })
	defer gone.Stop()
	frozen, err := f.freeze(t.Context(), found)
	f.g.Expect(err).NotTo(HaveOccurred())
	f.g.Expect(frozen.how).To(HavePrefix("frozen through their control groups"))
}

func TestFreezeEndsWithItsContext(t *testing.T) {
	f := newFake(t, "")
	f.see(processes, v2)
	f.put(filepath.Join(cgroupRoot, "docker", strings.Repeat("2", idLength), "cgroup.events"), "frozen 0\n")
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	found, err := f.inspect(t.Context(), namesOf(f.all()))
	f.g.Expect(err).NotTo(HaveOccurred())
	_, err = f.freeze(ctx, found)
	f.g.Expect(err).To(MatchError(context.DeadlineExceeded))
}
