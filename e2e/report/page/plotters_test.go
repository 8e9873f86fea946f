package page

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"
	"gonum.org/v1/plot/vg"

	"blackout/e2e/history"
)

func TestEndLabelsStayAtTheirLines(t *testing.T) {
	const top = 94
	type ends []vg.Point
	same := slices.Repeat(ends{{X: 0, Y: 50}}, 10)
	var lives ends // side by side, each on the next one's
	for i := range 20 {
		lives = append(lives, vg.Point{X: vg.Length(16 * i), Y: 90})
	}
	for name, test := range map[string]struct {
		ends ends
		want []float64 // heights, from the lowest line up; nil for any
	}{
		"apart already":             {ends{{X: 0, Y: 10}, {X: 0, Y: 40}}, []float64{10, 40}},
		"elsewhere":                 {ends{{X: 0, Y: 40}, {X: 50, Y: 40}}, []float64{40, 40}},
		"on each other":             {ends{{X: 0, Y: 40}, {X: 5, Y: 41}}, []float64{40, 52}},
		"above the plot":            {ends{{X: 0, Y: 98}}, []float64{top}},
		"on each other at the top":  {ends{{X: 0, Y: 90}, {X: 0, Y: 91}}, []float64{82, 94}},
		"one left out is in no way": {append(same, vg.Point{X: 0, Y: 66}), []float64{50, 62, 74, 86}},
		"a staircase of lives":      {lives, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var labels []placed
			for i, end := range test.ends {
				labels = append(labels, placed{end, end.Y, endLabel{text: fmt.Sprint(i)}})
			}
			kept := apart(labels, top)
			var heights []float64
			for i, l := range kept {
				heights = append(heights, float64(l.Y))
				g.Expect(l.Y).To(BeNumerically("<=", top))
				g.Expect(max(l.Y-l.end, l.end-l.Y)).To(BeNumerically("<=", 2*textSize), "label %s is at its line", l.text)
				for _, other := range kept[:i] {
					if max(l.X-other.X, other.X-l.X) < 2*textSize {
						g.Expect(max(l.Y-other.Y, other.Y-l.Y)).To(BeNumerically(">=", textSize), "%s and %s", l.text, other.text)
					}
				}
			}
			if test.want != nil {
				g.Expect(heights).To(Equal(test.want))
			}
			g.Expect(len(kept)).To(BeNumerically(">", len(labels)/4))
		})
	}
}

func TestLimitsNameIsWithinThePlot(t *testing.T) {
	const name = "a-bound-with-quite-a-long-name"
	begins := regexp.MustCompile(`<text x="([0-9.-]+)"[^>]*>` + name)
	d := data(history.Run{Phases: []history.Phase{{Name: history.Steady, Start: at(0), End: at(600)}}})
	beginning := func(g Gomega, from, to float64) float64 {
		charts, err := d.draw([]chart{{limits: []limit{{point{from, 1}, point{to, 1}, name}}}}, narrowFormat)
		g.Expect(err).NotTo(HaveOccurred())
		found := begins.FindStringSubmatch(string(charts[0]))
		g.Expect(found).To(HaveLen(2))
		x, err := strconv.ParseFloat(found[1], 64)
		g.Expect(err).NotTo(HaveOccurred())
		return x
	}
	g := NewWithT(t)
	first := beginning(g, 0, 1)
	g.Expect(first).To(BeNumerically(">=", 0), "over its line and beyond it")
	g.Expect(beginning(g, 0, 10)).To(BeNumerically(">", first+50), "at the end of its line")
	g.Expect(beginning(g, 9, 10)).To(BeNumerically(">", first+50), "before its line")
}
