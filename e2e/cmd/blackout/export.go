package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"blackout/e2e/history"
	"blackout/e2e/openmetrics"
	"blackout/e2e/report"
)

func exportCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "export DIRECTORY",
		Short: "write a saved run's history in the OpenMetrics format, for Prometheus and Grafana",
		Example: `  blackout export DIRECTORY --output run.om
  promtool tsdb create-blocks-from openmetrics run.om data   # then: prometheus --storage.tsdb.path=data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return export(cmd, args[0], cmd.OutOrStdout())
			}
			f, err := os.Create(output)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			if err := errors.Join(export(cmd, args[0], f), f.Close()); err != nil {
				_ = os.Remove(output) // promtool would take half of it
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "file to write (default: standard output)")
	return cmd
}

func export(cmd *cobra.Command, dir string, to io.Writer) error {
	from, err := history.Open(report.HistoryPath(dir))
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer func() { _ = from.Close() }()
	summary, err := openmetrics.Write(to, from)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if summary.Truncated {
		fmt.Fprintf(cmd.ErrOrStderr(), "the last line of %s is torn and left out: the run was killed\n", report.HistoryPath(dir))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d samples exported\n", summary.Samples)
	return nil
}
