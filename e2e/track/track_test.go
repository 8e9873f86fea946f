package track

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/report"
)

var first = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// night number n, of which the trend was seen with a value.
func night(n int, value float64) Night {
	return Night{
		Time: first.AddDate(0, 0, n), Run: time.Duration(n).String(), Scenario: "issue-9978", Longhorn: "v1.7.2",
		Outcome: bound.Reproduced, Measures: map[string]Measure{"bound connections-trend": {value, "count/min"}},
	}
}

func TestVerdictsBecomeLinesOnce(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	v := report.Verdict{
		Version: report.Version, Run: history.Header{Run: "r1", Scenario: "smoke", Longhorn: "v1.8.1", Seed: 7, Started: first}, ExitCode: 1,
		Judgement: bound.Judgement{Verdict: bound.Fail, Outcome: bound.UnexpectedViolation, Reason: "why", Results: []bound.Result{
			{Bound: "held", Verdict: bound.Pass, Observed: 2, Unit: "count"}, {Bound: "broke", Verdict: bound.Fail, Observed: 9},
			{Bound: "doubted", Verdict: bound.Inconclusive, Observed: 0},
		}},
		Recovery: []report.Milestone{{Step: "volumes-healthy", Elapsed: "1m15.5s"}, {Step: "backlog-drained"}},
	}
	g.Expect(v.Write(dir)).To(Succeed())
	n, err := Read(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(n).To(Equal(Night{
		Time: first, Run: "r1", Scenario: "smoke", Longhorn: "v1.8.1", Seed: 7, Outcome: bound.UnexpectedViolation, ExitCode: 1, Reason: "why",
		Measures: map[string]Measure{"bound held": {2, "count"}, "bound broke": {9, ""}, "recovery volumes-healthy": {75.5, "s"}},
	}), "and nothing of what could not be judged or was not seen")

	path := filepath.Join(dir, "track.jsonl")
	g.Expect(Load(path)).To(BeEmpty(), "there is none yet")
	g.Expect(Append(path, nil, []Night{n})).To(Succeed())
	g.Expect(Append(path, []Night{n}, []Night{n, night(1, 5)})).To(Succeed())
	g.Expect(Load(path)).To(Equal([]Night{n, night(1, 5)}))
}

func TestFailedHarnessMeasuresNothing(t *testing.T) {
	g := NewWithT(t)
	v := report.Verdict{Judgement: bound.Judgement{Outcome: bound.HarnessFailed, Results: []bound.Result{{Bound: "a", Verdict: bound.Pass, Observed: 1}}}}
	g.Expect(Of(v).Measures).To(BeEmpty())
}

func TestBadInput(t *testing.T) {
	for name, test := range map[string]struct{ file, content, says string }{
		"no verdict":      {"other", "", "name the directory of a run that was judged"},
		"torn verdict":    {report.VerdictFile, `{"version":1,"run":{`, "judge the run again"},
		"another version": {report.VerdictFile, `{"version":99}`, "of version 99"},
		"empty verdict":   {report.VerdictFile, `{"version":1}`, "names no run or no outcome"},
		"torn record":     {"track.jsonl", `{"run":"1"}` + "\n" + `{"ru`, "track.jsonl:2: not a night of a track record (unexpected EOF); mend"},
		"foreign record":  {"track.jsonl", `{"run":"1","colour":"red"}`, `track.jsonl:1: not a night of a track record (json: unknown field "colour"`},
		"record of none":  {"track.jsonl", `{}`, "it names no run"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			dir := t.TempDir()
			path := filepath.Join(dir, test.file)
			g.Expect(os.WriteFile(path, []byte(test.content), 0o600)).To(Succeed())
			var err error
			if strings.HasSuffix(path, ".jsonl") {
				_, err = Load(path)
			} else {
				_, err = Read(dir)
			}
			g.Expect(err).To(MatchError(ContainSubstring(test.says)))
		})
	}
}

func TestNightIsComparedWithThoseBefore(t *testing.T) {
	var record []Night
	for i := range 8 {
		record = append(record, night(i, 100+float64(i)))
	}
	other := night(0, 1)
	other.Run, other.Longhorn = "other", "v1.8.1"
	failed := night(6, 1)
	failed.Run, failed.Outcome = "failed", bound.HarnessFailed
	record = append(record, other, failed, night(20, 1)) // the last is later
	for name, test := range map[string]struct {
		value   float64
		last    int
		nights  int
		low, up float64
		outside bool
	}{
		"within":                {104, 14, 8, 100, 107, false},
		"at the edge":           {107, 14, 8, 100, 107, false},
		"above":                 {107.1, 14, 8, 100, 107, true},
		"below":                 {99, 14, 8, 100, 107, true},
		"only the last":         {102, 5, 5, 103, 107, true},
		"too few make no range": {500, 4, 4, 104, 107, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := Compare(night(10, test.value), record, test.last)
			g.Expect(c.Before).To(HaveLen(test.nights))
			g.Expect(c.Lines).To(HaveLen(1))
			l := c.Lines[0]
			g.Expect([]float64{l.Low, l.Up}).To(Equal([]float64{test.low, test.up}))
			g.Expect(l.Median).To(Equal((test.low + test.up) / 2))
			g.Expect(l.Outside).To(Equal(test.outside))
			var text strings.Builder
			g.Expect(c.Markdown(&text)).To(Succeed())
			g.Expect(strings.Contains(text.String(), "OUTSIDE")).To(Equal(test.outside))
			g.Expect(text.String()).To(ContainSubstring("Outcome: the same; the night before (2026-01-09): reproduced."))
		})
	}
}

func TestWhatIsNewOrMissingIsSaid(t *testing.T) {
	g := NewWithT(t)
	var text strings.Builder
	g.Expect(Compare(night(1, 5), nil, 14).Markdown(&text)).To(Succeed())
	g.Expect(text.String()).To(And(ContainSubstring("No earlier nights"), ContainSubstring("| bound connections-trend | 5 count/min | - | - | 0 |  |")))
	tonight := night(2, 5)
	tonight.Outcome, tonight.Measures = bound.NotReproduced, nil
	text.Reset()
	g.Expect(Compare(tonight, []Night{night(1, 5)}, 14).Markdown(&text)).To(Succeed())
	g.Expect(text.String()).To(And(ContainSubstring("Outcome: CHANGED; the night before (2026-01-03): reproduced."), ContainSubstring("| not seen | 5 | 5 to 5 | 1 | MISSING |")))
}
