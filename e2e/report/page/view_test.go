package page

import (
	"bytes"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// The headline goes with the outcome, whatever the verdict that it comes from.
func TestHeadlineGoesWithTheOutcome(t *testing.T) {
	const circle, octagon, diamond, triangle, tick, cross = `<circle `, `d="M8 2h8l6 6`, `d="M12 1.5L`, `d="M12 2.5L`, `d="M7 12.5l`, `d="M8 8l8 8M`
	for outcome, test := range map[bound.Outcome]struct {
		class  string
		shapes []string
	}{
		bound.AsExpected:          {"pass", []string{circle, tick}},
		bound.Reproduced:          {"reproduced", []string{octagon, tick}},
		bound.NotReproduced:       {"fail", []string{octagon, cross}},
		bound.AnotherReason:       {"fail", []string{octagon, cross}},
		bound.UnexpectedViolation: {"fail", []string{octagon, cross}},
		bound.Undecided:           {"inconclusive", []string{diamond}},
		bound.HarnessFailed:       {"infrastructure", []string{triangle}},
	} {
		for _, verdict := range []bound.Verdict{bound.Pass, bound.Fail, bound.Inconclusive} {
			t.Run(string(outcome)+" from "+string(verdict), func(t *testing.T) {
				g := NewWithT(t)
				d := data(history.Run{})
				d.Judgement = bound.Judgement{Verdict: verdict, Outcome: outcome}
				var page bytes.Buffer
				g.Expect(Write(&page, d)).To(Succeed())
				head, _, _ := bytes.Cut(page.Bytes(), []byte("</header>"))
				g.Expect(head).To(ContainSubstring(`<header class="card verdict ` + test.class + `">`))
				for _, shape := range test.shapes {
					g.Expect(head).To(ContainSubstring(shape))
				}
			})
		}
	}
}

func TestWhatWasPlannedIsSaidWhole(t *testing.T) {
	g := NewWithT(t)
	d := data(history.Run{})
	d.Scenario = scenario.Scenario{Name: "s", Outage: scenario.Outage{Nodes: scenario.AllNodes, Duration: scenario.Duration{Duration: 10 * time.Second}, Repeats: 20}}
	g.Expect(d.facts()).To(ContainElement(And(HaveField("Name", "outage"), HaveField("Value", HavePrefix("all for 10s, 20 times, power returns ")))))
	d.Scenario.Outage.Repeats = 1
	g.Expect(d.facts()).To(ContainElement(HaveField("Value", HavePrefix("all for 10s, power returns "))))

	d.Scenario.Bounds = []scenario.Bound{{Name: "b", Kind: scenario.Recovered, Within: scenario.Duration{Duration: 5 * time.Minute}}}
	g.Expect(d.within()).To(HaveExactElements(HaveField("Text", "every step up to volumes-healthy within 5m")))
}
