package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"blackout/e2e/compare"
	"blackout/e2e/images"
	"blackout/e2e/progress"
	"blackout/e2e/report"
	"blackout/e2e/run"
	"blackout/e2e/scenario"
)

const exitCodes = `
Exit codes: 0 better or same, 1 worse, 2 cannot tell, 3 bad input or the harness
failed.`

// comparison is how two sets are compared and where that is told.
type comparison struct {
	tolerance float64
	bounds    string // of a scenario: its file or its name
	output    string
	asJSON    bool
}

func (c *comparison) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Float64Var(&c.tolerance, "tolerance", compare.DefaultTolerance, "share of the baseline's median that makes no difference")
	flags.BoolVar(&c.asJSON, "json", false, "print JSON for a program")
}

// tell prints the comparison, writes it, and ends with its exit code.
func (c *comparison) tell(cmd *cobra.Command, baseline, candidate []string) error {
	options := compare.Options{Tolerance: c.tolerance}
	if c.bounds != "" {
		today, err := report.ReadScenario(scenarioFile(c.bounds))
		if err != nil {
			return err
		}
		options.Scenario = &today
	}
	found, err := compare.Sets(baseline, candidate, options)
	if err != nil {
		return err
	}
	if c.output != "" {
		if err := found.Write(c.output); err != nil {
			return err
		}
	}
	if c.asJSON {
		err = printJSON(cmd, found)
	} else {
		err = found.WriteText(cmd.OutOrStdout())
	}
	if err == nil && found.ExitCode != 0 {
		return outcome(found.ExitCode)
	}
	return err
}

func compareCommand() *cobra.Command {
	var c comparison
	var baseline, candidate []string
	cmd := &cobra.Command{
		Use:   "compare --baseline DIRECTORY... --candidate DIRECTORY...",
		Short: "compare saved runs of two versions: is the candidate better, the same, worse, or cannot one tell",
		Long: `Compare saved runs of two versions, judged anew: is the candidate better, the same,
worse, or cannot one tell. A directory is a run's, or holds runs. Three runs of each
set that say something of Longhorn are the least that a verdict needs.
` + exitCodes,
		Example: "  blackout compare --baseline results/qualify/1/baseline --candidate results/qualify/1/candidate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.tell(cmd, baseline, candidate)
		},
	}
	c.add(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&baseline, "baseline", nil, "directory of a baseline run, or of several; may be repeated")
	flags.StringArrayVar(&candidate, "candidate", nil, "the same of the candidate")
	flags.StringVar(&c.bounds, "scenario", "", "judge by the bounds of this scenario instead of those saved with each run: "+fileOrName)
	flags.StringVar(&c.output, "output", "", "directory to write "+compare.JSONFile+" and "+compare.MarkdownFile+" to")
	return cmd
}

func qualifyCommand() *cobra.Command {
	var c comparison
	var q run.Qualification
	var chosen chosenScenario
	var results, mode string
	cmd := &cobra.Command{
		Use:   "qualify --baseline VERSION --candidate VERSION",
		Short: "run a baseline and a candidate in turn with the same seeds, and compare them",
		Long: `Run a baseline and a candidate in turn (A B A B), the two runs of a pair with the
same seed, and compare them. What a run says of Longhorn is data; one that the harness
or its machine made fail is repeated once.
` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Scenario, err = chosen.read(cmd); err != nil {
				return err
			}
			q.Baseline.Mode, q.Candidate.Mode = images.Mode(mode), images.Mode(mode)
			q.Dir = filepath.Join(results, "qualify", time.Now().UTC().Format("20060102-150405"))
			q.Log = progress.New(os.Stderr).Logf
			q.Run = func(ctx context.Context, s scenario.Scenario, request images.Request, results string) (report.Verdict, string, error) {
				h, err := newHarness() // whose steps are counted from one
				if err != nil {
					return report.Verdict{}, "", err
				}
				return run.Experiment{Harness: h, Scenario: s, Request: request, Results: results}.Run(ctx)
			}
			baseline, candidate, err := q.Sets(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "results: %s\n", q.Dir)
			c.output = q.Dir
			return c.tell(cmd, []string{baseline}, []string{candidate})
		},
	}
	c.add(cmd)
	chosen.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&q.Baseline.Longhorn, "baseline", defaultLonghorn, "version of Longhorn that the candidate is compared with")
	flags.StringVar(&q.Candidate.Longhorn, "candidate", "", "version of Longhorn that is to be qualified")
	flags.StringVar(&q.Candidate.ManagerSource, "candidate-src", "", "checkout of longhorn-manager that the candidate runs, of the release that it names")
	flags.IntVar(&q.Pairs, "n", compare.MinRuns, "number of pairs of runs")
	flags.StringVar(&mode, "images", string(images.Auto), fmt.Sprintf("where images come from: %s, %s or %s", images.Auto, images.Registry, images.Module))
	flags.StringVar(&results, "results", "results", "directory below which both sets are written")
	_ = cmd.MarkFlagRequired("candidate")
	return cmd
}
