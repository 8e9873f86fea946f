package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/images"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// Directories of a qualification's two sets.
const (
	BaselineDir  = "baseline"
	CandidateDir = "candidate"
)

// tries of a run that the harness or its machine made fail.
const tries = 2

// Qualification runs a baseline and a candidate in turn, baseline first, so that
// whatever the machine does meanwhile happens to both. Runs of a pair share a seed:
// the scenario's, and one more for each further pair.
type Qualification struct {
	Scenario            scenario.Scenario
	Baseline, Candidate images.Request
	Pairs               int
	// Dir gets the directories of both sets.
	Dir string
	// Run carries one run out, in a directory of its own below results.
	Run func(ctx context.Context, s scenario.Scenario, request images.Request, results string) (report.Verdict, string, error)
	Log func(format string, args ...any)
}

// turn is one of its runs.
type turn struct {
	set     string
	request images.Request
	seed    int64
}

// turns in their order: A B A B.
func (q Qualification) turns() (all []turn) {
	for i := range q.Pairs {
		seed := q.Scenario.Seed + int64(i)
		all = append(all, turn{BaselineDir, q.Baseline, seed}, turn{CandidateDir, q.Candidate, seed})
	}
	return all
}

// Sets carries all runs out and returns the directories of both sets. A violation
// or an inconclusive run is data. A run that the harness or its machine made fail is
// repeated once; if that fails too, so does the qualification, and what there is of
// it stays.
func (q Qualification) Sets(ctx context.Context) (baseline, candidate string, err error) {
	if q.Pairs < 1 {
		return "", "", fmt.Errorf("a qualification of %d pairs of runs: ask for one at least, for a verdict three", q.Pairs)
	}
	baseline, candidate = filepath.Join(q.Dir, BaselineDir), filepath.Join(q.Dir, CandidateDir)
	for _, dir := range []string{baseline, candidate} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", "", fmt.Errorf("begin the qualification: %w", err)
		}
	}
	usual := usualRun(q.Scenario)
	all := q.turns()
	for i, t := range all {
		what := fmt.Sprintf("run %d of %d: %s %s, seed %d", i+1, len(all), t.set, t.request.Longhorn, t.seed)
		q.Log("%s, about %d min", what, minutes(usual))
		began := time.Now()
		if err := q.take(ctx, t, what); err != nil {
			return "", "", fmt.Errorf("%s: %w; %d of %d runs are in %s", what, err, i, len(all), q.Dir)
		}
		usual = time.Since(began)
	}
	return baseline, candidate, nil
}

// take carries out one run, again if the harness or its machine made it fail.
func (q Qualification) take(ctx context.Context, t turn, what string) error {
	for try := 1; ; try++ {
		v, dir, err := q.Run(ctx, q.Scenario.Seeded(t.seed), t.request, filepath.Join(q.Dir, t.set))
		if err == nil && v.ExitCode < bound.ExitInfrastructure {
			q.Log("%s: %s (%s)", what, v.Judgement.Outcome, dir)
			return nil
		}
		if err != nil && v.Judgement.Outcome != "" && v.ExitCode < bound.ExitInfrastructure {
			// What it left would disturb the next ones.
			return fmt.Errorf("the run is whole (%s), but could not be cleaned up after: %w", dir, err)
		}
		if err == nil {
			err = errors.New(v.Judgement.Reason)
		}
		if ctx.Err() != nil || try == tries {
			return err
		}
		q.Log("%s: the harness or its machine failed, once more: %v (%s)", what, err, dir)
	}
}

// usualRun is how long a run takes whose images are there, before there was one to
// go by: on two cores a cluster takes two minutes, a recovery one and a half.
func usualRun(s scenario.Scenario) time.Duration {
	const cluster, recovery = 2 * time.Minute, 90 * time.Second
	repeats := time.Duration(max(1, s.Outage.Repeats))
	return cluster + s.Phases.Baseline.Duration + repeats*(s.Outage.Duration.Duration+min(recovery, s.Phases.Recovery.Duration)) + s.SteadyFor(recovery)
}

// minutes are whole ones, one at least.
func minutes(d time.Duration) int { return max(1, int(d.Round(time.Minute)/time.Minute)) }
