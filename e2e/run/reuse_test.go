package run

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"

	"blackout/e2e/images"
	"blackout/e2e/scenario"
)

// left is the record of a cluster that an earlier run left.
func left() record {
	lab := specified()
	lab.Spec.Request.ManagerSource = "/src/before"
	lab.Set.Manager, lab.Set.InstanceManager, lab.Set.Engine, lab.Set.ObjectStore = "m:1", "i:1", "e:1", "o:1"
	lab.Set.Origins = append(lab.Set.Origins, images.Origin{Component: string(images.Manager), Source: "checkout", Version: "v1.7.2", Key: "1"})
	return recordOf(lab, true)
}

func TestOnlyTheManagerMayDifferFromTheClusterThatStands(t *testing.T) {
	g := NewWithT(t)
	spec := specified().Spec
	spec.Request.ManagerSource = "/src/now"
	g.Expect(left().fits(spec)).To(Succeed())
	for name, change := range map[string]func(*LabSpec){
		"version":        func(s *LabSpec) { s.Request.Longhorn = "v1.8.1" },
		"mode":           func(s *LabSpec) { s.Request.Mode = images.Module },
		"control planes": func(s *LabSpec) { s.ControlPlanes = 3 },
		"workers":        func(s *LabSpec) { s.Workers = 3 },
		"volumes":        func(s *LabSpec) { s.Volumes = 5 },
		"replicas":       func(s *LabSpec) { s.Replicas = 1 },
		"size":           func(s *LabSpec) { s.VolumeSize = "17Mi" },
		"file system":    func(s *LabSpec) { s.Filesystem = scenario.XFS },
		"disk size":      func(s *LabSpec) { s.DiskSize = "4Gi" },
	} {
		wanted := spec
		change(&wanted)
		g.Expect(left().fits(wanted)).To(MatchError(ContainSubstring("is of another shape")), name)
	}
	old := left()
	old.Images = nil // of a time when they were not recorded
	g.Expect(old.fits(spec)).To(MatchError(ContainSubstring("does not name its image of longhorn-instance-manager")))
}

func TestClusterOfAnotherShapeIsNotTouched(t *testing.T) {
	g := NewWithT(t)
	h := newTestHarness(t)
	log := fakeDocker(t, "")
	lab, err := h.again(t.Context(), specified().Spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lab).To(BeNil(), "there is none")
	g.Expect(h.writeRecord(specified(), false)).To(Succeed())
	lab, err = h.again(t.Context(), specified().Spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lab).To(BeNil(), "what was never ready is made anew")
	g.Expect(h.writeRecord(specified(), true)).To(Succeed())
	wanted := specified().Spec
	wanted.Workers = 5
	_, err = h.again(t.Context(), wanted)
	g.Expect(err).To(MatchError(ContainSubstring("1 + 5 nodes")))
	g.Expect(log()).To(BeEmpty())
	g.Expect(h.readRecord("lab")).To(HaveField("Ready", true))
}

func TestManagerIsReplacedInWhatIsSaidOfTheCluster(t *testing.T) {
	g := NewWithT(t)
	r := left()
	lab := &Lab{Spec: r.Spec, Set: r.set()}
	g.Expect(lab.managerRequest().Mode).To(Equal(images.Module), "as the node was made: no registry is looked for")
	lab.manage(images.Archive{
		Refs:    map[images.Component]string{images.Manager: "m:2"},
		Origins: []images.Origin{{Component: string(images.Manager), Source: "checkout", Version: "v1.7.2", Key: "2", Dirty: true}},
	})
	g.Expect(lab.Set.Manager).To(Equal("m:2"))
	g.Expect(lab.Set.Engine).To(Equal("e:1"))
	g.Expect(lab.Set.Origins).To(HaveLen(2))
	g.Expect(lab.Set.Origins[1]).To(And(HaveField("Key", "2"), HaveField("Dirty", true)))
}

func TestWhatChangesAClusterForGoodIsNotRunInOneThatIsUsedAgain(t *testing.T) {
	never := scenario.Backlog{Lost: scenario.NeverExisted}
	for name, test := range map[string]struct {
		x    Experiment
		says string
	}{
		"not used again": {Experiment{Scenario: scenario.Scenario{Backlog: scenario.Backlog{Lost: scenario.RolledBack}}}, ""},
		"nothing":        {Experiment{Reuse: "repro", Scenario: scenario.Scenario{Backlog: never}}, ""},
		"existing":       {Experiment{Reuse: "repro", Foreign: &Foreign{}, Scenario: scenario.Scenario{Backlog: never}}, "stays anyway"},
		"rolled back":    {Experiment{Reuse: "repro", Scenario: scenario.Scenario{Backlog: scenario.Backlog{Lost: scenario.RolledBack}}}, "backlog.lost"},
		"content":        {Experiment{Reuse: "repro", Scenario: scenario.Scenario{Backlog: never, Volumes: scenario.Volumes{Size: resource.MustParse("16Mi"), Content: scenario.Content{Fill: 1}}}}, "volumes.content"},
		"absent":         {Experiment{Reuse: "repro", Scenario: scenario.Scenario{Backlog: never, Outage: scenario.Outage{Never: 1}}}, "outage.never"},
		"settings":       {Experiment{Reuse: "repro", Scenario: scenario.Scenario{Backlog: never, Longhorn: scenario.Longhorn{Settings: map[string]string{"a": "b"}}}}, "longhorn.settings"},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&trial{Experiment: test.x, id: "1"}).reusable()
			if test.says == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.says)))
		})
	}
}
