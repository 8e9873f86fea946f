package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"blackout/e2e/bound"
	"blackout/e2e/report"
	"blackout/e2e/run"
	"blackout/e2e/scenario"
)

// outcome carries an exit code through cobra: 0 as expected, 1 violation, 2
// inconclusive, 3 infrastructure.
type outcome int

func (o outcome) Error() string { return fmt.Sprintf("exit code %d", int(o)) }

// tornHistory tells that a history ends early, and what was made of it nevertheless. It
// ends as a judgement does that the tear leaves open.
func tornHistory(cmd *cobra.Command, path, made string) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "blackout: %s: the history is torn, for the run was killed while it wrote; until then: %s; for the rest run it again\n", path, made)
	return outcome(bound.ExitInconclusive)
}

// chosenScenario is a scenario's file and what the command line changes in it.
type chosenScenario struct {
	file     string
	backups  int
	unsynced string
	seed     int64
}

func (c *chosenScenario) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.file, "scenario", filepath.Join("scenarios", "issue-9978.yaml"), "what to do: "+fileOrName)
	flags.IntVar(&c.backups, "backups", 0, "number of backups, instead of the scenario's own")
	flags.StringVar(&c.unsynced, "unsynced-writes", "", "drop or keep, instead of the scenario's own: keep needs no loop devices")
	flags.Int64Var(&c.seed, "seed", 0, "seed of every random choice, instead of the scenario's own")
}

func (c *chosenScenario) read(cmd *cobra.Command) (scenario.Scenario, error) {
	s, err := report.ReadScenario(scenarioFile(c.file))
	if err != nil {
		return s, err
	}
	if cmd.Flags().Changed("backups") {
		s = s.Sized(c.backups)
	}
	if cmd.Flags().Changed("seed") {
		s = s.Seeded(c.seed)
	}
	if c.unsynced != "" {
		s = s.WithUnsynced(scenario.UnsyncedWrites(c.unsynced))
	}
	return s, s.Validate(report.Known()) // with the flags' values
}

func runCommand() *cobra.Command {
	var x run.Experiment
	var chosen chosenScenario
	var foreign foreignFlags
	var dryRun, quick bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run one scenario on one version of Longhorn and judge it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if quick {
				var said string
				chosen.file, said = quickForm(scenarioFile(chosen.file))
				fmt.Fprintln(cmd.ErrOrStderr(), said)
			}
			s, err := chosen.read(cmd)
			if err != nil {
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
	chosen.add(cmd)
	cmd.Flags().BoolVar(&quick, "quick", false, "run the scenario's short form, NAME-quick.yaml beside it, if there is one")
	foreign.add(cmd)
	cmd.Flags().StringVar(&foreign.store, "object-store-image", "", "image of an S3 server that the nodes of the existing cluster have, if it has no backup target")
	cmd.Flags().StringVar(&x.Results, "results", "results", "directory for the run's own directory")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what the run would do")
	cmd.Flags().BoolVar(&x.Keep, "keep", false, "leave the cluster standing")
	cmd.Flags().StringVar(&x.Reuse, "reuse", "", "run in the cluster of this name that an earlier run with this flag left, with only the manager replaced; made if there is none, and left standing")
	return cmd
}

func judgeCommand() *cobra.Command {
	var write bool
	var today string
	cmd := &cobra.Command{
		Use:   "judge DIRECTORY",
		Short: "judge a saved run again, without any cluster",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := judge(args[0], today)
			if err != nil {
				return err
			}
			if write {
				if err := v.Write(args[0]); err != nil {
					return err
				}
			}
			if err := v.Damaged(); err != nil {
				_ = v.WriteText(cmd.OutOrStdout()) // it stands without the profiles
				return err
			}
			return finish(cmd, v)
		},
	}
	cmd.Flags().BoolVar(&write, "write", false, "write verdict.json, junit.xml, summary.md and report.html anew")
	cmd.Flags().StringVar(&today, "scenario", "", "judge by the bounds and the expectations of this scenario instead of the saved ones: "+fileOrName)
	// What lies in a run's directory is by the scenario that lies there.
	cmd.MarkFlagsMutuallyExclusive("write", "scenario")
	return cmd
}

func judge(dir, today string) (report.Verdict, error) {
	if today == "" {
		return report.Judge(dir)
	}
	s, err := report.ReadScenario(scenarioFile(today))
	if err != nil {
		return report.Verdict{}, err
	}
	return report.JudgeBy(dir, s)
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
