package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/profile"
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
			path, found := cause(growth)
			g.Expect(found).To(BeTrue())
			heap = append(heap, path.String())
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
	g.Expect(string(summary)).To(And(ContainSubstring("reproduced"), ContainSubstring("| connections-trend | fail |"), ContainSubstring("go tool pprof")))
	raw, err := os.ReadFile(filepath.Join(dir, VerdictFile))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(raw)).To(ContainSubstring(`"outcome": "reproduced"`))
	var text strings.Builder
	g.Expect(v.WriteText(&text)).To(Succeed())
	g.Expect(text.String()).To(HavePrefix("issue-9978 on Longhorn v1.7.2: REPRODUCED\n"))
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
