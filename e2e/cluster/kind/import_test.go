package kind

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/engine"
)

func TestImportGivesEveryNodeTheWholeArchive(t *testing.T) {
	g := NewWithT(t)
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$3\" != full ] || { echo no space >&2; exit 1; }\necho \"$*\" >%[1]s/$3.args\n/bin/cat >%[1]s/$3.in\n", bin)
	g.Expect(os.WriteFile(filepath.Join(bin, "docker"), []byte(script), 0o755)).To(Succeed())
	t.Setenv("PATH", bin)
	archive := filepath.Join(t.TempDir(), "manager.tar")
	g.Expect(os.WriteFile(archive, []byte("layers"), 0o600)).To(Succeed())
	p := &Provider{engine: &engine.Engine{Name: "docker"}}
	g.Expect(p.Import(t.Context(), archive, "one", "two")).To(Succeed())
	for _, node := range []string{"one", "two"} {
		g.Expect(os.ReadFile(filepath.Join(bin, node+".in"))).To(BeEquivalentTo("layers"))
		g.Expect(os.ReadFile(filepath.Join(bin, node+".args"))).To(BeEquivalentTo(
			"exec --interactive " + node + " ctr --namespace=k8s.io images import --no-unpack -\n"))
	}
	g.Expect(p.Import(t.Context(), archive, "one", "full")).To(MatchError(And(ContainSubstring("put an image into node full"), ContainSubstring("no space"))))
	g.Expect(p.Import(t.Context(), archive+".gone", "one")).To(MatchError(ContainSubstring("open an image archive")))
}
