package run

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster/existing"
)

func TestCleanTellsOfNodesThatItCannotRepower(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	g.Expect(h.cutElsewhere()).To(Succeed())
	dir := filepath.Join(h.Workspace.Foreign(), "uid")
	g.Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
	g.Expect(h.cutElsewhere()).To(Succeed(), "none is cut")
	g.Expect(os.WriteFile(filepath.Join(dir, existing.RecordFile), []byte("{}"), 0o600)).To(Succeed())
	g.Expect(h.cutElsewhere()).To(MatchError(ContainSubstring("blackout repower")))
}
