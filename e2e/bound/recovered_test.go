package bound

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// recovering is a healthy run with the steps of its recovery, each so many seconds
// after the beginning of the restore.
func recovering(steps ...int) (scenario.Scenario, history.Run) {
	s := healthy("recovered")
	for i, seconds := range steps {
		s.milestones = append(s.milestones, history.Event{Time: second(restoreAt + seconds), Kind: history.Milestone, Subject: history.RecoverySteps[i]})
	}
	spec := s.scenario()
	spec.Bounds = []scenario.Bound{{Name: "soon", Kind: scenario.Recovered, Within: scenario.Duration{Duration: time.Minute}}}
	return spec, s.run()
}

func TestRecovered(t *testing.T) {
	missed := func(at int) func(*history.Run) {
		return func(run *history.Run) {
			run.Events = append(run.Events, history.Event{
				Time: second(at), Kind: history.NotRecovered, Fields: map[string]string{"error": "two volumes are faulted"},
			})
		}
	}
	cutAgain := func(run *history.Run) { // and nothing seen since
		run.Events = append(run.Events, history.Event{Time: second(200), Kind: history.Cut, Subject: "node-1"},
			history.Event{Time: second(210), Kind: history.Restored, Subject: "node-1"})
	}
	for name, test := range map[string]struct {
		steps    []int
		change   func(*history.Run)
		verdict  Verdict
		says     string
		observed float64
	}{
		"in time":          {[]int{10, 11, 30, 31, 60}, nil, Pass, "every step up to volumes-healthy within 1m0s of the restore, limit 1m", 60},
		"the last is late": {[]int{10, 11, 30, 31, 61}, nil, Fail, "volumes-healthy 1m1s after power began to return, limit 1m", 61},
		"two are late":     {[]int{10, 11, 30, 70, 80}, nil, Fail, "instance-managers-running 1m10s, volumes-healthy 1m20s", 80},
		"not reached":      {[]int{10, 11, 30, 31}, nil, Fail, "volumes-healthy not reached within 1m", 320},
		"given up": {[]int{10, 11, 30, 31}, missed(restoreAt + 90), Fail,
			"volumes-healthy not reached: two volumes are faulted", 90},
		"ended before": {[]int{10, 11}, func(run *history.Run) {
			run.Phases, run.Samples = run.Phases[:3], nil
		}, Inconclusive, "managers-ready, instance-managers-running, volumes-healthy not reached when the run ended 40s after power began to return, before the 1m allowed", 11},
		"only the last outage counts": {[]int{10, 11, 30, 31, 32}, cutAgain, Fail, "api-answers, nodes-ready, managers-ready", 210},
		"missed in an earlier outage": {[]int{10, 11, 30, 31, 32}, func(run *history.Run) {
			earlier := []history.Event{
				{Time: second(70), Kind: history.Cut, Subject: "node-1"}, {Time: second(75), Kind: history.Restored, Subject: "node-1"},
				{Time: second(80), Kind: history.NotRecovered, Fields: map[string]string{"error": "cut again"}},
			}
			run.Events = append(earlier, run.Events...)
		}, Pass, "every step up to volumes-healthy within", 32},
		"nothing restored": {nil, func(run *history.Run) { run.Events = nil }, Inconclusive, "no restore is recorded", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			spec, run := recovering(test.steps...)
			if test.change != nil {
				test.change(&run)
			}
			r := Check(spec, run).Results[0]
			g.Expect(r.Verdict).To(Equal(test.verdict), r.Reason)
			g.Expect(r.Reason).To(ContainSubstring(test.says))
			g.Expect(r.Observed).To(Equal(test.observed))
			g.Expect(r.Limit).To(Equal(60.0))
			if test.verdict == Fail {
				g.Expect(r.Offending).NotTo(BeEmpty())
			} else {
				g.Expect(r.Offending).To(BeEmpty())
			}
		})
	}
}

// A node that never returns is no gap in what was watched.
func TestAbsentNodesAreNotMissed(t *testing.T) {
	g := NewWithT(t)
	s := healthy("absent")
	run := s.run()
	var samples []history.Sample
	for _, sample := range run.Samples {
		if sample.Incarnation.Node != "node-2" || sample.Time.Before(second(cutAt)) {
			samples = append(samples, sample)
		}
	}
	run.Samples = samples
	g.Expect(Check(s.scenario(), run).Verdict).To(Equal(Inconclusive), "node-2 has power, and nothing is seen of it")
	var events []history.Event
	for _, e := range run.Events {
		if e.Kind != history.Restored || e.Subject != "node-2" {
			events = append(events, e)
		}
	}
	run.Events = events
	j := Check(s.scenario(), run)
	g.Expect(j.Verdict).To(Equal(Pass), "%+v", j.Results)
}
