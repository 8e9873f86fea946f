package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// process is one of the two.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// run starts a program under a name, with what it says in a file of dir.
func (s *Server) run(dir, name, path string, args ...string) error {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	// Not by a context: it ends with this process or by Close, at once.
	p.cmd = &exec.Cmd{
		Path: path, Args: append([]string{name}, args...), Dir: dir, Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{
			Pdeathsig: syscall.SIGKILL,
			Setpgid:   true, // Ctrl-C is for us to answer
		},
	}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread ends that has started it.
		runtime.LockOSThread()
		defer close(p.done)
		defer func() { _ = log.Close() }()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // its state says how it ended
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	s.processes = append(s.processes, p)
	return nil
}

// ended is an error if the process has ended, with the last that it said.
func (p *process) ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	const tail = 2000 // bytes
	said, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Errorf("%s has ended: %s; what it said is lost: %w", p.name, p.cmd.ProcessState, err)
	}
	said = bytes.TrimSpace(said[max(0, len(said)-tail):])
	return fmt.Errorf("%s has ended: %s:\n%s", p.name, p.cmd.ProcessState, said)
}

// kill returns when it has ended.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// PIDs of the processes, in the order in which they were started.
func (s *Server) PIDs() []int {
	var pids []int
	for _, p := range s.processes {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}
