package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"blackout/e2e/doctor"
	"blackout/e2e/run"
	"blackout/e2e/scenario"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "look at this machine: what is there, what that means for Blackout, what to do",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			machine := doctor.Machine{Timeouts: scenario.DefaultTimeouts(), RegistryPrefix: os.Getenv(run.EnvRegistry)}
			report := machine.Examine(cmd.Context())
			write := report.WriteText
			if asJSON {
				write = report.WriteJSON
			}
			if err := write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if failed := report.Failed(); len(failed) > 0 {
				return fmt.Errorf("this machine cannot run Blackout yet: %s", strings.Join(failed, ", "))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON for a program")
	return cmd
}
