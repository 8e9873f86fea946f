package main

import (
	"cmp"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"blackout/e2e/report"
)

func reportCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "report DIRECTORY",
		Short: "write " + report.PageFile + " of a saved run, judged again, without any cluster",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, run, err := report.Load(args[0])
			if err != nil {
				return err
			}
			v := report.JudgeLoaded(args[0], s, run)
			if output == "" {
				output = filepath.Join(args[0], report.PageFile)
			}
			if err := spare(output, args[0], report.PageFile); err != nil {
				return fmt.Errorf("report: %w", err)
			}
			if err := v.WritePage(args[0], output); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), output)
			var torn error
			if run.Truncated {
				torn = tornHistory(cmd, run.TornAt, "what the page shows")
			}
			return cmp.Or(v.Damaged(), torn)
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "file to write, instead of "+report.PageFile+" in the run's directory")
	return cmd
}
