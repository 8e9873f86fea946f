package kind

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/engine"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// fakeSwitch keeps each container as a directory of one-line files, and writes
// down what it is told. A file "fail-<command>" holds how often that fails.
const fakeSwitch = `#!/bin/sh
set -eu
cd "$FAKE"
echo "$*" >> log
command=$1; shift
[ "$command" = network ] && { command=network-$1; shift; }
if [ -f "fail-$command" ] && [ "$(cat "fail-$command")" -gt 0 ]; then
	echo $(($(cat "fail-$command") - 1)) > "fail-$command"
	echo "cannot $command" >&2; exit 1
fi
now() { date -u +%Y-%m-%dT%H:%M:%S.%NZ; }
get() { read -r value < "$1" || value=; }
policy=
case $command in
ps) ls nodes; exit;;
network-inspect) cat label; exit;;
network-disconnect) echo > "nodes/$2/ip"; exit;;
network-connect) [ "$1" = --ip ]; echo "$2" > "nodes/$4/pin"; exit;;
inspect) shift 2; sep=; printf '[';;
update) policy=${1#--restart=}; shift;;
esac
for name; do
	cd "$FAKE/nodes/$name"
	get status; status=$value
	case $command in
	inspect)
		get id; printf '%s{"Id":"%s","Name":"/%s",' "$sep" "$value" "$name"
		pid=0; case $status in running|paused) get pid; pid=$value;; esac
		printf '"State":{"Status":"%s","Pid":%s,"ExitCode":137,' "$status" "$pid"
		get started; printf '"StartedAt":"%s",' "$value"
		get finished; printf '"FinishedAt":"%s"},' "$value"
		get policy; count=0; case $value in *:*) count=${value#*:}; value=${value%:*};; esac
		printf '"HostConfig":{"RestartPolicy":{"Name":"%s","MaximumRetryCount":%s}},' "$value" "$count"
		get cluster; printf '"Config":{"Labels":{"io.x-k8s.kind.cluster":"%s"}},' "$value"
		get ip; printf '"NetworkSettings":{"Networks":{"blackout-r1":{"IPAddress":"%s",' "$value"
		get pin; printf '"IPAMConfig":{"IPv4Address":"%s"}}}}}' "$value"
		sep=,;;
	update) echo "$policy" > policy;;
	pause) [ "$status" = running ]; echo paused > status;;
	unpause) [ "$status" = paused ]; echo running > status;;
	kill) case $status in running|paused) ;; *) exit 1;; esac
		if [ -f undead ]; then echo running > status; else echo exited > status; fi
		now > finished; echo > ip;;
	start) [ "$status" != paused ]; echo running > status; now > started
		get pin; echo "${value:-172.30.0.99}" > ip;;
	esac
done
[ "$command" = inspect ] && printf ']\n'
exit 0
`

type fake struct {
	*Provider
	t     *testing.T
	g     *WithT
	dir   string
	notes []string
}

const fixedLabel = "fixed"

func newFake(t *testing.T, label string) *fake {
	t.Helper()
	f := &fake{t: t, g: NewWithT(t), dir: t.TempDir()}
	bin := t.TempDir()
	f.g.Expect(os.WriteFile(filepath.Join(bin, "docker"), []byte(fakeSwitch), 0o755)).To(Succeed())
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("FAKE", f.dir)
	f.write("label", label)
	for i, name := range []string{"blackout-r1-control-plane", "blackout-r1-worker", "blackout-r1-worker2"} {
		for file, content := range map[string]string{
			"id": strings.Repeat(strconv.Itoa(i), idLength), "status": statusRunning, "policy": kindRestart, "cluster": "blackout-r1",
			"pid": strconv.Itoa(100 * (i + 1)), "ip": fmt.Sprintf("172.30.0.%d", i+2), "pin": "",
			"started": "2026-01-01T00:00:00Z", "finished": "0001-01-01T00:00:00Z",
		} {
			f.write(filepath.Join("nodes", name, file), content)
		}
	}
	timeouts := scenario.DefaultTimeouts()
	timeouts.Poll, timeouts.EngineCall, timeouts.CleanUp = time.Millisecond, time.Second, time.Second
	f.Provider = &Provider{
		spec: Spec{Run: "r1", ControlPlanes: 1, Workers: 2}, engine: &engine.Engine{Name: "docker"}, timeouts: timeouts,
		workspace: workspace.Workspace{Root: t.TempDir()},
		note:      func(format string, args ...any) { f.notes = append(f.notes, fmt.Sprintf(format, args...)) },
	}
	f.g.Expect(os.MkdirAll(f.workspace.Run("r1"), 0o755)).To(Succeed())
	return f
}

func (f *fake) write(path, content string) {
	path = filepath.Join(f.dir, path)
	f.g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	f.g.Expect(os.WriteFile(path, []byte(content+"\n"), 0o644)).To(Succeed())
}

