package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
)

func TestCountsMustBeExact(t *testing.T) {
	right := func() watchResult {
		return watchResult{Looks: 2, Last: map[string]float64{
			history.StateNew: 10, history.StatePending: 70, history.StateError: 10, history.StateCompleted: 10,
			history.Waiting: 80, history.AttachmentTickets: 70,
		}}
	}
	for name, test := range map[string]struct {
		change func(*watchResult)
		says   string
	}{
		"right":         {func(*watchResult) {}, ""},
		"one too few":   {func(r *watchResult) { r.Last[history.StatePending]-- }, "69 Pending were counted, and there are 70"},
		"one too many":  {func(r *watchResult) { r.Last[history.StateError]++ }, "11 Error were counted"},
		"lost a ticket": {func(r *watchResult) { r.Last[history.AttachmentTickets] = 0 }, "0 attachment-tickets were counted"},
		"saw nothing":   {func(r *watchResult) { r.Looks, r.Gaps = 0, []string{"backups: no answer"} }, "backups: no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			result := right()
			test.change(&result)
			if err := result.check(100); test.says == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(test.says)))
			}
		})
	}
}

func TestPowerTellsLeaksFromNoise(t *testing.T) {
	for _, l := range leaks {
		g := NewWithT(t)
		none, err := l.rate(0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(none).To(BeNumerically("<", 0.05), "%s: found where none is", l.series)
		known, err := l.rate(l.known)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(known).To(Equal(1.0), "%s: what v1.7.2 leaks", l.series)
	}
}

func TestStretchRepeatsTheSteadyPhase(t *testing.T) {
	g := NewWithT(t)
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(minute float64) time.Time { return began.Add(time.Duration(minute * float64(time.Minute))) }
	run := history.Run{Header: history.Header{Started: began}, Phases: []history.Phase{
		{Name: history.Baseline, Start: at(0), End: at(1)}, {Name: history.Steady, Start: at(1), End: at(3)},
	}}
	for _, minute := range []float64{0, 1, 2} {
		run.Samples = append(run.Samples, history.Sample{Time: at(minute)})
	}
	long, err := stretch(run, 7*time.Minute)
	g.Expect(err).NotTo(HaveOccurred())
	var times []time.Time
	for _, s := range long.Samples {
		times = append(times, s.Time)
	}
	g.Expect(times).To(Equal([]time.Time{at(0), at(1), at(2), at(3), at(4), at(5), at(6)}))
	g.Expect(long.Windows(history.Steady)[0].End).To(Equal(at(7)))
	run.Phases[1].End = time.Time{}
	_, err = stretch(run, time.Hour)
	g.Expect(err).To(MatchError(ContainSubstring("want one that has an end")))
}

func TestRatioIsOfTheSameTurn(t *testing.T) {
	// The machine is ten times as slow from the second turn on, and then for the bare client only.
	NewWithT(t).Expect(medianRatio([]float64{90, 20, 9}, []float64{100, 10, 10})).To(BeNumerically("~", 0.9))
}

func TestHighWater(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "status")
	g.Expect(os.WriteFile(path, []byte("Name:\tx\nVmHWM:\t   2048 kB\n"), 0o600)).To(Succeed())
	g.Expect(highWater(path)).To(BeEquivalentTo(2 * mebi))
	g.Expect(os.WriteFile(path, []byte("Name:\tx\n"), 0o600)).To(Succeed())
	_, err := highWater(path)
	g.Expect(err).To(MatchError(ContainSubstring("VmHWM")))
}

func TestTableSaysWhatIsMissing(t *testing.T) {
	g := NewWithT(t)
	var b table
	b.add("a", "1", "2", 0.95, atLeast(0.9))
	b.add("b", "1", "2", 1.2, atMost(1))
	b.notRun("c", os.ErrNotExist)
	b.add("d", "1", "2", 3, anything)
	var out strings.Builder
	g.Expect(b.print(&out)).To(Succeed())
	g.Expect(out.String()).To(And(ContainSubstring(">= 0.90: reached"), ContainSubstring("<= 1.00: MISSED"), ContainSubstring("NOT RUN: file does not exist"),
		HaveSuffix("bench: 1 goals reached, 1 missed, 1 not run\n")))
}
