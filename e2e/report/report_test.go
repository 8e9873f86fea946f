package report

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
	"blackout/e2e/scenario"
)

// saved is a real run of Longhorn v1.7.2, kept as it was recorded.
const saved = "../../fixtures/demo/issue-9978-v1.7.2"

// copied is the saved run where a test may break it.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(saved)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Today's checks may refuse a scenario that ran yesterday: the run is judged still.
func TestSavedRunThatNobodyWouldBeginToday(t *testing.T) {
	g, dir := NewWithT(t), copied(t)
	path := filepath.Join(dir, ScenarioFile)
	text, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	short := strings.Replace(string(text), "baseline: 45s", "baseline: 10s", 1)
	g.Expect(short).NotTo(Equal(string(text)))
	g.Expect(os.WriteFile(path, []byte(short), fileMode)).To(Succeed())
	_, err = ReadScenario(path)
	g.Expect(err).To(MatchError(ContainSubstring("phases.baseline is 10s")))
	_, err = Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	today, err := ReadScenario(filepath.Join(saved, ScenarioFile))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = JudgeBy(dir, today)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestSummaryTellsNothingFromZero(t *testing.T) {
	g := NewWithT(t)
	var text strings.Builder
	v := Verdict{Judgement: bound.Judgement{Results: []bound.Result{{Bound: "a", Verdict: bound.Inconclusive}, {Bound: "b", Verdict: bound.Pass}}}}
	v.markdown(&text, "blackout run")
	g.Expect(text.String()).To(And(ContainSubstring("| a | inconclusive | nothing | 0 |"), ContainSubstring("| b | pass | 0 | 0 |"), HaveSuffix("`blackout run`\n")))
}

func TestSavedRunIsJudgedAgain(t *testing.T) {
	g := NewWithT(t)
	v, err := Judge(saved)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Judgement.Outcome).To(Equal(bound.Reproduced))
	g.Expect(v.ExitCode).To(Equal(bound.ExitAsExpected))
	g.Expect(v.Recovery).NotTo(BeEmpty())
	g.Expect(v.Notes).To(BeEmpty())

	var heap []string
	for _, growth := range v.Growth {
		if growth.Kind == profile.Heap {
			path, found := growth.Cause()
			g.Expect(found).To(BeTrue())
			heap = append(heap, path.String())
			g.Expect(growth.PerReconcile).To(BeNumerically("~", 80*kibibyte, 20*kibibyte), "64 KiB of them are buffers")
			g.Expect(growth.Projection).NotTo(BeNil())
		} else {
			// Counted by two probes, one in logs and one in goroutines.
			g.Expect(growth.PerReconcile).To(BeNumerically("~", 6, 0.5), "a connection has six goroutines")
		}
	}
	g.Expect(heap).To(HaveLen(2), "one for each manager")
	for _, path := range heap {
		g.Expect(path).To(And(ContainSubstring("checkMonitor"), ContainSubstring("NewEngineClientProxy")))
	}
}

func TestVerdictIsWrittenForPeopleAndMachines(t *testing.T) {
	g := NewWithT(t)
	dir := copied(t)
	v, err := Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Write(dir)).To(Succeed())
	summary, err := os.ReadFile(filepath.Join(dir, SummaryFile))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(summary)).To(And(ContainSubstring("reproduced"), ContainSubstring("`blackout run --longhorn v1.7.2 --scenario scenario.yaml`"), ContainSubstring("| connections-trend | fail |"), ContainSubstring("go tool pprof")))
	raw, err := os.ReadFile(filepath.Join(dir, VerdictFile))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(raw)).To(ContainSubstring(`"outcome": "reproduced"`))
	var text strings.Builder
	g.Expect(v.WriteText(&text)).To(Succeed())
	g.Expect(text.String()).To(HavePrefix("issue-9978 on Longhorn v1.7.2: REPRODUCED (failed by connections-trend, as expected)\n"))
}

