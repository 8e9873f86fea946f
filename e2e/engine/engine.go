// Package engine finds, installs, starts and drives the container engine that
// kind's nodes run on.
package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"blackout/e2e/scenario"
)

// Engine is a container engine that answers.
type Engine struct {
	// Name is "docker" or "podman", as kind spells it.
	Name string
	// Version of the server.
	Version string
}

// Ways in which there is no usable engine. Each comes wrapped with its remedy.
var (
	ErrNone       = errors.New("no container engine is installed")
	ErrNotRunning = errors.New("the container engine does not answer")
	ErrPermission = errors.New("no permission to use the container engine")
)

const (
	docker = "docker"
	podman = "podman"
)

// Detect returns the engine that answers, Docker before Podman. Without one the
// error is, or wraps, ErrNone, ErrNotRunning or ErrPermission.
func Detect(ctx context.Context) (*Engine, error) {
	var problems []error
	for _, name := range []string{docker, podman} {
		if _, err := exec.LookPath(name); err != nil {
			continue
		}
		e := &Engine{Name: name}
		err := e.askVersion(ctx)
		if err == nil {
			return e, nil
		}
		problems = append(problems, classify(name, err))
	}
	if len(problems) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNone, installAdvice())
	}
	return nil, errors.Join(problems...)
}

// askVersion fails unless the engine answers.
func (e *Engine) askVersion(ctx context.Context) (err error) {
	limit := scenario.DefaultTimeouts().EngineCall
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	e.Version, err = e.Run(ctx, "version", "--format", "{{.Server.Version}}")
	if e.Name == podman && err == nil && e.Version == "" {
		e.Version, err = e.Run(ctx, "version", "--format", "{{.Version}}")
	}
	return err
}

// classify turns what a client printed into one of the package's errors.
func classify(name string, err error) error {
	if strings.Contains(strings.ToLower(err.Error()), "permission denied") {
		return fmt.Errorf("%w: %s says %q; run as root, or add yourself to the %s group and log in again",
			ErrPermission, name, lastLine(err.Error()), name)
	}
	return fmt.Errorf("%w: %s says %q; start it (as root: make engine)", ErrNotRunning, name, lastLine(err.Error()))
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// Run calls the engine's command line and returns its standard output without
// surrounding space. An error carries what the client printed.
func (e *Engine) Run(ctx context.Context, args ...string) (string, error) {
	return e.Pipe(ctx, nil, args...)
}

// Pipe is Run with standard input.
func (e *Engine) Pipe(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	out, err := e.call(ctx, stdin, args...)
	return strings.TrimSpace(out), err
}

func (e *Engine) call(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, e.Name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("%s %s: %w: %s", e.Name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Lines is Run for commands that list one thing a line. A line keeps its ends:
// tabs there are empty fields.
func (e *Engine) Lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := e.call(ctx, nil, args...)
	out = strings.Trim(out, "\r\n")
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(out, "\n"), nil
}

// HasImage tells whether the engine holds the image. An engine that does not
// answer is an error, not an absence.
func (e *Engine) HasImage(ctx context.Context, ref string) (bool, error) {
	lines, err := e.Lines(ctx, "images", "--quiet", "--filter", "reference="+ref)
	return len(lines) > 0, err
}
