package run

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/engine"
	"blackout/e2e/images"
)

func specified() *Lab {
	return &Lab{
		Spec: LabSpec{
			Run: "lab", Request: images.Request{Longhorn: "v1.7.2", Mode: images.Auto}, ControlPlanes: 1, Workers: 2, Volumes: 4, Replicas: 2, VolumeSize: "16Mi",
		},
		Set: images.Set{Node: "blackout/node:v1-0123", Origins: []images.Origin{{Component: "node", Source: "module", Version: "v1", Key: "0123"}}},
	}
}

func TestRecord(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	g.Expect(h.readRecord("lab")).To(BeNil(), "there is none")
	for _, ready := range []bool{false, true} {
		lab := specified()
		g.Expect(h.writeRecord(lab, ready)).To(Succeed())
		want := recordOf(lab, ready)
		g.Expect(h.readRecord("lab")).To(Equal(&want))
	}
}

// Whoever is killed while writing leaves some beginning of the file.
func TestRecordThatWasHalfWritten(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	g.Expect(h.writeRecord(specified(), true)).To(Succeed())
	path := filepath.Join(h.Workspace.Run("lab"), recordFile)
	whole, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	for size := range len(whole) {
		g.Expect(os.WriteFile(path, whole[:size], recordMode)).To(Succeed())
		g.Expect(h.readRecord("lab")).To(Or(BeNil(), HaveField("Ready", false)), "of %d bytes", size)
	}
	g.Expect(os.WriteFile(path, whole, recordMode)).To(Succeed())
	g.Expect(h.readRecord("lab")).To(HaveField("Ready", true))

	g.Expect(os.Remove(path)).To(Succeed())
	g.Expect(os.Mkdir(path, 0o755)).To(Succeed())
	_, err = h.readRecord("lab")
	g.Expect(err).To(HaveOccurred(), "what cannot be read at all is no unfinished run")
}

// A standing lab may hold somebody's work: it is never replaced unasked.
func TestStandingLabOfAnotherShapeIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Lab){
		"version":        func(l *Lab) { l.Spec.Request.Longhorn = "v1.8.1" },
		"mode":           func(l *Lab) { l.Spec.Request.Mode = images.Module },
		"checkout":       func(l *Lab) { l.Spec.Request.ManagerSource = "/src" },
		"control planes": func(l *Lab) { l.Spec.ControlPlanes = 3 },
		"workers":        func(l *Lab) { l.Spec.Workers = 3 },
		"volumes":        func(l *Lab) { l.Spec.Volumes = 5 },
		"replicas":       func(l *Lab) { l.Spec.Replicas = 1 },
		"size":           func(l *Lab) { l.Spec.VolumeSize = "17Mi" },
		"node image":     func(l *Lab) { l.Set.Node = "blackout/node:v1-4567" },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			h := newTestHarness(t)
			log := fakeDocker(t, "")
			g.Expect(h.writeRecord(specified(), true)).To(Succeed())
			wanted := specified()
			change(wanted)
			_, err := h.openOrCreate(t.Context(), &engine.Engine{Name: "docker"}, wanted)
			g.Expect(err).To(MatchError(And(
				ContainSubstring(`"lab" stands, made of other things`), ContainSubstring("Longhorn v1.7.2, image blackout/node:v1-0123"))))
			g.Expect(log()).To(BeEmpty(), "and nothing was touched")
			g.Expect(h.readRecord("lab")).To(HaveField("Ready", true))
		})
	}
}

func TestUpRefusesAtOnce(t *testing.T) {
	for says, change := range map[string]func(*LabSpec){
		`volume size "much"`:           func(s *LabSpec) { s.VolumeSize = "much" },
		"cannot be the id of a run":    func(s *LabSpec) { s.Run = "" },
		`"../tmp" cannot be the id of`: func(s *LabSpec) { s.Run = "../tmp" },
		"at least one control plane":   func(s *LabSpec) { s.ControlPlanes = 0 },
	} {
		g := NewWithT(t)
		h := newTestHarness(t)
		log := fakeDocker(t, "") // no engine is asked, let alone installed
		spec := specified().Spec
		change(&spec)
		_, err := h.Up(t.Context(), spec)
		g.Expect(err).To(MatchError(ContainSubstring(says)))
		g.Expect(log()).To(BeEmpty())
	}
}

func TestUpOfARunThatIsBeingMade(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	log := fakeDocker(t, "")
	release, err := h.Workspace.Lock("run-lab", false)
	g.Expect(err).NotTo(HaveOccurred())
	defer release()
	_, err = h.Up(t.Context(), specified().Spec)
	g.Expect(err).To(MatchError(ContainSubstring("being made by another process")))
	g.Expect(log()).To(BeEmpty())
}
