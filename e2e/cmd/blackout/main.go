// Blackout is the command line for what is not a test: looking at the machine,
// building images, making a cluster and cleaning up.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"blackout/e2e/engine"
	"blackout/e2e/progress"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

func main() { os.Exit(execute()) }

func execute() (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "blackout",
		Short:         "power-failure recovery chaos harness for Longhorn",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(engineCommand(), imagesCommand(), clusterCommand(), cleanCommand(), doctorCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "blackout:", err)
		return 1
	}
	return 0
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
