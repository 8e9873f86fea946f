package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

const (
	// RuntimeName of the wrapper in the daemon's configuration.
	RuntimeName = "blackout-runc"

	systemConfig = "/etc/docker/daemon.json"
	dockerd      = "dockerd"
	privateMode  = 0o600
	// aptLock lets apt wait for another one, such as that of a killed run or of
	// unattended upgrades; in seconds.
	aptLock = "-oDPkg::Lock::Timeout=300"
)

// Host is what starting an engine needs to know of the machine and the caller.
type Host struct {
	Workspace workspace.Workspace
	Timeouts  scenario.Timeouts
	// Log takes progress, one line a call.
	Log func(format string, args ...any)
}

// Ensure returns the engine that is there. If there is none, and this is root
// on Debian or Ubuntu, it installs Debian's docker.io and starts it.
func (h Host) Ensure(ctx context.Context) (*Engine, error) {
	e, err := Detect(ctx)
	if err == nil {
		return e, h.checkRuntime(ctx, e)
	}
	if errors.Is(err, ErrPermission) || os.Getuid() != 0 {
		return nil, err
	}
	if remote := os.Getenv("DOCKER_HOST"); remote != "" {
		return nil, fmt.Errorf("%w (DOCKER_HOST is %s: an engine started here would not be asked; unset it, or start that one)", err, remote)
	}
	release, lockErr := h.Workspace.Lock("engine", true)
	if lockErr != nil {
		return nil, lockErr
	}
	defer release()
	// Another run may have started it meanwhile.
	if e, err := Detect(ctx); err == nil {
		return e, h.checkRuntime(ctx, e)
	}
	if _, lookErr := exec.LookPath(dockerd); lookErr != nil {
		if !debianLike() {
			return nil, err
		}
		if err := h.install(ctx); err != nil {
			return nil, err
		}
	}
	return h.start(ctx)
}

// checkRuntime refuses an engine that cannot run kind's privileged nodes,
// before minutes are spent on finding out.
func (h Host) checkRuntime(ctx context.Context, e *Engine) error {
	missing, err := e.MissingCapabilities()
	if err != nil || len(missing) == 0 || e.Name != docker {
		return err
	}
	runtime, err := e.Run(ctx, "info", "--format", "{{.DefaultRuntime}}")
	if err != nil || runtime == RuntimeName {
		return err
	}
	path, err := h.buildRuntime(ctx)
	if err != nil {
		return err
	}
	return fmt.Errorf("the running docker daemon lacks %s, so it cannot start kind's privileged nodes, and Blackout does not "+
		"change a daemon it did not start; stop it and run again, or add to %s "+
		`{"runtimes": {%q: {"path": %q}}, "default-runtime": %q} and send dockerd a SIGHUP`,
		strings.Join(missing, ", "), systemConfig, RuntimeName, path, RuntimeName)
}

// MissingCapabilities of the engine's daemon where that runs on this machine,
// else nothing: of a remote daemon only a container could tell.
func (e *Engine) MissingCapabilities() ([]string, error) {
	if e.Name != docker {
		return MissingCapabilities(), nil
	}
	pids, err := pidsOf(dockerd)
	if err != nil || len(pids) == 0 {
		return nil, err
	}
	return daemonBoundingSet(pids[0])
}

