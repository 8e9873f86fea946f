package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running process that carries a run's mark in its environment.
type Process struct {
	PID     int
	Run     string // value of EnvRun
	Command string
}

// Mark is the environment of a process that a run starts in this workspace.
func (w Workspace) Mark(run string) []string {
	return []string{EnvRun + "=" + run, EnvRoot + "=" + w.Root}
}

// Marked lists the processes, this one and its ancestors left out, that bear the
// mark of a run in this workspace: another workspace's are in use by somebody
// whose lock is not ours. Processes of other users are invisible.
func (w Workspace) Marked() ([]Process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	own := ancestry()
	var found []Process
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || slices.Contains(own, pid) {
			continue
		}
		environ, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile, or another user's
		}
		run, root, marked := markIn(environ)
		if !marked || !w.is(root) {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		command := strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		found = append(found, Process{PID: pid, Run: run, Command: command})
	}
	return found, nil
}

// markIn reads a process's environment, as /proc tells it.
func markIn(environ []byte) (run, root string, marked bool) {
	for entry := range strings.SplitSeq(string(environ), "\x00") {
		if value, ok := strings.CutPrefix(entry, EnvRun+"="); ok {
			run, marked = value, true
		}
		if value, ok := strings.CutPrefix(entry, EnvRoot+"="); ok {
			root = value
		}
	}
	return run, root, marked
}

// is tells whether EnvRoot with that value, or none, leads to this workspace.
func (w Workspace) is(root string) bool {
	if root == "" {
		var err error
		if root, err = defaultRoot(); err != nil {
			return false
		}
	}
	if resolved, err := filepath.EvalSymlinks(root); err == nil {
		root = resolved
	}
	return filepath.Clean(root) == filepath.Clean(w.Root)
}

// ancestry is this process and all its parents.
func ancestry() []int {
	var pids []int
	for pid := os.Getpid(); pid > 1; {
		pids = append(pids, pid)
		fields, err := statFields(procDir(pid))
		if err != nil {
			break
		}
		const parent = 1
		if pid, err = strconv.Atoi(fields[parent]); err != nil {
			break
		}
	}
	return pids
}

// Kill ends the process and returns when it has ended: until then it may still
// write into what is removed next. One that has ended already is no error.
func (p Process) Kill() error {
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d (%s): %w", p.PID, p.Command, err)
	}
	const patience, pause = 10 * time.Second, 5 * time.Millisecond
	for start := time.Now(); !ended(p.PID); time.Sleep(pause) {
		if time.Since(start) > patience {
			return fmt.Errorf("process %d (%s) was killed but has not ended after %s", p.PID, p.Command, patience)
		}
	}
	return nil
}

// ended is true of a process that is gone or waits for its parent to notice.
func ended(pid int) bool {
	zombie, err := Zombie(procDir(pid))
	return err != nil || zombie
}

func procDir(pid int) string { return fmt.Sprintf("/proc/%d", pid) }

// Zombie is true of a process that has ended and waits for its parent to notice.
// Proc is its directory below /proc; of one that is gone there is an error.
func Zombie(proc string) (bool, error) {
	fields, err := statFields(proc)
	return err == nil && (fields[0] == "Z" || fields[0] == "X"), err
}

// statFields are those of a process's stat that follow the command, which stands
// in parentheses and may hold spaces: state, parent and so on.
func statFields(proc string) ([]string, error) {
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const used = 2
	if len(fields) < used {
		return nil, fmt.Errorf("%s/stat holds %q", proc, stat)
	}
	return fields, nil
}

// MountsBelow lists the mount points at or below dir, the deepest first.
func MountsBelow(dir string) ([]string, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return mountsBelow(string(raw), dir), nil
}

func mountsBelow(mountinfo, dir string) []string {
	const mountPoint = 4 // see proc_pid_mountinfo(5)
	var points []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) <= mountPoint {
			continue
		}
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[mountPoint])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	slices.SortFunc(points, func(a, b string) int { return len(b) - len(a) })
	return points
}

// Loop is a loop device whose backing file lies in the workspace.
type Loop struct{ Device, File string }

// Loops lists the loop devices with a backing file below dir.
func Loops(dir string) ([]Loop, error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, fmt.Errorf("list loop devices: %w", err)
	}
	var loops []Loop
	for _, path := range files {
		backing, err := os.ReadFile(path)
		if err != nil {
			continue // detached meanwhile
		}
		file := strings.TrimSuffix(strings.TrimSpace(string(backing)), " (deleted)")
		if strings.HasPrefix(file, dir+"/") {
			name := filepath.Base(filepath.Dir(filepath.Dir(path)))
			loops = append(loops, Loop{Device: filepath.Join("/dev", name), File: file})
		}
	}
	return loops, nil
}

// Detach frees the loop device.
func (l Loop) Detach() error {
	f, err := os.Open(l.Device)
	if err != nil {
		return fmt.Errorf("detach %s: %w", l.Device, err)
	}
	defer func() { _ = f.Close() }()
	// ENXIO: the kernel freed it meanwhile, as it does after the last unmount.
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("detach %s from %s: %w", l.Device, l.File, err)
	}
	return nil
}

// Remove takes a directory of the workspace away with whatever is mounted in
// it. It says which mounts and loop devices it freed.
func (w Workspace) Remove(dir string) (freed []string, err error) {
	dir = filepath.Clean(dir)
	if !strings.HasPrefix(dir, filepath.Clean(w.Root)+"/") {
		return nil, fmt.Errorf("remove %s: it lies outside the workspace %s", dir, w.Root)
	}
	points, err := MountsBelow(dir)
	if err != nil {
		return nil, err
	}
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			return freed, fmt.Errorf("unmount %s: %w", point, err)
		}
		freed = append(freed, "mount "+point)
	}
	loops, err := Loops(dir)
	if err != nil {
		return freed, err
	}
	for _, loop := range loops {
		if err := loop.Detach(); err != nil {
			return freed, err
		}
		freed = append(freed, "loop device "+loop.Device)
	}
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return freed, fmt.Errorf("remove %s: %w", dir, err)
	}
	return freed, nil
}

// KillMarked ends what a run left running, and tells how much that was.
func (w Workspace) KillMarked(run string) (killed int, err error) {
	processes, err := w.Marked()
	if err != nil {
		return 0, err
	}
	for _, p := range processes {
		if p.Run != run {
			continue
		}
		if err := p.Kill(); err != nil {
			return killed, err
		}
		killed++
	}
	return killed, nil
}

// ClearTmp ends what killed builds left running, found by their mark, and
// empties Tmp. The caller holds the lock of that name.
func (w Workspace) ClearTmp(mark string) error {
	if _, err := w.KillMarked(mark); err != nil {
		return err
	}
	entries, err := os.ReadDir(w.Tmp())
	if err != nil {
		return fmt.Errorf("read the workspace: %w", err)
	}
	for _, entry := range entries {
		if _, err := w.Remove(filepath.Join(w.Tmp(), entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