func TestActionsAreSaidAndSoIsThatOneFailed(t *testing.T) {
	g := NewWithT(t)
	s, run, err := Load(saved)
	g.Expect(err).NotTo(HaveOccurred())
	done := func(fields map[string]string) history.Event {
		return history.Event{Time: run.Header.Started.Add(90 * time.Second), Kind: history.ActionDone, Subject: string(scenario.DeleteWaiting), Fields: fields}
	}
	run.Events = append(run.Events,
		done(map[string]string{history.FieldElapsed: "3s", history.FieldEvidence: "216 backups that waited were deleted"}),
		done(map[string]string{history.FieldElapsed: "3m0s", history.FieldEvidence: "asked for", history.FieldError: "12 of 216 are still there"}))
	g.Expect(JudgeLoaded(saved, s, run).Notes).To(Equal([]string{
		"action delete-waiting, done after 1m30s of the run, took 3s: 216 backups that waited were deleted",
		"action delete-waiting did not do all it should, ended after 1m30s of the run, took 3m0s: asked for; 12 of 216 are still there",
	}))
}

func TestMissingProfileIsSaid(t *testing.T) {
	g := NewWithT(t)
	dir := copied(t)
	found, err := filepath.Glob(filepath.Join(dir, "profiles", "steady-*-heap.pb.gz"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).NotTo(BeEmpty())
	g.Expect(os.Remove(found[0])).To(Succeed())
	v, err := Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Notes).To(HaveLen(2), "the file that is gone, and what cannot be told without it")
	g.Expect(v.Judgement.Outcome).To(Equal(bound.Reproduced), "bounds need no profile")
}

// Today's bounds decide, what was done stays.
func TestJudgedByTodaysBounds(t *testing.T) {
	g := NewWithT(t)
	today, err := ReadScenario(filepath.Join(saved, ScenarioFile))
	g.Expect(err).NotTo(HaveOccurred())
	today.Bounds = slices.Clone(today.Bounds)
	for i, b := range today.Bounds {
		if b.Name == "connections-trend" {
			today.Bounds[i].Max = resource.MustParse("100k")
		}
	}
	v, err := JudgeBy(saved, today)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Judgement.Outcome).To(Equal(bound.NotReproduced))

	_, err = JudgeBy(saved, today.Sized(7))
	g.Expect(err).To(MatchError(ContainSubstring("is a run of scenario issue-9978, not of issue-9978-7")))
	for i := range today.Bounds {
		today.Bounds[i].Within.Duration *= 9
	}
	_, err = JudgeBy(saved, today)
	g.Expect(err).To(MatchError(ContainSubstring("do not fit the run")))
}

// One whose pprof never answered at the end of a phase is not passed over.
func TestManagerWithoutAnyProfileIsNoted(t *testing.T) {
	g := NewWithT(t)
	run, err := load(saved)
	g.Expect(err).NotTo(HaveOccurred())
	growths, notes, damaged := attribute(saved, run)
	g.Expect(damaged).NotTo(HaveOccurred())
	g.Expect(growths).To(HaveLen(4))
	g.Expect(notes).To(BeEmpty())
	silent := growths[0].Incarnation.Pod
	run.Events = slices.DeleteFunc(run.Events, func(e history.Event) bool { return e.Kind == history.ProfileSaved && e.Subject == silent })
	growths, notes, damaged = attribute(saved, run)
	g.Expect(damaged).NotTo(HaveOccurred(), "what is missing is not damaged")
	g.Expect(growths).To(HaveLen(2))
	g.Expect(notes).To(ConsistOf(ContainSubstring(silent+" has no heap profile"), ContainSubstring(silent+" has no goroutine profile")))
}

// The scenario that lies beside the history decides: a version that is to pass
// does not pass with this history.
func TestAnotherExpectationIsAnotherOutcome(t *testing.T) {
	g := NewWithT(t)
	dir := copied(t)
	path := filepath.Join(dir, ScenarioFile)
	text, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	at := strings.Index(string(text), "\nexpect:")
	g.Expect(at).To(BeNumerically(">", 0))
	end := strings.Index(string(text[at+1:]), "\ntimeouts:")
	g.Expect(end).To(BeNumerically(">", 0))
	g.Expect(os.WriteFile(path, []byte(string(text[:at])+string(text[at+1+end:])), 0o600)).To(Succeed())
	v, err := Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Judgement.Verdict).To(Equal(bound.Fail))
	g.Expect(v.ExitCode).To(Equal(bound.ExitViolation))
}

