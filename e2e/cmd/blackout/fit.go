package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"blackout/e2e/report"
)

// What longhorn/longhorn#9978 reported: backups that waited, and memory reached.
const (
	incidentWaiting = 3718
	incidentMemory  = "7Gi"
)

func fitCommand() *cobra.Command {
	var options report.FitOptions
	var limit string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "fit DIRECTORY...",
		Short: "fit what a waiting backup costs over saved runs that differ in their number of backups",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			memory, err := resource.ParseQuantity(limit)
			if err != nil {
				return fmt.Errorf("read --limit %q: %w; write it like %s", limit, err, incidentMemory)
			}
			options.Limit = memory.AsApproximateFloat64()
			fit, err := report.Ladder(args, options)
			if err != nil {
				return err
			}
			if !asJSON {
				return fit.WriteText(cmd.OutOrStdout())
			}
			return printJSON(cmd, fit)
		},
	}
	cmd.Flags().StringVar(&options.Over, "over", "waiting", "which backups a cost is told for: waiting (New and Pending), Pending or New")
	cmd.Flags().Float64Var(&options.At, "at", incidentWaiting, "number of such backups to extrapolate to")
	cmd.Flags().StringVar(&limit, "limit", incidentMemory, "memory to tell the time to")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON for a program")
	return cmd
}
