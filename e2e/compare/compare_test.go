package compare

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"

	"blackout/e2e/history"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

func several(of func(id string, leak float64) variant, name string, leaks ...float64) (all []variant) {
	for i, leak := range leaks {
		all = append(all, of(fmt.Sprintf("%s-%d", name, i), leak))
	}
	return all
}

func repaired(id string, _ float64) variant { return fixed(id) }

func bounds(c Comparison) map[string]Word {
	said := map[string]Word{}
	for _, b := range c.Bounds {
		said[b.Name] = b.Says
	}
	return said
}

func TestAFixIsBetterAndItsReverseWorse(t *testing.T) {
	g := NewWithT(t)
	before, after := sets(t, several(leaking, "a", 0.8, 1, 1.2), several(repaired, "b", 0, 0, 0))
	c, err := Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Verdict).To(Equal(Better), c.Reason)
	g.Expect(c.ExitCode).To(Equal(0))
	g.Expect(c.Reason).To(ContainSubstring("connections-trend, goroutines-growth, callback-serializers-ceiling, drain (violated in 3 of 3 baseline and in 0 of 3 candidate runs)"))
	g.Expect(bounds(c)).To(And(HaveKeyWithValue("connections-trend", Better), HaveKeyWithValue("drain", Better), HaveKeyWithValue("restarts", Same)))
	g.Expect(c.Notes).To(ContainElement(ContainSubstring("3 + 3 runs cannot give a p below 0.1")))
	g.Expect(c.Notes).To(ContainElement(ContainSubstring("in at most 3.1 % of comparisons")))

	c, err = Sets([]string{after}, []string{before}, Options{Tolerance: DefaultTolerance})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Verdict).To(Equal(Worse), c.Reason)
	g.Expect(c.ExitCode).To(Equal(1))
}

func TestSameIsEarned(t *testing.T) {
	g := NewWithT(t)
	c := compared(t, several(leaking, "a", 0.9, 1, 1.1), several(leaking, "b", 0.92, 1.05, 1.12))
	g.Expect(c.Verdict).To(Equal(Same), c.Reason)
	g.Expect(c.ExitCode).To(Equal(0))

	// The same medians, but so far apart that nobody can tell.
	c = compared(t, several(leaking, "a", 0.4, 1, 2), several(leaking, "b", 0.5, 1, 1.9))
	g.Expect(c.Verdict).To(Equal(CannotTell), c.Reason)
	g.Expect(c.ExitCode).To(Equal(2))
	g.Expect(c.Reason).To(ContainSubstring("connections-trend"))
}

// Both violate the same bounds, but twice as much leaks: six runs of each say so,
// three cannot.
func TestMoreOfTheSameViolationIsWorse(t *testing.T) {
	g := NewWithT(t)
	roomy := func(id string, leak float64) variant {
		v := leaking(id, leak)
		v.scenario = func(s *scenario.Scenario) { // with ceilings that both stay under
			for i, b := range s.Bounds {
				if b.Series == history.LiveHeap || b.Series == history.RSS {
					s.Bounds[i].Max = resource.MustParse("4Gi")
				}
			}
		}
		return v
	}
	once, twice := []float64{0.95, 0.97, 0.99, 1.01, 1.03, 1.05}, []float64{1.95, 1.97, 1.99, 2.01, 2.03, 2.05}
	c := compared(t, several(roomy, "a", once...), several(roomy, "b", twice...))
	g.Expect(c.Verdict).To(Equal(Worse), c.Reason)
	g.Expect(bounds(c)).To(HaveKeyWithValue("connections-trend", Worse))
	c = compared(t, several(roomy, "a", once[:3]...), several(roomy, "b", twice[:3]...))
	g.Expect(c.Verdict).To(Equal(CannotTell), c.Reason)
}

