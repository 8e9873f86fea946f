package page

import (
	"fmt"
	"math"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
	"blackout/e2e/scenario"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(second int) time.Time { return began.Add(time.Duration(second) * time.Second) }

var manager = history.Incarnation{Pod: "longhorn-manager-abcde", UID: "u", Container: "longhorn-manager", Node: "c-r1-worker"}

// every is a sample of goroutines at each of these seconds, their value.
func every(life history.Incarnation, seconds ...int) (samples []history.Sample) {
	for _, s := range seconds {
		samples = append(samples, history.Sample{Time: at(s), Probe: "pprof", Series: history.Goroutines, Subject: history.ManagerSubject, Incarnation: life, Value: float64(s)})
	}
	return samples
}

func data(run history.Run) Data {
	run.Header = history.Header{Version: history.Version, Run: "r1", Started: began}
	return Data{Run: run, Amount: func(v float64, _ history.Unit) string { return fmt.Sprint(v) }}
}

// shape is how many points each part of each line has.
func shape(lines []line) (all [][]int) {
	for _, l := range lines {
		var parts []int
		for _, p := range l.parts {
			parts = append(parts, len(p))
		}
		all = append(all, parts)
	}
	return all
}

func TestLinesAreBrokenWhereNothingCouldBeSeen(t *testing.T) {
	other := manager
	other.Pod = "longhorn-manager-zzzzz"
	gap := func(probe, subject string, from, to int) history.Gap {
		return history.Gap{Probe: probe, Subject: subject, From: at(from), To: at(to)}
	}
	for name, test := range map[string]struct {
		samples []history.Sample
		gaps    []history.Gap
		want    [][]int
	}{
		"whole":                      {every(manager, 0, 5, 10, 15), nil, [][]int{{4}}},
		"one lost look is no gap":    {every(manager, 0, 5, 15, 20), nil, [][]int{{4}}},
		"silence":                    {every(manager, 0, 5, 10, 40, 45), nil, [][]int{{3, 2}}},
		"a gap of the probe":         {every(manager, 0, 5, 15, 20), []history.Gap{gap("pprof", "", 5, 15)}, [][]int{{2, 2}}},
		"a gap of its pod":           {every(manager, 0, 5, 15, 20), []history.Gap{gap("pprof", "longhorn-manager/"+manager.Pod, 5, 15)}, [][]int{{2, 2}}},
		"a gap of another pod":       {every(manager, 0, 5, 15, 20), []history.Gap{gap("pprof", "longhorn-manager/"+other.Pod, 5, 15)}, [][]int{{4}}},
		"a gap of another probe":     {every(manager, 0, 5, 15, 20), []history.Gap{gap("census", "", 5, 15)}, [][]int{{4}}},
		"the edge of a gap":          {every(manager, 0, 5, 10, 15), []history.Gap{{Probe: "pprof", From: at(-10), To: at(0).Add(time.Millisecond)}}, [][]int{{4}}},
		"from before the run":        {every(manager, -10, 0, 5), nil, [][]int{{2}}},
		"a life each":                {append(every(manager, 0, 5), every(other, 10, 15)...), nil, [][]int{{2}, {2}}},
		"a single sample stays seen": {every(manager, 7), nil, [][]int{{1}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lines, legend := data(history.Run{Samples: test.samples, Gaps: test.gaps}).lines(history.Goroutines, history.ManagerSubject)
			g.Expect(shape(lines)).To(Equal(test.want))
			g.Expect(legend).To(HaveLen(1), "one node")
			g.Expect(legend[0].Name).To(HavePrefix("worker "))
		})
	}
}

func TestThinnedKeepsPeaks(t *testing.T) {
	g := NewWithT(t)
	const n, kept = 10000, 300
	points := make([]point, n)
	for i := range points {
		points[i] = point{float64(i), math.Sin(float64(i))}
	}
	points[4321].Y, points[8765].Y = 99, -99
	thin := thinned(points, kept)
	g.Expect(len(thin)).To(And(BeNumerically("<=", kept+2), BeNumerically(">", kept/2)))
	g.Expect(thin).To(ContainElements(points[0], points[4321], points[8765], points[n-1]))
	for i := 1; i < len(thin); i++ {
		g.Expect(thin[i].X).To(BeNumerically(">", thin[i-1].X), "in order, none twice")
	}
	g.Expect(thinned(points[:kept], kept)).To(Equal(points[:kept]), "few are left alone")
}

func TestLimitsAreWhatTheBoundsAllow(t *testing.T) {
	steady := make([]int, bound.TrendFloor)
	for i := range steady {
		steady[i] = 60 + 5*i
	}
	run := history.Run{
		Phases: []history.Phase{
			{Name: history.Baseline, Start: at(0), End: at(30)},
			{Name: history.Outage, Start: at(30), End: at(60)},
			{Name: history.Steady, Start: at(60), End: at(120)},
		},
		Samples: append(every(manager, 0, 5, 10, 15, 20), every(manager, steady...)...),
		Events:  []history.Event{{Time: at(60), Kind: history.Restored, Subject: manager.Node}},
	}
	minute := func(s int) float64 { return float64(s) / 60 }
	b := func(kind scenario.BoundKind, phases ...string) scenario.Bound {
		bound := scenario.Bound{Name: "b", Kind: kind, Series: history.Goroutines, Subject: history.ManagerSubject, Phases: phases}
		bound.Max.Set(6)
		return bound
	}
	settle := b(scenario.Settle)
	settle.Within.Duration = 30 * time.Second
	reached := b(scenario.Reached, "steady")
	reached.Min.Set(100)
	few := b(scenario.Growth)
	few.Subject = history.InstanceManagerSubject
	for name, test := range map[string]struct {
		bound scenario.Bound
		want  []limit
		words string
	}{
		"ceiling, all phases": {b(scenario.Ceiling), []limit{{point{0, 6}, point{minute(120), 6}, "b"}}, "at most 6"},
		"ceiling, apart": {b(scenario.Ceiling, "baseline", "steady"), []limit{
			{point{0, 6}, point{minute(30), 6}, ""}, {point{minute(60), 6}, point{minute(120), 6}, "b"}}, "at most 6"},
		"reached":                       {reached, []limit{{point{minute(60), 100}, point{minute(120), 100}, "b"}}, "at least 100 at some time"},
		"growth, over the median of 10": {b(scenario.Growth), []limit{{point{minute(30), 16}, point{minute(120), 16}, "b"}}, "drawn for each node"},
		"growth, none of its phases":    {b(scenario.Growth, "recovery"), nil, "not drawn: none of its phases began"},
		"growth, no baseline":           {few, nil, "not drawn: the baseline of no node has enough samples"},
		"trend, from the first sample":  {b(scenario.Trend), []limit{{point{1, 60}, point{minute(115), 60 + 6*minute(55)}, "b"}}, "drawn from where each line enters"},
		"trend, too few samples":        {b(scenario.Trend, "baseline"), nil, "not drawn: no line has enough samples"},
		"settle":                        {settle, []limit{{point{minute(90), 6}, point{minute(120), 6}, "b"}}, "at most 6 from 30s after the last restore on"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := data(run)
			d.Scenario.Bounds = []scenario.Bound{test.bound}
			d.Judgement.Results = []bound.Result{{Bound: "b", Verdict: bound.Fail}}
			limits, named := d.limits(history.Goroutines, []string{test.bound.Subject})
			g.Expect(limits).To(HaveLen(len(test.want)))
			for i, l := range limits {
				g.Expect(l.label).To(Equal(test.want[i].label))
				for got, want := range map[float64]float64{l.from.X: test.want[i].from.X, l.from.Y: test.want[i].from.Y, l.to.X: test.want[i].to.X, l.to.Y: test.want[i].to.Y} {
					g.Expect(got).To(BeNumerically("~", want, 1e-9))
				}
			}
			g.Expect(named).To(HaveLen(1))
			g.Expect(named[0].Told).To(Equal("fail"))
			g.Expect(named[0].Text).To(ContainSubstring(test.words))
			_, elsewhere := d.limits(history.Goroutines, []string{"another"})
			g.Expect(elsewhere).To(BeEmpty(), "it says nothing of others")
		})
	}
}

