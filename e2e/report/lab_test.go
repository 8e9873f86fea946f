package report

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/report/page"
)

func TestRepeatNamesAllThatTheRunWasGiven(t *testing.T) {
	const plain = "blackout run --longhorn v1.7.2 --scenario scenario.yaml"
	for name, test := range map[string]struct{ record, want string }{
		"nothing recorded": {"", plain},
		"garbage":          {"{", plain},
		"a usual run":      {`{"spec":{"request":{"Longhorn":"v1.7.2","Mode":"auto"}}}`, plain},
		"a checkout":       {`{"spec":{"request":{"Mode":"module","ManagerSource":"/src/it's here"}}}`, plain + ` --images module --manager-src '/src/it'\''s here'`},
		"an existing cluster": {
			`{"spec":{"request":{"Mode":"auto"},"existing":{"context":"lab","systemUID":"u-1","powerFile":"power.yaml","objectStore":"store:1"}}}`,
			plain + " --context lab --cluster-uid u-1 --power power.yaml --object-store-image store:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, dir := NewWithT(t), t.TempDir()
			if test.record != "" {
				g.Expect(os.WriteFile(filepath.Join(dir, LabFile), []byte(test.record), 0o600)).To(Succeed())
			}
			lab, _ := ReadLab(dir)
			g.Expect(lab.repeat("v1.7.2")).To(Equal(test.want))
		})
	}
}

func TestPageNamesTheClusterOfSomebodyElse(t *testing.T) {
	g := NewWithT(t)
	var lab Lab
	lab.Spec.Existing.Context = "lab"
	g.Expect(lab.page().Facts).To(ContainElement(page.Fact{Name: "cluster of somebody else, by its context", Value: "lab"}))
	g.Expect(Lab{}.page().Facts).To(BeEmpty())
}
