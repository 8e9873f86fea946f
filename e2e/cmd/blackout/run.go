package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"blackout/e2e/report"
	"blackout/e2e/run"
)

// outcome carries an exit code through cobra: 0 as expected, 1 violation, 2
// inconclusive, 3 infrastructure.
type outcome int

func (o outcome) Error() string { return fmt.Sprintf("exit code %d", int(o)) }

func runCommand() *cobra.Command {
	var x run.Experiment
	var file string
	var count int
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run one scenario on one version of Longhorn and judge it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := report.ReadScenario(file)
			if err != nil {
				return err
			}
			if count > 0 {
				s = s.Sized(count)
				if err := s.Validate(report.Known()); err != nil {
					return err
				}
			}
			if x.Harness, err = newHarness(); err != nil {
				return infrastructure(err)
			}
			x.Scenario = s
			v, dir, err := x.Run(cmd.Context())
			fmt.Fprintf(cmd.ErrOrStderr(), "results: %s\n", dir)
			if err != nil {
				return infrastructure(err)
			}
			return finish(cmd, v)
		},
	}
	requestFlags(cmd, &x.Request)
	cmd.Flags().StringVar(&file, "scenario", filepath.Join("scenarios", "issue-9978.yaml"), "what to do")
	cmd.Flags().IntVar(&count, "backups", 0, "number of backups, instead of the scenario's own")
	cmd.Flags().StringVar(&x.Results, "results", "results", "directory for the run's own directory")
	cmd.Flags().BoolVar(&x.Keep, "keep", false, "leave the cluster standing")
	return cmd
}

func judgeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "judge DIRECTORY",
		Short: "judge a saved run again, without any cluster",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := report.Judge(args[0])
			if err != nil {
				return infrastructure(err)
			}
			return finish(cmd, v)
		},
	}
}

func finish(cmd *cobra.Command, v report.Verdict) error {
	if err := v.WriteText(cmd.OutOrStdout()); err != nil {
		return err
	}
	if v.ExitCode != 0 {
		return outcome(v.ExitCode)
	}
	return nil
}

// failed is an error with its exit code.
type failed struct {
	error
	code outcome
}

func (f failed) Unwrap() []error { return []error{f.error, f.code} }

func infrastructure(err error) error { return failed{err, outcome(exitInfrastructure)} }

const exitInfrastructure = 3
