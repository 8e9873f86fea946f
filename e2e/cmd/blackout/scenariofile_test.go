package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestScenarioByNameOrPath(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	g.Expect(os.MkdirAll(scenariosDir, 0o755)).To(Succeed())
	for _, file := range []string{"scenarios/mine.yaml", "scenarios/mine-quick.yaml", "scenarios/long.yaml", "mine.txt", "odd"} {
		g.Expect(os.WriteFile(filepath.FromSlash(file), nil, 0o600)).To(Succeed())
	}
	for given, want := range map[string]string{
		"mine": "scenarios/mine.yaml", "scenarios/mine.yaml": "scenarios/mine.yaml", "mine.txt": "mine.txt", "odd": "odd",
		"absent": "scenarios/absent.yaml", "absent.yaml": "absent.yaml", "other/absent": "other/absent", "/abs": "/abs",
	} {
		g.Expect(scenarioFile(given)).To(Equal(want), given)
	}
	form, said := quickForm("scenarios/mine.yaml")
	g.Expect(form).To(Equal("scenarios/mine-quick.yaml"))
	g.Expect(said).To(ContainSubstring("the short form of scenarios/mine.yaml"))
	form, said = quickForm("scenarios/long.yaml")
	g.Expect(form).To(Equal("scenarios/long.yaml"), "nothing is shortened that has no short form")
	g.Expect(said).To(ContainSubstring("it is run whole"))
}