func (f *fake) read(path string) string {
	raw, err := os.ReadFile(filepath.Join(f.dir, path))
	f.g.Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(raw))
}

// of reads one file of every node, in order.
func (f *fake) of(file string) []string {
	var all []string
	for _, node := range f.all() {
		all = append(all, f.read(filepath.Join("nodes", node.Name, file)))
	}
	return all
}

func (f *fake) all() []cluster.Node {
	return []cluster.Node{{Name: "blackout-r1-control-plane"}, {Name: "blackout-r1-worker"}, {Name: "blackout-r1-worker2"}}
}

// did lists the commands that change something, without the nodes' common name.
func (f *fake) did() []string {
	var lines []string
	for line := range strings.Lines(f.read("log") + "\n") {
		line = strings.TrimSpace(strings.ReplaceAll(line, "blackout-r1-", ""))
		if !strings.HasPrefix(line, "inspect") && !strings.HasPrefix(line, "ps ") && !strings.HasPrefix(line, "network inspect") {
			lines = append(lines, line)
		}
	}
	return lines
}

func three[T any](v T) []T { return []T{v, v, v} }

func TestCutAndRestore(t *testing.T) {
	f := newFake(t, fixedLabel)
	began := time.Now()
	f.g.Expect(f.Cut(t.Context(), f.all()...)).To(Succeed())
	f.g.Expect(f.did()).To(Equal([]string{
		"update --restart=no control-plane worker worker2", "pause control-plane worker worker2", "kill control-plane worker worker2",
	}), "all in one call each")
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
	f.g.Expect(f.Restore(t.Context(), f.all()[2], f.all()[0])).To(Succeed())
	f.g.Expect(f.did()).To(Equal([]string{
		"network disconnect blackout-r1 worker2", "network connect --ip 172.30.0.4 blackout-r1 worker2",
		"network disconnect blackout-r1 control-plane", "network connect --ip 172.30.0.2 blackout-r1 control-plane",
		"start worker2 control-plane", "update --restart=on-failure:1 worker2", "update --restart=on-failure:1 control-plane",
	}), "in the given order")
	f.g.Expect(f.journal()).To(BeAnExistingFile(), "one node is still dead")
	f.g.Expect(f.Restore(t.Context(), f.all()[1])).To(Succeed())
	f.g.Expect(f.journal()).NotTo(BeAnExistingFile())
	f.g.Expect(f.of("ip")).To(Equal([]string{"172.30.0.2", "172.30.0.3", "172.30.0.4"}))
	f.g.Expect(f.of("policy")).To(Equal(three(kindRestart)))
	powers, err = f.Power(t.Context(), f.all()...)
	f.g.Expect(err).NotTo(HaveOccurred())
	for _, power := range powers {
		f.g.Expect(power.On).To(BeTrue())
		f.g.Expect(power.Since).To(BeTemporally(">=", restored))
	}
}

func TestRestoreLeavesAddressesToAnEngineThatChoseTheSubnet(t *testing.T) {
	f := newFake(t, "")
	f.g.Expect(f.Cut(t.Context(), f.all()...)).To(Succeed())
	f.g.Expect(f.Restore(t.Context(), f.all()...)).To(Succeed())
	f.g.Expect(f.did()).NotTo(ContainElement(HavePrefix("network")))
	f.g.Expect(f.of("status")).To(Equal(three(statusRunning)))
}

func TestCutRefuses(t *testing.T) {
	worker := filepath.Join("nodes", "blackout-r1-worker")
	for name, test := range map[string]struct {
		spoil func(*fake)
		says  string
	}{
		"another cluster's": {func(f *fake) { f.write(worker+"/cluster", "blackout-r2") }, "is no node of cluster blackout-r1: nothing was done"},
		"dead already":      {func(f *fake) { f.write(worker+"/status", statusExited) }, "node blackout-r1-worker is exited; repower"},
		"cannot freeze":     {func(f *fake) { f.write("fail-pause", "1") }, "freeze the nodes: docker pause"},
		"no journal":        {func(f *fake) { f.workspace.Root = "/proc/none" }, "write the journal"},
		"undead":            {func(f *fake) { f.write(worker+"/undead", "") }, "node blackout-r1-worker is running with process 200"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			test.spoil(f)
			f.g.Expect(f.Cut(t.Context(), f.all()...)).To(MatchError(ContainSubstring(test.says)))
			if name != "undead" {
				f.g.Expect(f.of("status")).NotTo(ContainElement(statusPaused))
				f.g.Expect(f.read("log")).NotTo(ContainSubstring("\nkill"))
			}
		})
	}
	f := newFake(t, "")
	f.g.Expect(f.Cut(t.Context())).To(MatchError(ContainSubstring("no nodes are given")))
	f.g.Expect(f.Restore(t.Context())).To(MatchError(ContainSubstring("no nodes are given")))
}

