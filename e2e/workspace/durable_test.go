package workspace

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestReplace(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "new", "file")
	for _, content := range []string{"one", "another", ""} {
		g.Expect(Replace(path, []byte(content))).To(Succeed())
		g.Expect(os.ReadFile(path)).To(BeEquivalentTo(content))
	}
	g.Expect(os.ReadDir(filepath.Dir(path))).To(HaveLen(1), "and nothing beside it")

	g.Expect(os.Remove(path)).To(Succeed())
	g.Expect(os.Mkdir(path, dirMode)).To(Succeed())
	g.Expect(Replace(path, nil)).To(MatchError(And(ContainSubstring(path), ContainSubstring("see who may write there"))))
}
