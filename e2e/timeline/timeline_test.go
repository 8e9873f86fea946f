package timeline

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestDraw(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct {
		outages []Outage
		want    string
	}{
		"planned, with a stagger and one that never returns": {
			outages: []Outage{{
				Title: "outage 1 of 1", Awaited: true, Notes: []string{"a note"},
				Nodes: []Node{
					{Name: "c-control-plane", Cut: true, Restored: 10 * s}, {Name: "c-worker", Cut: true, Restored: 12 * s},
					{Name: "c-worker2", Cut: true, Words: "never again"}, {Name: "c-worker3"},
				},
			}},
			want: `
outage 1 of 1
                0s                        10s   12s         all back
control-plane ━━X·························^░░░░░░░░░░░?░░░░░+━━
worker        ━━X·······························^░░░░░?░░░░░+━━
worker2       ━━X··············································  never again
worker3       ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
a note
`,
		},
		"cut again during the recovery": {
			outages: []Outage{{
				Title: "outages 1 to 3 of 4", Until: 7 * s,
				Nodes: []Node{{Name: "a", Cut: true, Restored: 2 * s}, {Name: "b", Cut: true, Restored: 2 * s}},
			}},
			want: `
outages 1 to 3 of 4
    0s          2s                              7s next cut
a ━━X···········^░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
b ━━X···········^░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
`,
		},
		"as executed": {
			outages: []Outage{{
				Title: "outage 1 of 1",
				Nodes: []Node{
					{Name: "x-a", Cut: true, Restored: 10794 * time.Millisecond, Back: 21123 * time.Millisecond, Words: "off 10.8s"},
					{Name: "x-b", Cut: true, Restored: 10894 * time.Millisecond, Back: 21123100 * time.Microsecond},
					{Name: "x-c", Cut: true, Restored: 11 * s, Words: "not seen to be back"},
				},
			}},
			want: `
outage 1 of 1
    0s                    10.8s                21.1s
a ━━X·····················^░░░░░░░░░░░░░░░░░░░░+━━  off 10.8s
b ━━X······················^░░░░░░░░░░░░░░░░░░░+━━
c ━━X·······················^░░░░░░░░░░░░░░░░░░░░░  not seen to be back
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Draw(test.outages)
			NewWithT(t).Expect(got).To(Equal(legend+"\n"+test.want), "drawn:\n%s", got)
			for _, line := range strings.Split(got, "\n") {
				NewWithT(t).Expect(len([]rune(line))).To(BeNumerically("<=", 100))
			}
		})
	}
}