func TestRepowerMendsWhateverWasInterrupted(t *testing.T) {
	for name, half := range map[string]func(*fake){
		"nothing":             func(*fake) {},
		"policies changed":    func(f *fake) { f.write("fail-pause", "1") },
		"frozen":              func(f *fake) { f.write("fail-kill", "1") },
		"dead":                func(*fake) {},
		"start fails, once":   func(f *fake) { f.write("fail-start", "1") },
		"unpause fails, once": func(f *fake) { f.write("fail-kill", "1"); f.write("fail-unpause", "1") },
		"journal lost":        func(*fake) {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, fixedLabel)
			half(f)
			if name != "nothing" {
				_ = f.Cut(t.Context(), f.all()...)
				f.g.Expect(f.of("policy")).To(Equal(three(noRestart)), "the cut has begun")
			}
			if name == "journal lost" {
				f.g.Expect(os.Remove(f.journal())).To(Succeed())
			}
			another := *f.Provider // knows nothing of the cut
			for range 2 {
				f.g.Expect(another.Repower(t.Context())).To(Succeed())
				f.g.Expect(f.of("status")).To(Equal(three(statusRunning)))
				f.g.Expect(f.of("policy")).To(Equal(three(kindRestart)))
				f.g.Expect(f.journal()).NotTo(BeAnExistingFile())
			}
			if name != "journal lost" {
				f.g.Expect(f.of("ip")).To(Equal([]string{"172.30.0.2", "172.30.0.3", "172.30.0.4"}))
			}
		})
	}
}

func TestRepowerGivesUp(t *testing.T) {
	f := newFake(t, "")
	f.g.Expect(f.Cut(t.Context(), f.all()...)).To(Succeed())
	f.write("fail-start", "100000")
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	f.g.Expect(f.Repower(ctx)).To(MatchError(And(ContainSubstring("cannot start"), ContainSubstring("destroy the cluster"))))
	f.g.Expect(f.journal()).To(BeAnExistingFile(), "for the next try")
	f.g.Expect(os.RemoveAll(filepath.Join(f.dir, "nodes"))).To(Succeed())
	f.g.Expect(os.Mkdir(filepath.Join(f.dir, "nodes"), 0o755)).To(Succeed())
	f.g.Expect(f.Repower(t.Context())).To(Succeed(), "a cluster that is gone has nothing to repower")
}

// see puts processes of nodes, by their numbers, into a /proc of our own and
// returns what is killed.
func (f *fake) see(processes map[int]int, answer error) *[]int {
	root := f.t.TempDir()
	for pid, node := range processes {
		dir := filepath.Join(root, strconv.Itoa(pid))
		f.g.Expect(os.Mkdir(dir, 0o755)).To(Succeed())
		group := fmt.Sprintf("6:freezer:/docker/%s/kubelet/pod%d\n0::/\n", strings.Repeat(strconv.Itoa(node), idLength), pid)
		f.g.Expect(os.WriteFile(filepath.Join(dir, "cgroup"), []byte(group), 0o644)).To(Succeed())
	}
	killed := &[]int{}
	oldRoot, oldKill := procRoot, kill
	f.t.Cleanup(func() { procRoot, kill = oldRoot, oldKill })
	procRoot = root
	kill = func(pid int, signal syscall.Signal) error {
		f.g.Expect(signal).To(Equal(syscall.SIGKILL))
		f.g.Expect(f.read("log")).To(ContainSubstring("pause "), "frozen first")
		f.g.Expect(f.read("log")).NotTo(ContainSubstring("\nkill "))
		*killed = append(*killed, pid)
		return answer
	}
	return killed
}

func TestCutDoomsEveryProcess(t *testing.T) {
	processes := map[int]int{100: 0, 101: 0, 200: 1, 201: 1, 202: 1, 300: 2, 400: 7}
	f := newFake(t, "")
	f.write("fail-pause", "1") // it can do without
	killed := f.see(processes, nil)
	f.g.Expect(f.Cut(t.Context(), f.all()...)).To(Succeed())
	f.g.Expect((*killed)[:3]).To(ConsistOf(100, 200, 300), "each node's first process first")
	slices.Sort(*killed)
	f.g.Expect(*killed).To(Equal([]int{100, 101, 200, 201, 202, 300}), "and none of another container")
	f.g.Expect(f.notes).To(ConsistOf(ContainSubstring("could not be frozen")))

	f = newFake(t, "")
	f.see(processes, syscall.EPERM)
	f.g.Expect(f.Cut(t.Context(), f.all()...)).To(Succeed())
	f.g.Expect(f.notes).To(ConsistOf(ContainSubstring("not ours to kill")))

	f = newFake(t, "")
	delete(processes, 300)
	killed = f.see(processes, nil)
	f.g.Expect(f.Cut(t.Context(), f.all()...)).To(Succeed())
	f.g.Expect(*killed).To(BeEmpty(), "all nodes or none: else some die earlier than others")
}
