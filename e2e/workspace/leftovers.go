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

	"golang.org/x/sys/unix"
)

// Process is a running process that carries a run's mark in its environment.
type Process struct {
	PID     int
	Run     string // value of EnvRun
	Command string
}

// Marked lists the processes, this one and its ancestors left out, whose
// environment holds EnvRun. Processes of other users are invisible.
func Marked() ([]Process, error) {
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
		for entry := range bytes.SplitSeq(environ, []byte{0}) {
			if run, ok := bytes.CutPrefix(entry, []byte(EnvRun+"=")); ok {
				cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
				command := strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
				found = append(found, Process{PID: pid, Run: string(run), Command: command})
				break
			}
		}
	}
	return found, nil
}

// ancestry is this process and all its parents.
func ancestry() []int {
	var pids []int
	for pid := os.Getpid(); pid > 1; {
		pids = append(pids, pid)
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		// The command in parentheses may hold spaces: fields count after it.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		const parent = 1
		if pid, err = strconv.Atoi(fields[parent]); err != nil {
			break
		}
	}
	return pids
}

// Kill ends the process. One that has ended already is no error.
func (p Process) Kill() error {
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d (%s): %w", p.PID, p.Command, err)
	}
	return nil
}

// MountsBelow lists the mount points at or below dir, the deepest first.
func MountsBelow(dir string) ([]string, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	const mountPoint = 4 // see proc_pid_mountinfo(5)
	var points []string
	for line := range strings.Lines(string(raw)) {
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
	return points, nil
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
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
		return fmt.Errorf("detach %s from %s: %w", l.Device, l.File, err)
	}
	return nil
}

// Remove takes a directory of the workspace away with whatever is mounted in
// it. It says which mounts and loop devices it freed.
func (w Workspace) Remove(dir string) (freed []string, err error) {
	if dir == w.Root || !strings.HasPrefix(dir, w.Root+"/") {
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

// ClearTmp ends what killed builds left running, found by their mark, and
// empties Tmp. The caller holds the lock of that name.
func (w Workspace) ClearTmp(mark string) error {
	processes, err := Marked()
	if err != nil {
		return err
	}
	for _, p := range processes {
		if p.Run != mark {
			continue
		}
		if err := p.Kill(); err != nil {
			return err
		}
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
