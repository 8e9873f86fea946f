package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"blackout/e2e/progress"
)

// program is a set of commands that one nested module builds.
type program struct {
	name  string
	title string
	usual time.Duration
	// dir is the module's directory.
	dir string
	// packages are import paths; each becomes a binary of its last element.
	packages []string
	ldflags  string
	tags     string
	cgo      bool
	// ownVendor: compiled with the vendor tree that it brings.
	ownVendor bool
	inputs    func(h *hasher) error
}

// arguments of the go command, all but where the binaries go.
func (p program) arguments() []string {
	args := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-tags", p.tags, "-ldflags", p.ldflags}
	if !p.ownVendor {
		args = append(args, "-mod=readonly")
	}
	return args
}

// entry computes the key: module files, flags and the compiler's version.
func (p program) entry(ctx context.Context, b *Builder) (entry, error) {
	version, err := goVersion(ctx, p.dir)
	if err != nil {
		return entry{}, err
	}
	h := newHasher("go build")
	h.text("go", version)
	h.text("environment", goEnv(p.cgo)...)
	h.text("arguments", p.arguments()...)
	h.text("packages", p.packages...)
	if err := p.inputs(h); err != nil {
		return entry{}, err
	}
	return entry{dir: b.Workspace.Bin(), name: p.name, key: h.key(), title: p.title, usual: p.usual}, nil
}

// build compiles the program once and returns the directory with its binaries.
func (b *Builder) build(ctx context.Context, p program) (dir, key string, err error) {
	e, err := p.entry(ctx, b)
	if err != nil {
		return "", "", err
	}
	dir, err = b.once(ctx, e, func(ctx context.Context, step *progress.Step, tmp string) error {
		const dirMode = 0o755
		if err := os.Mkdir(tmp, dirMode); err != nil {
			return fmt.Errorf("make the output directory: %w", err)
		}
		args := append(p.arguments(), "-o", tmp+"/")
		return b.goTool(ctx, step, p.dir, p.cgo, append(args, p.packages...)...)
	})
	return dir, e.key, err
}

// goTool runs the go command; the packages it names while compiling become
// notes. An error ends with what the compiler printed.
func (b *Builder) goTool(ctx context.Context, step *progress.Step, dir string, cgo bool, args ...string) error {
	return b.tool(ctx, step, dir, goEnv(cgo), "go", args...)
}

// goEnv keeps the caller's settings out of a build.
func goEnv(cgo bool) []string {
	cgoEnabled := "0"
	if cgo {
		cgoEnabled = "1"
	}
	return []string{"CGO_ENABLED=" + cgoEnabled, "GOWORK=off", "GOFLAGS="}
}

// goVersion of the compiler that a module gets: its go.mod may ask for another
// than the one that compiled us.
func goVersion(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), goEnv(false)...)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version in %s: %w; is go in the PATH?", dir, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// tool runs a command of a build, marked for clean-up, with its output as notes.
func (b *Builder) tool(ctx context.Context, step *progress.Step, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "TMPDIR="+b.Workspace.Tmp()), b.Workspace.Mark(buildMark)...)
	cmd.Env = append(cmd.Env, env...)
	// What the command started ends with it, else Run would wait for that.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var tail tailBuffer
	cmd.Stdout = io.MultiWriter(step.Writer(), &tail)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", filepath.Base(name), err, tail.String())
	}
	return nil
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct{ data []byte }

const tailBytes = 4096

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if extra := len(t.data) - tailBytes; extra > 0 {
		t.data = append([]byte(nil), t.data[extra:]...)
	}
	return len(p), nil
}

// String leaves out the names of packages that compiled, which "go build -v"
// prints one a line.
func (t *tailBuffer) String() string {
	var kept []string
	for line := range strings.Lines(string(bytes.TrimSpace(t.data))) {
		if strings.ContainsAny(strings.TrimSpace(line), " \t") {
			kept = append(kept, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(kept, "\n")
}

// moduleDir returns where Go keeps the source of a module, downloading it if
// need be: at a version, as module@version, else as the go.mod in that
// directory pins it.
func (b *Builder) moduleDir(ctx context.Context, in, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = in
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	// A refusal of go.sum is only in the standard error, most else only in info.
	var says tailBuffer
	cmd.Stderr = &says
	out, runErr := cmd.Output()
	var info struct{ Dir, Error string }
	if err := json.Unmarshal(out, &info); err != nil || info.Dir == "" {
		if runErr == nil {
			runErr = errors.New("go names no directory")
		}
		return "", fmt.Errorf("download %s: %w: %s", module, runErr, strings.TrimSpace(info.Error+"\n"+says.String()))
	}
	return info.Dir, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
