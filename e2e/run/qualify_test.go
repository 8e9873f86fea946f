package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/images"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// fakeRuns stands in for clusters: it notes what it is asked for and answers with
// the exit codes it was given, in their order, then 0.
type fakeRuns struct {
	asked []string
	codes []int
	err   error // beside an exit code of infrastructure
	after func()
}

func (f *fakeRuns) run(_ context.Context, s scenario.Scenario, request images.Request, results string) (report.Verdict, string, error) {
	f.asked = append(f.asked, fmt.Sprintf("%s %s%s seed %d", filepath.Base(results), request.Longhorn, request.ManagerSource, s.Seed))
	v := report.Verdict{ExitCode: bound.ExitAsExpected}
	if len(f.codes) > 0 {
		v.ExitCode, f.codes = f.codes[0], f.codes[1:]
	}
	if f.after != nil {
		f.after()
	}
	if v.ExitCode == bound.ExitInfrastructure {
		v.Judgement.Reason = "the disk is full"
		return v, results, f.err
	}
	return v, results, nil
}

func TestQualificationTakesTurns(t *testing.T) {
	const (
		a0, b0 = "baseline v1.7.2 seed 41", "candidate v1.8.1/src seed 41"
		a1, b1 = "baseline v1.7.2 seed 42", "candidate v1.8.1/src seed 42"
	)
	broken := errors.New("no engine")
	for name, test := range map[string]struct {
		codes []int
		err   error
		asked []string
		fails string
	}{
		"in turn, with the seeds of a pair":    {nil, nil, []string{a0, b0, a1, b1}, ""},
		"violations and doubt are data":        {[]int{1, 2, 1, 0}, nil, []string{a0, b0, a1, b1}, ""},
		"a failed run is repeated once":        {[]int{0, 3}, broken, []string{a0, b0, b0, a1, b1}, ""},
		"each may be":                          {[]int{3, 0, 3, 0}, nil, []string{a0, a0, b0, b0, a1, b1}, ""},
		"twice is the end":                     {[]int{0, 0, 3, 3}, broken, []string{a0, b0, a1, a1}, "run 3 of 4: baseline v1.7.2, seed 42: no engine; 2 of 4 runs are in"},
		"a verdict of infrastructure, as well": {[]int{3, 3}, nil, []string{a0, a0}, "run 1 of 4: baseline v1.7.2, seed 41: the disk is full; 0 of 4 runs are in"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			fake := &fakeRuns{codes: test.codes, err: test.err}
			var log []string
			q := Qualification{
				Scenario: scenario.Scenario{Seed: 41}, Baseline: images.Request{Longhorn: "v1.7.2"}, Candidate: images.Request{Longhorn: "v1.8.1", ManagerSource: "/src"},
				Pairs: 2, Dir: t.TempDir(), Run: fake.run,
				Log: func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) },
			}
			baseline, candidate, err := q.Sets(t.Context())
			g.Expect(fake.asked).To(Equal(test.asked))
			if test.fails != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.fails)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(baseline).To(BeADirectory())
			g.Expect(candidate).To(BeADirectory())
			g.Expect(log[0]).To(MatchRegexp(`^run 1 of 4: baseline v1\.7\.2, seed 41, about \d+ min$`))
		})
	}
}

// Who presses Ctrl-C wants no second try.
func TestStoppedQualificationIsNotRepeated(t *testing.T) {
	g := NewWithT(t)
	ctx, stop := context.WithCancel(t.Context())
	fake := &fakeRuns{codes: []int{3}, err: context.Canceled, after: stop}
	q := Qualification{Pairs: 1, Dir: t.TempDir(), Run: fake.run, Log: func(string, ...any) {}}
	_, _, err := q.Sets(ctx)
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(fake.asked).To(HaveLen(1))

	q.Pairs = 0
	_, _, err = q.Sets(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("ask for one at least")))
}

// A run that is whole is not taken again, and what it left would disturb the next.
func TestQualificationEndsWhenARunCannotBeCleanedUpAfter(t *testing.T) {
	g := NewWithT(t)
	asked := 0
	q := Qualification{Pairs: 2, Dir: t.TempDir(), Log: func(string, ...any) {}, Run: func(context.Context, scenario.Scenario, images.Request, string) (report.Verdict, string, error) {
		asked++
		return report.Verdict{Judgement: bound.Judgement{Outcome: bound.AsExpected}}, "run-1", errors.New("a node is left")
	}}
	_, _, err := q.Sets(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("the run is whole (run-1), but could not be cleaned up after: a node is left")))
	g.Expect(asked).To(Equal(1))
}

func TestUsualRunIsThatOfTheReadme(t *testing.T) {
	g := NewWithT(t)
	s, err := report.ReadScenario("../../scenarios/issue-9978.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(minutes(usualRun(s))).To(BeNumerically("~", 8, 1))
	g.Expect(minutes(0)).To(Equal(1))
}
