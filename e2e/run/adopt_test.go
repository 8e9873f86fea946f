package run

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/e2e-framework/klient"

	"blackout/e2e/cluster"
	"blackout/e2e/cluster/existing"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// fakeCluster is a fake one that has these nodes and can do what it says.
type fakeCluster struct {
	can   cluster.Capabilities
	nodes []cluster.Node
}

func (fakeCluster) Name() string                                    { return "other" }
func (fakeCluster) Client() klient.Client                           { return nil }
func (c fakeCluster) Nodes(context.Context) ([]cluster.Node, error) { return c.nodes, nil }
func (c fakeCluster) Capabilities() cluster.Capabilities            { return c.can }

func TestAbleRefusesWhatAClusterCannotDo(t *testing.T) {
	keep := cluster.Capabilities{CutPower: true, Unsynced: []scenario.UnsyncedWrites{scenario.Keep}}
	some := keep
	some.PowerNodes = []string{"a"}
	cut := func(which scenario.NodeSet) scenario.Outage {
		return scenario.Outage{
			UnsyncedWrites: scenario.Keep, Nodes: which, Repeats: 1, Duration: scenario.Duration{Duration: time.Second},
			Addresses: scenario.SameAddresses, Order: scenario.Together,
		}
	}
	nodes := []cluster.Node{{Name: "a", Role: cluster.Worker}, {Name: "b", Role: cluster.ControlPlane}}
	for name, test := range map[string]struct {
		can    cluster.Capabilities
		outage scenario.Outage
		says   string
	}{
		"no power switch":  {cluster.Capabilities{}, scenario.Outage{UnsyncedWrites: scenario.Keep}, "cannot lose their power"},
		"keeps":            {keep, scenario.Outage{UnsyncedWrites: scenario.Drop}, "outage.unsyncedWrites is drop, but a cut of its nodes makes them: keep"},
		"cannot shuffle":   {keep, scenario.Outage{UnsyncedWrites: scenario.Keep, Addresses: scenario.ShuffledAddresses}, "chosen addresses"},
		"a node too many":  {some, cut(scenario.AllNodes), "the outage takes in node b, and only those that the power file names may lose power: a"},
		"only what it may": {some, cut(scenario.Workers), ""},
		"does all of this": {keep, scenario.Outage{UnsyncedWrites: scenario.Keep, Addresses: scenario.SameAddresses}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := able(t.Context(), scenario.Scenario{Outage: test.outage}, fakeCluster{test.can, nodes})
			if test.says == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.says)))
		})
	}
}

func TestNothingIsDoneToSomebodyElsesCluster(t *testing.T) {
	acting := func(kind scenario.ActionKind) scenario.Scenario {
		return scenario.Scenario{Actions: []scenario.Action{{Before: scenario.BeforeSteady, Do: kind}}}
	}
	for name, test := range map[string]struct {
		scenario scenario.Scenario
		url      string
		says     string
	}{
		"settings":              {scenario.Scenario{Longhorn: scenario.Longhorn{Settings: map[string]string{"a": "b"}}}, "", "longhorn.settings"},
		"memory":                {scenario.Scenario{Longhorn: scenario.Longhorn{ManagerMemory: resource.MustParse("192Mi")}}, "", "longhorn.managerMemory"},
		"jobs":                  {acting(scenario.StartJobs), "", "backs up every volume there is"},
		"its target":            {acting(scenario.SlowTarget), "s3://theirs@x/", "the cluster has its own, s3://theirs@x/"},
		"our target":            {acting(scenario.SlowTarget), "", ""},
		"only our own backups":  {acting(scenario.DeleteWaiting), "s3://theirs@x/", ""},
		"backups of our volume": {acting(scenario.TakeBackups), "s3://theirs@x/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := errors.Join(harmless(test.scenario), ownTarget(test.scenario, test.url))
			if test.says == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.says)))
		})
	}
}

// The command that repeats a run begins in the run's directory.
func TestFilesAreRecordedAsFoundFromEverywhere(t *testing.T) {
	g := NewWithT(t)
	here := t.TempDir()
	t.Chdir(here)
	theirs := Foreign{Spec: existing.Spec{Context: "lab", SystemUID: "u"}, PowerFile: "power.yaml", ObjectStore: "store:1"}
	x := &trial{Experiment: Experiment{Foreign: &theirs}}
	x.Request.ManagerSource = "../manager"
	g.Expect(x.fromEverywhere()).To(Succeed())
	g.Expect(x.Request.ManagerSource).To(Equal(filepath.Join(filepath.Dir(here), "manager")))
	g.Expect(x.Foreign.PowerFile).To(Equal(filepath.Join(here, "power.yaml")))
	g.Expect(x.Foreign.Kubeconfig).To(BeEmpty())
	g.Expect(theirs.PowerFile).To(Equal("power.yaml"), "what the caller has stays")
}

// The report reads by other names than the record is written by.
func TestReportReadsWhoseClusterItWas(t *testing.T) {
	g, dir := NewWithT(t), t.TempDir()
	raw, err := json.Marshal(recordOf(&Lab{Spec: LabSpec{Existing: existingCluster{Context: "a", Kubeconfig: "b", SystemUID: "c", PowerFile: "d", ObjectStore: "e"}}}, true))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(writeFile(dir, recordFile, raw)).To(Succeed())
	lab, err := report.ReadLab(dir)
	g.Expect(err).NotTo(HaveOccurred())
	read := lab.Spec.Existing
	g.Expect([]string{read.Context, read.Kubeconfig, read.SystemUID, read.PowerFile, read.ObjectStore}).To(Equal([]string{"a", "b", "c", "d", "e"}))
}