func TestRunsThatSayNothingAreListedAndNotCounted(t *testing.T) {
	for broken, want := range map[string]string{
		"infrastructure": "infrastructure: the disk is full",
		"torn":           "its history is torn at ",
		"open":           "the run ended before its steady phase did",
		"sparse":         "inconclusive: not enough was seen",
		"no history":     "it has no history",
	} {
		g := NewWithT(t)
		bad := fixed("bad")
		bad.broken = broken
		r, err := readRun(bad.write(t, t.TempDir()), nil)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(r.Excluded).To(HavePrefix(want))
	}
	g := NewWithT(t)
	bad := fixed("bad")
	bad.broken = "infrastructure"
	before, after := sets(t, several(leaking, "a", 0.9, 1, 1.1), append(several(repaired, "b", 0, 0), bad))
	c, err := Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Verdict).To(Equal(CannotTell), c.Reason)
	g.Expect(c.Reason).To(Equal("2 of 3 candidate runs count, and a verdict needs 3 of each"))
	g.Expect(c.Notes).To(ContainElement(And(ContainSubstring("not counted: candidate run"), ContainSubstring("the disk is full"))))
	fixed("another").write(t, after)
	c, err = Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Verdict).To(Equal(Better), "three others remain: %s", c.Reason)
	g.Expect(c.Notes).To(ContainElement(ContainSubstring("not counted")))
}

func TestWhatCannotBeCompared(t *testing.T) {
	one, other := leaking("a", 1), fixed("b")
	named := func(v variant, change func(*scenario.Scenario)) variant { v.scenario = change; return v }
	for name, test := range map[string]struct {
		before, after []variant
		want          string
	}{
		"another scenario": {[]variant{one}, []variant{named(other, func(s *scenario.Scenario) { s.Name = "smoke" })}, "is a run of scenario issue-9978, "},
		"another size":     {[]variant{one}, []variant{named(other, func(s *scenario.Scenario) { s.Backlog.Count = 200 })}, "has a backlog of 240 backups, "},
		"other bounds": {[]variant{one}, []variant{named(other, func(s *scenario.Scenario) { s.Bounds[0].Max = resource.MustParse("7") })},
			"judge both by today's with --scenario FILE"},
		"one run twice":         {[]variant{one}, []variant{one}, "are the same run, a: name each once"},
		"two versions in a set": {[]variant{one, other}, []variant{leaking("c", 1)}, "the baseline has runs of Longhorn v1.7.2 and of v1.8.1"},
		"nothing":               {nil, []variant{other}, "is no run's directory (it has no scenario.yaml) and holds none"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := sets(t, test.before, test.after)
			_, err := Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance})
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
	g := NewWithT(t)
	_, err := Sets(nil, []string{demo}, Options{Tolerance: DefaultTolerance})
	g.Expect(err).To(MatchError(ContainSubstring("no baseline")))
	_, err = Sets([]string{demo}, []string{demo}, Options{Tolerance: 1})
	g.Expect(err).To(MatchError(ContainSubstring("a tolerance of 1")))
	_, err = Sets([]string{filepath.Join(demo, "nowhere")}, []string{demo}, Options{Tolerance: DefaultTolerance})
	g.Expect(err).To(MatchError(os.ErrNotExist))
}

func TestDamagedRunsAreErrors(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(dir string) error
		want   string
	}{
		"a line that is none": {func(dir string) error {
			return edit(dir, report.HistoryFile, func(text string) string { return strings.Replace(text, "\n", "\n{\"kind\":", 1) })
		}, "history.jsonl:2: "},
		"another version of the format": {func(dir string) error {
			return edit(dir, report.HistoryFile, func(text string) string { return strings.Replace(text, `"version":1`, `"version":9`, 1) })
		}, "history.jsonl:1: not this program's: version 9 of the format, this program reads version 1"},
		"a scenario with a slip": {func(dir string) error {
			return edit(dir, report.ScenarioFile, func(text string) string { return strings.Replace(text, "\nseed:", "\nsede:", 1) })
		}, "scenario.yaml:"},
		"a record that is none": {func(dir string) error {
			return edit(dir, report.LabFile, func(string) string { return "{" })
		}, "lab.json: unexpected end of JSON input"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before, after := sets(t, []variant{leaking("a", 1)}, []variant{fixed("b")})
			g.Expect(test.damage(filepath.Join(after, "b"))).To(Succeed())
			_, err := Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance})
			g.Expect(err).To(MatchError(And(ContainSubstring("candidate run "+after), ContainSubstring(test.want))))
		})
	}
}

func edit(dir, file string, change func(string) string) error {
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(change(string(text))), 0o600)
}

