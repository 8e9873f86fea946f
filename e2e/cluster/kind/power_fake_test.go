package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/engine"
	"blackout/e2e/power/disk"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// fakeSwitch keeps each container as a directory of one-line files, and writes
// down what it is told. A file "fail-<command>" holds how often that fails.
const fakeSwitch = `#!/bin/sh
set -eu
cd "$FAKE"
exec 9> lock; flock 9 # one after another: they count
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
rm) exit;;
logs) printf '\033[0;1mToo many open files\033[0m\r\nExiting PID 1...\r\n'; exit;;
network-inspect) cat label; exit;;
network-disconnect) echo > "nodes/$2/ip"; exit;;
network-connect) if [ "$1" = --ip ]; then echo "$2" > "nodes/$4/pin"; else echo > "nodes/$2/pin"; fi; exit;;
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
		printf '"State":{"Status":"%s","Pid":%s,"ExitCode":' "$status" "$pid"; get code; printf '%s,' "${value:-137}"
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
		get id # what was killed dies once it is thawed
		grep -qs FROZEN "$FAKE/groups/freezer/docker/$value/freezer.state" || for process in "$FAKE"/proc/*; do
			if [ -f "$process/killed" ] && grep -q "$value" "$process/cgroup"; then rm -r "$process"; fi
		done
		if [ -f undead ]; then echo running > status; else echo exited > status; fi
		now > finished; echo > ip;;
	start) [ "$status" != paused ]
		get id; any=172.30.0.9${value%"${value#?}"}
		get pin; want=${value:-$any}
		! grep -qx "$want" ../*/ip || { echo "$want is already in use" >&2; exit 1; }
		echo running > status; now > started; echo "$want" > ip;;
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
	mu    sync.Mutex
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
	timeouts.Poll, timeouts.EngineCall, timeouts.CleanUp, timeouts.Freeze = time.Millisecond, time.Second, 5*time.Second, time.Second
	f.Provider = &Provider{
		spec: Spec{Run: "r1", ControlPlanes: 1, Workers: 2}, engine: &engine.Engine{Name: "docker"}, timeouts: timeouts,
		workspace: workspace.Workspace{Root: t.TempDir()},
		note: func(format string, args ...any) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.notes = append(f.notes, fmt.Sprintf(format, args...))
		},
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

const (
	wellMounted = "mounted"
	shutDown    = "shut down"
	noMount     = "unmounted"
)

// fakeDisk keeps its state in its image.
type fakeDisk struct {
	disk.Disk
	f *fake
}

// giveDisks gives every node its disks, mounted.
func (f *fake) giveDisks() {
	old := newFileSystem
	f.t.Cleanup(func() { newFileSystem = old })
	newFileSystem = func(d disk.Disk) fileSystem { return fakeDisk{d, f} }
	for i, node := range f.all() {
		dir := filepath.Join(f.workspace.Run("r1"), disksDir, node.Name)
		f.g.Expect(os.MkdirAll(filepath.Join(dir, longhornDisk, dataDir), 0o755)).To(Succeed())
		f.g.Expect(os.WriteFile(filepath.Join(dir, "longhorn.ext4"), []byte(wellMounted), 0o644)).To(Succeed())
		if i == 0 {
			f.g.Expect(os.WriteFile(filepath.Join(dir, "etcd.ext4"), []byte(wellMounted), 0o644)).To(Succeed())
		}
	}
}

// disks are the states of all disks.
func (f *fake) disks() []string {
	var states []string
	for _, d := range f.everyDisk() {
		states = append(states, d.fileSystem.(fakeDisk).state())
	}
	return states
}

func (f *fake) everyDisk() []nodeDisk {
	disks, err := f.disksOf(namesOf(f.all()))
	f.g.Expect(err).NotTo(HaveOccurred())
	return disks
}

func (d fakeDisk) state() string {
	raw, err := os.ReadFile(d.Image)
	d.f.g.Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

// become writes down what is done, unless "fail-disk-<done>" says that it fails.
func (d fakeDisk) become(done, state string, from ...string) error {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	node := filepath.Base(filepath.Dir(d.Image))
	d.f.log(fmt.Sprintf("disk %s %s/%s", done, node, filepath.Base(d.MountPoint)))
	if fail := filepath.Join(d.f.dir, "fail-disk-"+done); exists(fail) {
		d.f.g.Expect(os.Remove(fail)).To(Succeed())
		return errors.New("cannot " + done)
	}
	d.f.g.Expect(from).To(ContainElement(d.state()), "%s %s", done, d.Image)
	return os.WriteFile(d.Image, []byte(state), 0o644)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (d fakeDisk) Make(context.Context, int64) error {
	return os.WriteFile(d.Image, []byte(noMount), 0o644)
}
func (d fakeDisk) Mount(context.Context) error { return d.become("mount", wellMounted, noMount) }
func (d fakeDisk) Unmount(context.Context) error {
	return d.become("unmount", noMount, wellMounted, shutDown)
}

func (d fakeDisk) Return(context.Context) (disk.Outcome, error) {
	return disk.Outcome{Replayed: true, Said: "replayed"}, d.become("return", wellMounted, noMount)
}
func (d fakeDisk) Open() (liveFileSystem, error) { return d, nil }
func (d fakeDisk) Shutdown() error               { return d.become("shutdown", shutDown, wellMounted) }
func (d fakeDisk) Close() error                  { return nil }
func (d fakeDisk) mounted() (bool, error)        { return d.state() != noMount, nil }

func (d fakeDisk) broken() (string, error) {
	if state := d.state(); state != wellMounted {
		return "is " + state, nil
	}
	return "", nil
}

func (f *fake) log(line string) {
	file, err := os.OpenFile(filepath.Join(f.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	f.g.Expect(err).NotTo(HaveOccurred())
	_, err = file.WriteString(line + "\n")
	f.g.Expect(errors.Join(err, file.Close())).To(Succeed())
}

// seen are the nodes' processes and freezers, as this process sees them.
type seen struct {
	f       *fake
	killed  []int
	answer  error // to a kill
	dieWith int   // the harness dies as it kills this one
}

const v1, v2 = "6:freezer:/docker/%s/kubelet/pod%d\n0::/docker\n", "0::/docker/%s/kubelet/pod%d\n"

// see puts processes of nodes, by their numbers, into a /proc of our own. A group's
// freezer is there if groups is v1 or v2.
func (f *fake) see(processes map[int]int, groups string) *seen {
	s := &seen{f: f}
	oldProc, oldGroups, oldKill := procRoot, cgroupRoot, kill
	f.t.Cleanup(func() { procRoot, cgroupRoot, kill = oldProc, oldGroups, oldKill })
	procRoot, cgroupRoot = filepath.Join(f.dir, "proc"), filepath.Join(f.dir, "groups")
	for pid, node := range processes {
		id := strings.Repeat(strconv.Itoa(node), idLength)
		f.put(filepath.Join(procRoot, strconv.Itoa(pid), "cgroup"), fmt.Sprintf(cmpOr(groups, v1), id, pid))
		switch groups {
		case v1:
			f.put(f.freezerFile(node), "THAWED\n")
		case v2:
			f.put(filepath.Join(cgroupRoot, "docker", id, "cgroup.freeze"), "0\n")
			f.put(filepath.Join(cgroupRoot, "docker", id, "cgroup.events"), "populated 1\nfrozen 1\n")
		}
	}
	kill = s.kill
	return s
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (f *fake) freezerFile(node int) string {
	return filepath.Join(cgroupRoot, "freezer", "docker", strings.Repeat(strconv.Itoa(node), idLength), "freezer.state")
}

func (f *fake) put(path, content string) {
	f.g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	f.g.Expect(os.WriteFile(path, []byte(content), 0o644)).To(Succeed())
}

// freezers are the states of all nodes' v1 freezers.
func (f *fake) freezers() []string {
	var states []string
	for i := range f.all() {
		raw, err := os.ReadFile(f.freezerFile(i))
		f.g.Expect(err).NotTo(HaveOccurred())
		states = append(states, strings.TrimSpace(string(raw)))
	}
	return states
}

func (s *seen) kill(pid int, signal syscall.Signal) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.f.g.Expect(signal).To(Equal(syscall.SIGKILL))
	if pid == s.dieWith {
		s.dieWith = 0
		panic(died)
	}
	if s.answer != nil {
		return s.answer
	}
	s.f.log(fmt.Sprintf("SIGKILL %d", pid))
	s.killed = append(s.killed, pid)
	s.f.put(filepath.Join(procRoot, strconv.Itoa(pid), "killed"), "")
	return nil
}

// died is what a harness says that is killed in the middle of its work.
const died = "the harness is dead"

// dying does something in which the harness may die.
func dying(do func() error) (err error) {
	defer func() {
		if why := recover(); why != nil {
			if why != died {
				panic(why)
			}
			err = errors.New(died)
		}
	}()
	return do()
}

// dieAt makes the harness die when that step is in the journal.
func (f *fake) dieAt(last step) {
	old := reached
	f.t.Cleanup(func() { reached = old })
	reached = func(s step) {
		if s == last {
			reached = old
			panic(died)
		}
	}
}
