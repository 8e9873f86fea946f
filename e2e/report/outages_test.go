package report

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
)

// twice is a run whose power is lost again during the recovery, and whose worker2
// gets none the second time.
func twice() history.Run {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var run history.Run
	add := func(after time.Duration, kind history.EventKind, subject string, fields ...string) {
		e := history.Event{Time: start.Add(after), Kind: kind, Subject: subject, Fields: map[string]string{}}
		for i := 0; i+1 < len(fields); i += 2 {
			e.Fields[fields[i]] = fields[i+1]
		}
		run.Events = append(run.Events, e)
	}
	const s, ms = time.Second, time.Millisecond
	nodes := []string{"c-control-plane", "c-worker", "c-worker2"}
	cut := func(at time.Duration) {
		for _, node := range nodes {
			add(at, history.Cut, node)
		}
		for i, node := range nodes {
			add(at+time.Duration(i)*ms, history.Dead, node)
		}
		add(at+s, history.CutDone, "", "skew", "2.134ms", "unsynced", "drop", "evidence", "frozen")
	}
	back := func(at time.Duration, node string, replayed bool) {
		add(at, history.DiskReturned, node, "path", "/var/lib/longhorn", "filesystem", "ext4", "replayed", strconv.FormatBool(replayed), "outcome", "clean")
		add(at, history.Restored, node)
	}
	cut(0)
	for i, node := range nodes {
		back(2*s+time.Duration(i)*s, node, true)
	}
	add(8*s, history.Back, nodes[1], "address", "10.0.0.3")
	add(9*s, history.NotRecovered, history.StepNodes, "error", "cut again before all were back: no report")
	cut(9 * s)
	back(19*s, nodes[0], true)
	back(19*s+500*ms, nodes[1], false)
	add(30*s, history.Back, nodes[0], "address", "10.0.0.2")
	add(40*s, history.Back, nodes[1], "address", "10.0.0.4", "moved", "10.0.0.3")
	run.Samples = []history.Sample{{Incarnation: history.Incarnation{Node: "c-worker3"}}}
	return run
}

func TestOutagesAreDrawnAsCarriedOut(t *testing.T) {
	g := NewWithT(t)
	v := Verdict{Outages: outages(twice())}
	var text strings.Builder
	v.markdown(&text, "")
	_, after, found := strings.Cut(text.String(), "\n## Timeline\n\n```text\n")
	g.Expect(found).To(BeTrue())
	got, _, _ := strings.Cut(after, "```")
	_, got, _ = strings.Cut(got, "\n") // the legend
	g.Expect(got).To(Equal(`
outage 1 of 2 at 03:04:05
3 nodes cut within 2.1ms, unsynced writes dropped, 3 of 3 disks replayed a journal
                0s       2s   3s   4s                  8s   9s next cut
control-plane ━━X········^░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  off 2s, not seen to be back
worker        ━━X·············^░░░░░░░░░░░░░░░░░░░░░░░░+━━━━━━━  off 3s, back 5s later
worker2       ━━X··················^░░░░░░░░░░░░░░░░░░░░░░░░░░░  off 4s, not seen to be back
worker3       ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
not recovered: cut again before all were back: no report

outage 2 of 2 at 03:04:14
3 nodes cut within 2.1ms, unsynced writes dropped, 1 of 2 disks replayed a journal, 1 got no power back
                0s            10s            21s            31s
control-plane ━━X·············^░░░░░░░░░░░░░░+━━━━━━━━━━━━━━━━━  off 10s, back 11s later
worker        ━━X··············^░░░░░░░░░░░░░░░░░░░░░░░░░░░░+━━  off 10.5s, back 20.5s later, now 10.0.0.4
worker2       ━━X··············································  got no power back
worker3       ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
no journal replayed: /var/lib/longhorn of c-worker: clean
`), "drawn:\n%s", got)
}

func TestOutageIsToldInOneLine(t *testing.T) {
	g := NewWithT(t)
	all := outages(twice())
	g.Expect(all[0].String()).To(Equal("3 nodes cut within 2.1ms, unsynced writes dropped, 3 of 3 disks replayed a journal"))
	var text strings.Builder
	g.Expect(Verdict{Outages: all}.WriteText(&text)).To(Succeed())
	g.Expect(text.String()).To(ContainSubstring(
		"  outage       2 of 2: 3 nodes cut within 2.1ms, unsynced writes dropped, 1 of 2 disks replayed a journal, 1 got no power back\n"))
	raw, err := json.Marshal(all[1])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(raw)).To(And(ContainSubstring(`"skew":"2.134ms"`), ContainSubstring(`"others":["c-worker3"]`),
		ContainSubstring(`"moved":"10.0.0.3"`), Not(ContainSubstring("0001-01-01"))))
}

// What was not recorded yet is not made up.
func TestOutageOfAnOldRun(t *testing.T) {
	g := NewWithT(t)
	v, err := Judge(saved)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Outages).To(HaveLen(1))
	g.Expect(v.Outages[0].String()).To(Equal("3 nodes cut"))
	g.Expect(v.Outages[0].Nodes[2].words()).To(Equal("off 10.4s, back 10.3s later"))
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 43 * time.Microsecond: "43µs", 2134 * time.Microsecond: "2.1ms", 145 * time.Millisecond: "145ms",
		10794 * time.Millisecond: "10.8s", 75233 * time.Millisecond: "1m15.2s",
	} {
		NewWithT(t).Expect(short(d)).To(Equal(want))
	}
}