func TestIcicleIsAsWideAsWhatGrew(t *testing.T) {
	g := NewWithT(t)
	leaf := func(name string, growth int64) profile.Frame { return profile.Frame{Function: name, Growth: growth} }
	deep := leaf("x/deep.f", 10)
	for range deepest + 5 {
		deep = profile.Frame{Function: "x/deep.f", Growth: 10, Children: []profile.Frame{deep}}
	}
	tree := profile.Frame{Growth: 1000, Children: []profile.Frame{
		{Function: "a/b.run", Growth: 600, Children: []profile.Frame{leaf("a/b.left", 400), leaf("a/b.right", 100)}},
		leaf("c.other", 387), deep, leaf("c.tiny", 3),
	}}
	d := data(history.Run{})
	grown := func(net int64) Growth {
		return Growth{Growth: profile.Growth{Kind: profile.Heap, After: net, Gross: 1000, Tree: tree, Paths: []profile.Path{{Functions: []string{"a/b.run"}, Growth: 600, Share: 0.6}}}}
	}
	d.Growths = []Growth{grown(500), grown(1000), grown(-5)}
	all := d.icicles()
	g.Expect(all).To(HaveLen(2), "what shrank is not shown")
	g.Expect(all[0].Frames).To(BeEmpty(), "only the largest is drawn")
	g.Expect(all[0].Gross).To(Equal("1000"), "what its shares are of")
	g.Expect(all[1].Gross).To(BeEmpty(), "the same as its title says")
	boxes := map[string]frameBox{}
	for _, f := range all[1].Frames {
		boxes[f.Full] = f
		g.Expect(f.X + f.Width).To(BeNumerically("<=", 100.001))
	}
	g.Expect(boxes["a/b.run"]).To(And(HaveField("X", 0.0), HaveField("Width", 60.0), HaveField("Y", 0), HaveField("Name", "b.run")))
	g.Expect(boxes["a/b.right"]).To(And(HaveField("X", 40.0), HaveField("Width", 10.0), HaveField("Y", frameHeight)))
	g.Expect(boxes["c.other"]).To(HaveField("X", 60.0))
	g.Expect(boxes["x/deep.f"]).To(HaveField("Name", ""), "no room for it")
	g.Expect(boxes).NotTo(HaveKey("c.tiny"))
	g.Expect(all[1].Height).To(Equal(deepest * frameHeight))
	g.Expect(all[1].Hidden).To(Equal(6))
}

