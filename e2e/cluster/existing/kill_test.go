package existing

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/scenario"
)

const (
	envKubeconfig = "BLACKOUT_TEST_KUBECONFIG"
	envMachines   = "BLACKOUT_TEST_MACHINES"
)

// slowOff takes half a second of which the test can see the beginning.
func slowOff(dir string) []string {
	return sh("touch " + dir + "/begun-{node}; sleep 0.5; rm " + dir + "/{node}")
}

func machinesIn(dir string) *fakeMachines {
	return &fakeMachines{dir: dir, power: Power{
		Nodes: []string{"b", "c"}, Switch: SwitchCommand, UnsyncedWrites: scenario.Drop,
		Command: Command{
			Off: slowOff(dir), On: sh("touch " + dir + "/{node}"), Status: sh("test -e " + dir + "/{node}"),
			Timeout: scenario.Duration{Duration: 5 * time.Second},
		},
	}}
}

// TestProcessThatIsKilled is no test but the process that the next one kills.
func TestProcessThatIsKilled(t *testing.T) {
	dir := os.Getenv(envMachines)
	if dir == "" {
		t.Skip("only for the test that kills it")
	}
	m := machinesIn(dir)
	if _, err := m.fresh(t, os.Getenv(envKubeconfig)).Cut(t.Context(), scenario.Drop, nodeB, nodeC); err != nil {
		t.Fatal(err)
	}
	m.set(t, "cut", true)
	<-t.Context().Done() // it is killed here, or before
}

func TestAnotherProcessRepowersWhatAKilledOneCut(t *testing.T) {
	for when, file := range map[string]string{"in the middle of the cut": "begun-c", "between cut and restore": "cut"} {
		t.Run(when, func(t *testing.T) {
			g := NewWithT(t)
			m := machinesIn(t.TempDir())
			m.set(t, "b", true)
			m.set(t, "c", true)
			server := httptest.NewServer(&fakeAPI{})
			self, err := os.Executable()
			g.Expect(err).NotTo(HaveOccurred())
			child := exec.Command(self, "-test.run=^TestProcessThatIsKilled$")
			child.Env = append(os.Environ(), envKubeconfig+"="+kubeconfig(t, server.URL), envMachines+"="+m.dir)
			g.Expect(child.Start()).To(Succeed())
			g.Eventually(func() string { return filepath.Join(m.dir, file) }, 20*time.Second, 5*time.Millisecond).Should(BeAnExistingFile())
			g.Expect(child.Process.Kill()).To(Succeed())
			_ = child.Wait()
			server.Close() // whoever gives the API server its power must not need it

			g.Expect(m.fresh(t, "").Repower(t.Context())).To(Succeed())
			g.Expect([]bool{m.on("b"), m.on("c")}).To(Equal([]bool{true, true}))
			g.Consistently(func() bool { return m.on("b") && m.on("c") }, time.Second).Should(BeTrue(), "an order that was under way comes no more")
			g.Expect(filepath.Join(m.dir, "run", RecordFile)).NotTo(BeAnExistingFile())
		})
	}
}
