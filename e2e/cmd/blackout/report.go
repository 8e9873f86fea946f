package main

import (
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
			v, err := report.Judge(args[0])
			if err != nil {
				return err
			}
			if output == "" {
				output = filepath.Join(args[0], report.PageFile)
			}
			if err := v.WritePage(args[0], output); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), output)
			return v.Damaged()
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "file to write, instead of "+report.PageFile+" in the run's directory")
	return cmd
}