func TestNoHistoryIsAnError(t *testing.T) {
	g := NewWithT(t)
	dir := copied(t)
	g.Expect(os.Remove(filepath.Join(dir, HistoryFile+".gz"))).To(Succeed())
	_, err := Judge(dir)
	g.Expect(err).To(HaveOccurred())
}

func TestRecoveryListsEveryStep(t *testing.T) {
	g := NewWithT(t)
	v, err := Judge(saved)
	g.Expect(err).NotTo(HaveOccurred())
	var steps []string
	for _, m := range v.Recovery {
		steps = append(steps, m.Step)
	}
	g.Expect(steps).To(Equal(append(slices.Clone(history.RecoverySteps), StepDrained)))
	last := v.Recovery[len(v.Recovery)-1]
	g.Expect(last.Elapsed).To(BeEmpty(), "216 wait for ever on v1.7.2")
	g.Expect(last.Evidence).To(ContainSubstring("216 still wait"))
}

func TestDrainedIsLasting(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	run := history.Run{Events: []history.Event{
		{Time: at(0), Kind: history.Cut}, {Time: at(10), Kind: history.Restored, Subject: "a"}, {Time: at(12), Kind: history.Restored, Subject: "b"},
		{Time: at(20), Kind: history.Milestone, Subject: history.StepAPI, Fields: map[string]string{"elapsed": "10s", "evidence": "it answers"}},
		{Time: at(30), Kind: history.SubmitDone},
	}}
	for s, value := range map[int]float64{20: 0, 40: 0, 50: 9, 60: 0, 70: 0} { // 20: before all was queued
		run.Samples = append(run.Samples, history.Sample{Time: at(s), Series: history.Waiting, Subject: "cluster", Value: value})
	}
	slices.SortFunc(run.Samples, func(a, b history.Sample) int { return a.Time.Compare(b.Time) })

	g := NewWithT(t)
	all := recovery(scenario.Scenario{}, run)
	g.Expect(all[0]).To(Equal(Milestone{Step: history.StepAPI, Elapsed: "10s", Evidence: "it answers"}))
	g.Expect(all[1]).To(Equal(Milestone{Step: history.StepNodes, Evidence: "not seen"}))
	g.Expect(all[len(all)-1].Elapsed).To(Equal("50s"), "not at 40 s, when it was none for a moment")

	var unqueued history.Run
	for _, e := range run.Events {
		if e.Kind != history.SubmitDone {
			unqueued.Events = append(unqueued.Events, e)
		}
	}
	unqueued.Samples = run.Samples
	all = recovery(scenario.Scenario{}, unqueued)
	g.Expect(all[len(all)-1].Elapsed).To(BeEmpty(), "a backlog that was never queued is not drained")

	run.Events = append(run.Events, history.Event{Time: at(80), Kind: history.Cut}, history.Event{Time: at(90), Kind: history.Restored})
	all = recovery(scenario.Scenario{}, run)
	g.Expect(all[0].Elapsed).To(BeEmpty(), "what came back from an earlier outage says nothing of the last")
	g.Expect(all[len(all)-1].Evidence).To(ContainSubstring("no census since"))
}