func TestRecoveryIsSplitByTime(t *testing.T) {
	g := NewWithT(t)
	parts := split([]Step{
		{Name: "late", Seen: true, Elapsed: 40 * time.Second}, {Name: "early", Seen: true, Elapsed: 10 * time.Second},
		{Name: "never", Evidence: "not seen: why"}, {Name: "neither", Evidence: "not seen: why"},
	})
	g.Expect(parts).To(HaveLen(4))
	g.Expect(parts[0]).To(And(HaveField("Name", "early"), HaveField("Share", 25.0), HaveField("Took", "10s")))
	g.Expect(parts[1]).To(And(HaveField("Name", "late"), HaveField("Share", 75.0), HaveField("Took", "30s"), HaveField("At", "40s")))
	g.Expect(parts[2]).To(And(HaveField("Seen", false), HaveField("Share", 0.0), HaveField("Why", "why")))
	g.Expect(parts[3]).To(HaveField("Why", "for the same reason"))
}

func TestTicksAreRoundAndFew(t *testing.T) {
	for _, high := range []float64{0.05, 0.4, 1, 6.2, 59, 480, 10000} {
		g := NewWithT(t)
		minutes := minuteTicks(narrowFormat.labels).Ticks(0, high)
		g.Expect(len(minutes)).To(And(BeNumerically(">=", 1), BeNumerically("<=", narrowFormat.labels+1)), "%v minutes", high)
		values := valueTicks{" MiB"}.Ticks(0, high)
		g.Expect(len(values)).To(And(BeNumerically(">=", 2), BeNumerically("<=", 4)), "values to %v", high)
		g.Expect(values[0].Label).To(Equal("0"))
		g.Expect(values[len(values)-1].Value).To(BeNumerically("<=", high))
	}
}