func TestDifferencesAreTold(t *testing.T) {
	g := NewWithT(t)
	other := fixed("b")
	other.seed, other.memory = 7, 2
	other.scenario = func(s *scenario.Scenario) { s.Cluster.Workers, s.Description = 3, "about something else" }
	before, after := sets(t, []variant{leaking("a", 1)}, []variant{other})
	g.Expect(edit(filepath.Join(after, "b"), report.LabFile, func(text string) string {
		return strings.Replace(text, `"version": "v1.6.0-rc2"`, `"version": "v1.8.1"`, 1)
	})).To(Succeed())
	c, err := Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Notes).To(ContainElements(
		ContainSubstring("differ in the scenario's cluster"), ContainSubstring("not paired: the baseline has the seeds [9978], the candidate [7]"),
		ContainSubstring("longhorn-instance-manager: the baseline ran v1.6.0-rc2 (module 9681502bc32877d7), the candidate v1.8.1"),
		ContainSubstring("other machines: nodes have between")))
	g.Expect(strings.Join(c.Notes, "\n")).NotTo(Or(ContainSubstring("description"), ContainSubstring("longhorn-manager:")))

	g.Expect(os.Remove(filepath.Join(after, "b", report.LabFile))).To(Succeed())
	c, err = Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Notes).To(ContainElement(ContainSubstring("1 runs have no lab.json")))
}

// Runs that were saved with other bounds are compared by today's.
func TestTodaysBounds(t *testing.T) {
	g := NewWithT(t)
	old := several(leaking, "a", 0.9, 1, 1.1)
	for i := range old {
		old[i].scenario = func(s *scenario.Scenario) { s.Bounds, s.Expect = s.Bounds[:1], nil }
	}
	before, after := sets(t, old, several(repaired, "b", 0, 0, 0))
	today, err := report.ReadScenario(filepath.Join(demo, report.ScenarioFile))
	g.Expect(err).NotTo(HaveOccurred())
	c, err := Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance, Scenario: &today})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Verdict).To(Equal(Better), c.Reason)
	g.Expect(c.Bounds).To(HaveLen(len(today.Bounds)))
	today.Name = "smoke"
	_, err = Sets([]string{before}, []string{after}, Options{Tolerance: DefaultTolerance, Scenario: &today})
	g.Expect(err).To(MatchError(ContainSubstring("not of smoke")))
}

func TestComparisonIsWritten(t *testing.T) {
	g := NewWithT(t)
	c := compared(t, several(leaking, "a", 0.9, 1, 1.1), several(repaired, "b", 0, 0, 0))
	dir := filepath.Join(t.TempDir(), "new")
	g.Expect(c.Write(dir)).To(Succeed())
	raw, err := os.ReadFile(filepath.Join(dir, JSONFile))
	g.Expect(err).NotTo(HaveOccurred())
	var back Comparison
	g.Expect(json.Unmarshal(raw, &back)).To(Succeed())
	g.Expect(back.Verdict).To(Equal(Better))
	g.Expect(back.Bounds).To(Equal(c.Bounds))
	markdown, err := os.ReadFile(filepath.Join(dir, MarkdownFile))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(markdown)).To(And(
		HavePrefix("# issue-9978: candidate v1.8.1 (3 of 3 runs) over baseline v1.7.2 (3 of 3 runs): better\n"),
		ContainSubstring("| connections-trend | 5/min | violated in 3 of 3, "), ContainSubstring("| recovery: backlog-drained | in 0 of 3 | in 3 of 3 |"),
		ContainSubstring("| candidate | "+c.Candidate.Runs[0].Dir+" | v1.8.1 | 9978 | as expected |  | yes |")))
	var text strings.Builder
	g.Expect(c.WriteText(&text)).To(Succeed())
	lines := strings.Split(text.String(), "\n")
	g.Expect(lines[0]).To(HavePrefix("issue-9978: candidate v1.8.1 (3 of 3 runs) over baseline v1.7.2 (3 of 3 runs): BETTER (by "))
	at := strings.Index(lines[1], "candidate is")
	g.Expect(at).To(BeNumerically(">", 0))
	for _, line := range lines[2 : 2+len(c.Bounds)] {
		g.Expect(line[at:]).To(BeElementOf("better", "same", "cannot tell"), "columns are aligned")
	}
	for _, m := range c.Measures {
		if m.Name == "connections, growth of all managers" {
			g.Expect(m.Difference.Baseline.Median).To(BeNumerically("~", 430, 100))
			g.Expect(m.Difference.Candidate.Values).To(Equal([]float64{0, 0, 0}))
		}
	}
}
