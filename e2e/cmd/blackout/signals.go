package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"blackout/e2e/bound"
)

const (
	goesOn = "blackout: stopping; power is given back and what was made is removed. Ctrl-C once more ends this at once: then run blackout clean"
	atOnce = "blackout: ended at once; nodes may be without power and more may be left: run blackout clean"
)

// untilSignalled's context ends with a signal that asks for it; a terminal that
// goes away does, too. What is under way then cleans up after itself. Further
// signals do not hurry it, but those of somebody who presses Ctrl-C again.
func untilSignalled(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Whoever reads what is written here, such as tee, dies of the same Ctrl-C.
	// The next write must not kill this process before it has cleaned up.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go follow(ctx, signals, cancel, os.Stderr, os.Exit)
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

// follow reads signals until there are no more.
func follow(ctx context.Context, signals <-chan os.Signal, cancel context.CancelCauseFunc, out io.Writer, exit func(code int)) {
	interrupts := 0
	for received := range signals {
		switch {
		case ctx.Err() == nil:
			cancel(fmt.Errorf("stopped by signal: %s", received))
		case received != os.Interrupt:
		case interrupts == 0:
			interrupts++
			fmt.Fprintln(out, goesOn)
		default:
			fmt.Fprintln(out, atOnce)
			exit(bound.ExitInfrastructure)
		}
	}
}