const (
	kibibyte = 1 << 10
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

func TestCostOfALeak(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	life := history.Incarnation{Pod: "m-1", UID: "u", Container: history.ManagerSubject, Node: "n"}
	run := history.Run{Phases: []history.Phase{{Name: history.Steady, Start: start, End: start.Add(time.Hour)}}}
	add := func(minute int, series string, value float64) {
		run.Samples = append(run.Samples, history.Sample{
			Time: start.Add(time.Duration(minute) * time.Minute), Series: series, Subject: history.ManagerSubject, Incarnation: life, Value: value,
		})
	}
	for minute := range 20 {
		add(minute, history.WorkingSet, float64(100+10*minute)*mebibyte)
		add(minute, history.FailedReconciles, float64(50*minute))
	}
	add(0, history.NodeMemory, 2*gibibyte)
	diff := profile.Growth{Kind: profile.Heap, Unit: history.Bytes, Incarnation: life, Before: 0, After: 500 * 64 * kibibyte}

	g := NewWithT(t)
	got := cost(run, diff, start.Add(5*time.Minute), start.Add(15*time.Minute))
	g.Expect(got.FailedReconciles).To(Equal(500.0))
	g.Expect(got.PerReconcile).To(Equal(64.0 * kibibyte))
	g.Expect(got.Projection.Limit).To(Equal(2.0 * gibibyte))
	g.Expect(got.Projection.OfContainer).To(BeFalse())
	g.Expect(got.Projection.Reached).To(Equal("2h56m0s"), "1758 MiB are left, at 10 MiB a minute")
	g.Expect(got.meanings()).To(HaveLen(2))

	few := run
	few.Samples = slices.Clone(run.Samples)
	for i := range few.Samples {
		if s := &few.Samples[i]; s.Series == history.FailedReconciles {
			s.Value /= 100 // 9.5 in all
		}
	}
	g.Expect(cost(few, diff, start, start.Add(19*time.Minute)).PerReconcile).To(BeZero(), "too few for a price")

	add(0, history.MemoryLimit, gibibyte)
	got = cost(run, diff, start.Add(5*time.Minute), start.Add(25*time.Minute))
	g.Expect(got.FailedReconciles).To(BeZero(), "they were followed for 19 minutes")
	run.Gaps = []history.Gap{{From: start.Add(6 * time.Minute), To: start.Add(7 * time.Minute), Subject: "longhorn-manager m-1"}}
	g.Expect(cost(run, diff, start.Add(5*time.Minute), start.Add(15*time.Minute)).FailedReconciles).To(BeZero(), "some may be missing")
	got = cost(run, diff, start, start)
	g.Expect(got.Projection.OfContainer).To(BeTrue())
	g.Expect(got.FailedReconciles).To(BeZero(), "none was counted between two equal times")

	for i := range run.Samples {
		run.Samples[i].Value = 100 * mebibyte
	}
	g.Expect(cost(run, diff, start, start).Projection).To(BeNil(), "what does not rise reaches nothing")
}

func TestJUnitCountsWhatWasNotExpected(t *testing.T) {
	g := NewWithT(t)
	v, err := Judge(saved)
	g.Expect(err).NotTo(HaveOccurred())
	for outcome, want := range map[bound.Outcome]string{
		bound.Reproduced:          `failures="0" errors="0"`,
		bound.UnexpectedViolation: `failures="5" errors="0"`,
		bound.HarnessFailed:       `failures="0" errors="10"`,
	} {
		v.Judgement.Outcome, v.ExitCode = outcome, outcome.ExitCode()
		out, err := v.junit()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(out)).To(ContainSubstring(want), "%s", outcome)
	}
}

func TestBrokenRunHasAVerdict(t *testing.T) {
	g := NewWithT(t)
	v, err := Judge(saved)
	g.Expect(err).NotTo(HaveOccurred())
	var text strings.Builder
	g.Expect(v.Broken(v.Run, errors.New("the engine is gone")).WriteText(&text)).To(Succeed())
	g.Expect(text.String()).To(And(ContainSubstring("not judged   connections-trend"), Not(ContainSubstring("  fail "))))
	for _, broken := range []Verdict{
		v.Broken(history.Header{}, errors.New("the engine is gone")),
		Verdict{}.Broken(v.Run, errors.New("the engine is gone")), // before there was a history
	} {
		g.Expect(broken.ExitCode).To(Equal(bound.ExitInfrastructure))
		g.Expect(broken.Judgement.Outcome).To(Equal(bound.HarnessFailed))
		g.Expect(broken.Run).To(Equal(v.Run))
		dir := t.TempDir()
		g.Expect(broken.Write(dir)).To(Succeed())
		summary, err := os.ReadFile(filepath.Join(dir, SummaryFile))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(summary)).To(ContainSubstring("infrastructure\n\nthe engine is gone"))
	}
}
