package run

import (
	"context"
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/e2e-framework/klient"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// fakeCluster is a fake one that can do what it says.
type fakeCluster struct{ can cluster.Capabilities }

func (fakeCluster) Name() string                                  { return "other" }
func (fakeCluster) Client() klient.Client                         { return nil }
func (fakeCluster) Nodes(context.Context) ([]cluster.Node, error) { return nil, nil }
func (c fakeCluster) Capabilities() cluster.Capabilities          { return c.can }

func TestAbleRefusesWhatAClusterCannotDo(t *testing.T) {
	keep := cluster.Capabilities{CutPower: true, Unsynced: []scenario.UnsyncedWrites{scenario.Keep}}
	for name, test := range map[string]struct {
		can    cluster.Capabilities
		outage scenario.Outage
		says   string
	}{
		"no power switch":  {cluster.Capabilities{}, scenario.Outage{UnsyncedWrites: scenario.Keep}, "cannot lose their power"},
		"keeps":            {keep, scenario.Outage{UnsyncedWrites: scenario.Drop}, "outage.unsyncedWrites is drop, but a cut of its nodes makes them: keep"},
		"cannot shuffle":   {keep, scenario.Outage{UnsyncedWrites: scenario.Keep, Addresses: scenario.ShuffledAddresses}, "chosen addresses"},
		"does all of this": {keep, scenario.Outage{UnsyncedWrites: scenario.Keep, Addresses: scenario.SameAddresses}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := able(scenario.Scenario{Outage: test.outage}, fakeCluster{test.can})
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
