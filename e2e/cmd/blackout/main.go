// Blackout is the command line: looking at the machine, building images, making a
// cluster, running a scenario, judging, drawing, comparing, fitting and exporting what
// was saved, cleaning up.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"blackout/e2e/bound"
	"blackout/e2e/engine"
	"blackout/e2e/progress"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

func main() {
	ctx, stop := untilSignalled(context.Background())
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute carries out one command line and returns its exit code.
func execute(ctx context.Context, args []string, out, errOut io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil { // Go's own exit code, 2, is a verdict here
			fmt.Fprintf(errOut, "blackout: panic: %v\n%s", r, debug.Stack())
			code = bound.ExitInfrastructure
		}
	}()
	root := &cobra.Command{
		Use:           "blackout",
		Short:         "power-failure recovery chaos harness for Longhorn",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(engineCommand(), imagesCommand(), clusterCommand(), cleanCommand(), doctorCommand(), runCommand(), judgeCommand(), reportCommand(), fitCommand(), repowerCommand(),
		compareCommand(), qualifyCommand(), exportCommand(), trackCommand())
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	// client-go logs what it returns as well; what it returns is reported.
	klog.SetLogger(logr.Discard())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var judged outcome
	if errors.As(err, &judged) { // and printed
		return int(judged)
	}
	fmt.Fprintln(errOut, "blackout:", err)
	return bound.ExitInfrastructure // not 1: that is a verdict on Longhorn
}

// printJSON is for programs that read what a command found.
func printJSON(cmd *cobra.Command, value any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func engineCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "engine",
		Short: "make sure that a container engine answers, installing one if need be",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ws, err := workspace.Open()
			if err != nil {
				return err
			}
			host := engine.Host{Workspace: ws, Timeouts: scenario.DefaultTimeouts(), Log: progress.New(os.Stderr).Logf}
			e, err := host.Ensure(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", e.Name, e.Version)
			return nil
		},
	}
}
