package existing

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"blackout/e2e/cluster"
)

// commandSwitch switches power with commands.
type commandSwitch struct {
	Command
	dial dialer
}

// statusNone is how a status command ends when a node has no power.
const statusNone = 1

func (c commandSwitch) admit(context.Context, []target) error { return nil }
func (c commandSwitch) arm(context.Context, []target) error   { return nil }
func (c commandSwitch) disarm(context.Context) error          { return nil }

func (c commandSwitch) fire(ctx context.Context, targets []target) error {
	return cluster.All(targets, func(_ int, t target) error { return runFor(ctx, c.Timeout.Duration, c.Off, t) })
}

func (c commandSwitch) give(ctx context.Context, t target) error {
	return runFor(ctx, c.Timeout.Duration, c.On, t)
}

func (c commandSwitch) look(ctx context.Context, t target) sight {
	if len(c.Status) == 0 {
		return lookAtPort(ctx, c.dial, t.Address)
	}
	err := runFor(ctx, c.Timeout.Duration, c.Status, t)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return sight{state: on, at: time.Now(), evidence: "the status command says that it has power"}
	case errors.As(err, &exit) && exit.ExitCode() == statusNone:
		return sight{state: off, at: time.Now(), evidence: "the status command says that it has none"}
	}
	return sight{state: unknown, at: time.Now(), evidence: err.Error()}
}

func (c commandSwitch) tell(t target) string {
	seen := "the silence of port " + kubeletPort + " of the node"
	if len(c.Status) > 0 {
		seen = quoted(fill(c.Status, t)) + " (0 power, 1 none)"
	}
	return fmt.Sprintf("off: %s; on: %s; seen by: %s; each within %s",
		quoted(fill(c.Off, t)), quoted(fill(c.On, t)), seen, c.Timeout)
}

const (
	// pipesTimeout is how long what a command leaves running may hold its output.
	pipesTimeout = time.Second
	maxOutput    = 2000 // bytes of a failed command's output, its end
)

// runFor runs a command for a node. The error has its end and its output.
func runFor(ctx context.Context, limit time.Duration, words []string, t target) error {
	if t.Address == "" && strings.Contains(strings.Join(words, ""), "{"+placeAddress+"}") {
		return fmt.Errorf("node %s has no address for %s", t.Name, quoted(words))
	}
	words = fill(words, t)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it was killed after %s, its time limit in the power file", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	// It ends with all that it started, and with this process: one that went on
	// could take the power of a node after that was given back.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipesTimeout
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // that one ended well and left something running
		return nil
	}
	text := strings.TrimSpace(string(out[max(0, len(out)-maxOutput):]))
	if text == "" {
		text = "(no output)"
	}
	return fmt.Errorf("node %s: %s: %w: %s", t.Name, quoted(words), err, text)
}

// quoted shows the words of a command so that none can be mistaken.
func quoted(words []string) string {
	shown := make([]string, len(words))
	for i, word := range words {
		if shown[i] = word; word == "" || strings.ContainsAny(word, " \t\n\"'\\$;&|<>*?`()") {
			shown[i] = strconv.Quote(word)
		}
	}
	return strings.Join(shown, " ")
}
