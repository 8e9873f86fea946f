package bound

import (
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

const (
	tornHead  = "volume-head-001.img.meta: empty"
	atRestore = history.AtRestore
	recovered = history.AfterRecovery
	inUse     = history.ReplicaInUse
)

// looked is an event of one replica directory on node n1.
func looked(at int, when, directory, volume, state, torn string) history.Event {
	fields := map[string]string{
		history.FieldWhen: when, history.FieldNode: "n1", history.FieldVolume: volume, history.FieldState: state,
	}
	if torn != "" {
		fields[history.FieldError] = torn
	}
	return history.Event{Time: second(at), Kind: history.ReplicaChecked, Subject: directory, Fields: fields}
}

func TestChains(t *testing.T) {
	all := []history.Event{
		looked(steadyAt, recovered, "v0-1", "v0", inUse, ""), looked(steadyAt, recovered, "v0-2", "v0", inUse, ""),
		looked(steadyAt, recovered, "v1-1", "v1", inUse, ""),
	}
	with := func(before []history.Event, after ...history.Event) []history.Event {
		return append(append(before, all...), after...)
	}
	none := []history.Event(nil)
	const pass = " replica directories of 2 volumes looked at after the recovery, "
	for name, test := range map[string]struct {
		events  []history.Event
		max     string
		verdict Verdict
		reason  string
	}{
		"whole": {all, "0", Pass, "3" + pass + "0 torn, limit 0"},
		"mended": {with([]history.Event{looked(restoreAt, atRestore, "v0-1", "v0", inUse, tornHead)}), "0", Pass,
			"3" + pass + "0 torn, limit 0; torn when power returned and not after it: 1 (v0-1 on n1: volume-head-001.img.meta: empty)"},
		"torn": {with(none, looked(steadyAt+1, recovered, "v1-1", "v1", inUse, tornHead)), "0", Fail,
			"1 of 3 replica directories are torn after the recovery, limit 0: v1-1 on n1: volume-head-001.img.meta: empty"},
		"as many as allowed": {with(none, looked(steadyAt+1, recovered, "v1-1", "v1", inUse, tornHead)), "1", Pass, "3" + pass + "1 torn, limit 1"},
		"whole at a later look": {with([]history.Event{looked(restoreAt, recovered, "v1-1", "v1", inUse, tornHead)}), "0", Pass,
			"3" + pass + "0 torn, limit 0"},
		"given up, another is whole": {with(none, looked(steadyAt, recovered, "v0-3", "v0", history.ReplicaGivenUp, tornHead)), "0", Pass,
			"4" + pass + "0 torn, limit 0"},
		"given up, none is whole": {[]history.Event{all[0], looked(steadyAt, recovered, "v1-1", "v1", history.ReplicaGivenUp, tornHead)}, "0", Fail,
			"1 of 2 replica directories are torn after the recovery, limit 0: v1-1 on n1: volume-head-001.img.meta: empty"},
		"nobody owns it": {with(none, looked(steadyAt, recovered, "v0-3", "v0", history.ReplicaLingering, tornHead)), "0", Pass,
			"3" + pass + "0 torn, limit 0"},
		"nothing seen": {nil, "0", Inconclusive, "no replica directory was looked at after the recovery"},
		"seen only before": {[]history.Event{looked(restoreAt, atRestore, "v0-1", "v0", inUse, tornHead)}, "0", Inconclusive,
			"no replica directory was looked at after the recovery"},
		"a volume too few": {all[:2], "0", Inconclusive, "replica directories of 1 of 2 volumes were looked at after the recovery"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			made := healthy("chains")
			s, run := made.scenario(), made.run()
			run.Events = append(run.Events, test.events...)
			s.Volumes.Count = 2
			res := checkOne(s, scenario.Bound{Name: "chains", Kind: scenario.Chains, Max: quantityOf(test.max)}, run)
			g.Expect(res.Verdict).To(Equal(test.verdict))
			g.Expect(res.Reason).To(Equal(test.reason))
		})
	}
}

func TestNothingRolledBackIsNoPass(t *testing.T) {
	g := NewWithT(t)
	made := healthy("rollback")
	s, run := made.scenario(), made.run()
	s.Backlog.Lost, s.Backlog.LostShare = scenario.RolledBack, 0.5
	conservation := scenario.Bound{Name: "conservation", Kind: scenario.Conservation}
	res := checkOne(s, conservation, run)
	g.Expect(res.Verdict).To(Equal(Inconclusive))
	g.Expect(res.Reason).To(ContainSubstring("no snapshot was lost"))
	run.Events = append(run.Events, history.Event{Time: second(steadyAt), Kind: history.SnapshotLost, Subject: "s"})
	g.Expect(checkOne(s, conservation, run).Verdict).To(Equal(Pass))
	s.Backlog.Lost = scenario.NeverExisted
	g.Expect(checkOne(s, conservation, made.run()).Verdict).To(Equal(Pass))
}