func pidsOf(comm string) ([]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, path := range paths {
		name, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(name)) != comm {
			continue // ended meanwhile, or another
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

func debianLike() bool {
	release, err := os.ReadFile("/etc/os-release")
	return err == nil && likeDebian(string(release))
}

// likeDebian reads the text of os-release(5).
func likeDebian(release string) bool {
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "ID" && key != "ID_LIKE" {
			continue
		}
		for word := range strings.FieldsSeq(strings.Trim(value, `"'`)) {
			if word == "debian" || word == "ubuntu" {
				return true
			}
		}
	}
	return false
}

func installAdvice() string {
	if debianLike() {
		return "run as root (make engine), which installs Debian's docker.io, or install docker or podman yourself"
	}
	return "install docker (20.10 or newer) or podman (4 or newer) with this system's package tool and start it"
}

func (h Host) install(ctx context.Context) error {
	h.Log("installing Debian's docker.io (usually 15 s)")
	return h.APTInstall(ctx, "docker.io", "iptables")
}

// APTInstall installs Debian packages without recommended ones. It needs root.
func (h Host) APTInstall(ctx context.Context, packages ...string) error {
	for _, command := range [][]string{
		// An installation that was killed half-way is finished first.
		{"dpkg", "--configure", "-a"},
		{"apt-get", aptLock, "update", "-qq"},
		append([]string{"apt-get", aptLock, "install", "-y", "-qq", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		// Killed, it would leave packages half configured.
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s; check the package sources and run again",
				strings.Join(command, " "), err, lastLine(string(out)))
		}
	}
	return nil
}

// start runs dockerd as a process of its own, which outlives this one.
func (h Host) start(ctx context.Context) (*Engine, error) {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		h.Log("starting docker.service")
		if out, err := exec.CommandContext(ctx, "systemctl", "start", "docker").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("systemctl start docker: %w: %s", err, lastLine(string(out)))
		}
		if err := os.WriteFile(h.serviceFile(), nil, privateMode); err != nil {
			return nil, fmt.Errorf("note that docker was started: %w", err)
		}
		e, err := h.await(ctx, "journalctl -u docker")
		if err != nil {
			return nil, err
		}
		return e, h.checkRuntime(ctx, e)
	}
	if !h.Started() {
		// Of a daemon that is gone: its number may be another process's by now,
		// and dockerd would refuse to start.
		if err := os.Remove(h.pidFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("start dockerd: %w", err)
		}
	}
	args := []string{"--pidfile", h.pidFile()}
	if missing := MissingCapabilities(); len(missing) > 0 {
		h.Log("this machine cannot give %s: docker gets the runtime %s", strings.Join(missing, ", "), RuntimeName)
		config, err := h.writeConfig(ctx)
		if err != nil {
			return nil, err
		}
		args = append(args, "--config-file", config)
	}
	logPath := filepath.Join(h.Workspace.Engine(), "dockerd.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, privateMode)
	if err != nil {
		return nil, fmt.Errorf("start dockerd: %w", err)
	}
	defer func() { _ = log.Close() }()
	h.Log("starting dockerd (usually 3 s)")
	// Not bound to ctx, in a session of its own: the engine outlives the run.
	cmd := exec.Command(dockerd, args...) //nolint:noctx // it outlives every context
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, workspace.EnvRun+"=") })
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start dockerd: %w", err)
	}
	if err := cmd.Process.Release(); err != nil {
		return nil, fmt.Errorf("start dockerd: %w", err)
	}
	return h.await(ctx, logPath)
}

func (h Host) await(ctx context.Context, logs string) (*Engine, error) {
	var e *Engine
	var last error
	err := wait.PollUntilContextTimeout(ctx, h.Timeouts.Poll, h.Timeouts.EngineStart, true, func(ctx context.Context) (bool, error) {
		e, last = Detect(ctx)
		return last == nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for the engine: %w: %w; see %s", err, last, logs)
	}
	return e, nil
}

// serviceFile is there while a systemd service runs that Blackout started.
func (h Host) serviceFile() string {
	return filepath.Join(h.Workspace.Engine(), "docker.service-started")
}

func (h Host) pidFile() string { return filepath.Join(h.Workspace.Engine(), "dockerd.pid") }

// writeConfig writes a configuration of our own: what the system's daemon.json
// says, which stays untouched, and the runtime.
func (h Host) writeConfig(ctx context.Context) (string, error) {
	runtime, err := h.buildRuntime(ctx)
	if err != nil {
		return "", err
	}
	existing, err := os.ReadFile(systemConfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the engine's configuration: %w", err)
	}
	merged, err := mergeConfig(existing, runtime)
	if err != nil {
		return "", err
	}
	path := filepath.Join(h.Workspace.Engine(), "daemon.json")
	if err := os.WriteFile(path, merged, privateMode); err != nil {
		return "", fmt.Errorf("write the engine's configuration: %w", err)
	}
	return path, nil
}

// mergeConfig adds the runtime to a daemon.json, which may be empty, and makes
// it the default: kind has no way to ask for one by name.
func mergeConfig(existing []byte, runtimePath string) ([]byte, error) {
	config := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(existing)) > 0 {
		if err := json.Unmarshal(existing, &config); err != nil {
			return nil, fmt.Errorf("read %s: %w; mend it first", systemConfig, err)
		}
	}
	if config == nil { // the file says null
		config = map[string]json.RawMessage{}
	}
	runtimes := map[string]json.RawMessage{}
	if raw, ok := config["runtimes"]; ok {
		if err := json.Unmarshal(raw, &runtimes); err != nil {
			return nil, fmt.Errorf("read %s: runtimes: %w; mend it first", systemConfig, err)
		}
	}
	if runtimes == nil {
		runtimes = map[string]json.RawMessage{}
	}
	var err error
	if runtimes[RuntimeName], err = json.Marshal(map[string]string{"path": runtimePath}); err != nil {
		return nil, fmt.Errorf("write the engine's configuration: %w", err)
	}
	if config["runtimes"], err = json.Marshal(runtimes); err != nil {
		return nil, fmt.Errorf("write the engine's configuration: %w", err)
	}
	if config["default-runtime"], err = json.Marshal(RuntimeName); err != nil {
		return nil, fmt.Errorf("write the engine's configuration: %w", err)
	}
	return json.MarshalIndent(config, "", "  ")
}

