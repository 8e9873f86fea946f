package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"blackout/e2e/report"
	"blackout/e2e/run"
	"blackout/e2e/scenario"
)

// outcome carries an exit code through cobra: 0 as expected, 1 violation, 2
// inconclusive, 3 infrastructure.
type outcome int

func (o outcome) Error() string { return fmt.Sprintf("exit code %d", int(o)) }

func runCommand() *cobra.Command {
	var x run.Experiment
	var file string
	var count int
	var unsynced string
	var foreign foreignFlags
	var dryRun, quick bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run one scenario on one version of Longhorn and judge it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := scenarioFile(file)
			if quick {
				var said string
				path, said = quickForm(path)
				fmt.Fprintln(cmd.ErrOrStderr(), said)
			}
			s, err := report.ReadScenario(path)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("backups") {
				s = s.Sized(count)
			}
			if unsynced != "" {
				s = s.WithUnsynced(scenario.UnsyncedWrites(unsynced))
			}
			if err := s.Validate(report.Known()); err != nil { // with the flags' values
				return err
			}
			if dryRun {
				text, err := run.Describe(s, x.Request.Longhorn)
				if err == nil {
					_, err = fmt.Fprint(cmd.OutOrStdout(), text)
				}
				return err
			}
			if x.Harness, err = newHarness(); err != nil {
				return err
			}
			x.Scenario = s
			if x.Foreign, err = foreign.cluster(); err != nil {
				return err
			}
			x.Tell = func(v report.Verdict, dir string) {
				fmt.Fprintf(cmd.ErrOrStderr(), "results: %s\n", dir)
				if len(v.Judgement.Results) > 0 { // also what was collected before a failure
					_ = v.WriteText(cmd.OutOrStdout())
				}
			}
			v, _, err := x.Run(cmd.Context())
			if err != nil {
				return err
			}
			return exit(v)
		},
	}
	requestFlags(cmd, &x.Request)
	cmd.Flags().StringVar(&file, "scenario", filepath.Join("scenarios", "issue-9978.yaml"), "what to do: a file, or the name of one in scenarios/")
	cmd.Flags().BoolVar(&quick, "quick", false, "run the scenario's short form, NAME-quick.yaml beside it, if there is one")
	cmd.Flags().IntVar(&count, "backups", 0, "number of backups, instead of the scenario's own")
	foreign.add(cmd)
	cmd.Flags().StringVar(&foreign.store, "object-store-image", "", "image of an S3 server that the nodes of the existing cluster have, if it has no backup target")
	cmd.Flags().StringVar(&unsynced, "unsynced-writes", "", "drop or keep, instead of the scenario's own: keep needs no loop devices")
	cmd.Flags().StringVar(&x.Results, "results", "results", "directory for the run's own directory")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what the run would do")
	cmd.Flags().BoolVar(&x.Keep, "keep", false, "leave the cluster standing")
	cmd.Flags().StringVar(&x.Reuse, "reuse", "", "run in the cluster of this name that an earlier run with this flag left, with only the manager replaced; made if there is none, and left standing")
	return cmd
}

func judgeCommand() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use:   "judge DIRECTORY",
		Short: "judge a saved run again, without any cluster",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := report.Judge(args[0])
			if err != nil {
				return err
			}
			if write {
				if err := v.Write(args[0]); err != nil {
					return err
				}
			}
			return finish(cmd, v)
		},
	}
	cmd.Flags().BoolVar(&write, "write", false, "write verdict.json, junit.xml and summary.md anew")
	return cmd
}

func finish(cmd *cobra.Command, v report.Verdict) error {
	if err := v.WriteText(cmd.OutOrStdout()); err != nil {
		return err
	}
	return exit(v)
}

// exit is nil for a run that went as expected.
func exit(v report.Verdict) error {
	if v.ExitCode != 0 {
		return outcome(v.ExitCode)
	}
	return nil
}
