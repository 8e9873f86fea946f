package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
)

func TestFollow(t *testing.T) {
	interrupt, terminate, hangUp := os.Interrupt, os.Signal(syscall.SIGTERM), os.Signal(syscall.SIGHUP)
	for name, test := range map[string]struct {
		signals []os.Signal
		out     string
		codes   []int
	}{
		"one":                       {[]os.Signal{interrupt}, "", nil},
		"twice goes on":             {[]os.Signal{interrupt, interrupt}, goesOn + "\n", nil},
		"three times ends":          {[]os.Signal{interrupt, interrupt, interrupt}, goesOn + "\n" + atOnce + "\n", []int{bound.ExitInfrastructure}},
		"the others do not hurry":   {[]os.Signal{hangUp, terminate, hangUp, terminate, terminate}, "", nil},
		"the first may be any":      {[]os.Signal{terminate, interrupt}, goesOn + "\n", nil},
		"others between do nothing": {[]os.Signal{interrupt, hangUp, interrupt, terminate}, goesOn + "\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			signals := make(chan os.Signal, len(test.signals))
			for _, s := range test.signals {
				signals <- s
			}
			close(signals)
			var out strings.Builder
			var codes []int
			follow(ctx, signals, cancel, &out, func(code int) { codes = append(codes, code) })
			g.Expect(context.Cause(ctx)).To(MatchError("stopped by signal: " + test.signals[0].String()))
			g.Expect(out.String()).To(Equal(test.out))
			g.Expect(codes).To(Equal(test.codes))
		})
	}
}

const envChild = "BLACKOUT_TEST_SIGNALLED_CHILD"

// TestSignalledChild is the process that the test below sends signals to.
func TestSignalledChild(t *testing.T) {
	if os.Getenv(envChild) == "" {
		t.Skip("only as a child")
	}
	ctx, stop := untilSignalled(context.Background())
	_, _ = os.Stdout.WriteString("ready\n")
	<-ctx.Done()
	// Cleaning up: it says so, whoever may still read it, until it is ended.
	for {
		_, _ = os.Stdout.WriteString("cleaning\n")
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			stop()
			os.Exit(0)
		}
	}
}

// The signals of the system, not only those of a channel: a hang-up ends the work
// and not the process, nor does a reader that is gone.
func TestSignalsOfTheSystem(t *testing.T) {
	for name, test := range map[string]struct {
		signals []os.Signal
		code    int
	}{
		"hang-up":     {[]os.Signal{syscall.SIGHUP}, 0},
		"termination": {[]os.Signal{syscall.SIGTERM}, 0},
		"thrice":      {[]os.Signal{os.Interrupt, os.Interrupt, os.Interrupt}, bound.ExitInfrastructure},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			child := exec.Command(os.Args[0], "-test.run=^TestSignalledChild$")
			child.Env = append(os.Environ(), envChild+"=1")
			in, err := child.StdinPipe()
			g.Expect(err).NotTo(HaveOccurred())
			stdout, err := child.StdoutPipe()
			g.Expect(err).NotTo(HaveOccurred())
			stderr, err := child.StderrPipe()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(child.Start()).To(Succeed())
			defer func() { _ = child.Process.Kill() }()
			lines, told := bufio.NewScanner(stdout), bufio.NewScanner(stderr)
			next := func(from *bufio.Scanner) string { from.Scan(); return from.Text() }
			g.Expect(next(lines)).To(Equal("ready"))
			for i, s := range test.signals {
				g.Expect(child.Process.Signal(s)).To(Succeed())
				// One is told before the next is sent: the system may join equal ones.
				switch i {
				case 0:
					g.Expect(next(lines)).To(Equal("cleaning"))
					g.Expect(stdout.Close()).To(Succeed(), "the reader goes away, as tee does")
					_, err = in.Write([]byte("x"))
					g.Expect(err).NotTo(HaveOccurred(), "and it writes again")
				case 1:
					g.Expect(next(told)).To(Equal(goesOn))
				}
			}
			if test.code == 0 {
				g.Expect(in.Close()).To(Succeed())
			}
			err = child.Wait()
			var exit *exec.ExitError
			code := 0
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			}
			g.Expect(code).To(Equal(test.code), "%v", err)
		})
	}
}