// buildRuntime compiles the runtime wrapper into the workspace.
func (h Host) buildRuntime(ctx context.Context) (string, error) {
	source, err := workspace.Source()
	if err != nil {
		return "", err
	}
	path := filepath.Join(h.Workspace.Engine(), RuntimeName)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./e2e/cmd/"+RuntimeName)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile %s: %w: %s", RuntimeName, err, out)
	}
	return path, nil
}

// Started tells whether an engine runs that Blackout started.
func (h Host) Started() bool {
	pid, err := h.ownPID()
	if err != nil {
		return false
	}
	pids, err := pidsOf(dockerd)
	return err == nil && slices.Contains(pids, pid)
}

// ownPID is the process id of the daemon that start started, at some time.
func (h Host) ownPID() (int, error) {
	raw, err := os.ReadFile(h.pidFile())
	if err != nil {
		return 0, fmt.Errorf("read the engine's process id: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fmt.Errorf("read the engine's process id: %w", err)
	}
	return pid, nil
}

// Stop ends the engine if Blackout started it and nobody else's container runs
// on it. It says what it did, or why it did nothing.
func (h Host) Stop(ctx context.Context) (string, error) {
	if _, err := os.Stat(h.serviceFile()); err == nil {
		return h.stopService(ctx)
	}
	pid, err := h.ownPID()
	if errors.Is(err, fs.ErrNotExist) {
		return "the engine was not started by Blackout: left alone", nil
	}
	if err != nil {
		return "", err
	}
	if !h.Started() {
		return "the engine was not running", os.Remove(h.pidFile())
	}
	if busy, err := busy(ctx); err != nil || busy != "" {
		return busy, err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return "", fmt.Errorf("stop dockerd: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, h.Timeouts.Poll, h.Timeouts.EngineStart, true, func(context.Context) (bool, error) {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), nil
	})
	if err != nil {
		return "", fmt.Errorf("wait for dockerd (process %d) to stop: %w", pid, err)
	}
	return "the engine is stopped", nil
}

// busy says why the engine must go on running, if it must.
func busy(ctx context.Context) (string, error) {
	running, err := (&Engine{Name: docker}).Lines(ctx, "ps", "--quiet")
	if err != nil || len(running) == 0 {
		return "", err
	}
	return fmt.Sprintf("%d container(s) still run on the engine: left running", len(running)), nil
}

func (h Host) stopService(ctx context.Context) (string, error) {
	if busy, err := busy(ctx); err != nil || busy != "" {
		return busy, err
	}
	// The socket would start the service again at the next question.
	if out, err := exec.CommandContext(ctx, "systemctl", "stop", "docker.socket", "docker.service").CombinedOutput(); err != nil {
		return "", fmt.Errorf("systemctl stop docker: %w: %s", err, lastLine(string(out)))
	}
	return "docker.service is stopped", os.Remove(h.serviceFile())
}
