package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

const (
	// powerSeeds is how many histories are made up for each slope.
	powerSeeds = 200
	// powerFor is the steady phase that they have.
	powerFor = 10 * time.Minute
	// surely is the share of them in which a leak must be found.
	surely = 0.95
)

// leak is one series, how it is sampled and how it moves without a leak.
type leak struct {
	series string
	every  time.Duration
	level  float64
	noise  float64 // standard deviation, as the made-up histories of e2e/bound have it
	// slopes a minute that are tried, the smallest first.
	slopes []float64
	// known is what v1.7.2 leaks in each manager a minute, with 250 backups and two
	// managers (e2e/README.md).
	known float64
}

const mebi = 1 << 20

var leaks = []leak{
	{history.GRPCConnections, 5 * time.Second, 4, 2, []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1}, 250},
	{history.Goroutines, 5 * time.Second, 500, 20, []float64{1, 2, 3, 4, 5, 6, 7, 10}, 1496},
	{history.LiveHeap, 15 * time.Second, 60 * mebi, mebi, []float64{0.1 * mebi, 0.2 * mebi, 0.3 * mebi, 0.4 * mebi, 0.5 * mebi, 0.6 * mebi, 0.7 * mebi, mebi}, 23.5 * mebi},
}

// rates is how often the trend bound failed at each slope, the first of them zero.
type rates struct {
	leak
	falsely float64
	found   []float64
	// smallest slope that is found surely; 0 if none is.
	smallest float64
}

// power tries the trend bound with the limit 0, which finds what it can find at
// all: a scenario's own limit allows so much more.
func (l leak) power() (rates, error) {
	r := rates{leak: l}
	var err error
	if r.falsely, err = l.rate(0); err != nil {
		return r, err
	}
	for _, slope := range l.slopes {
		share, err := l.rate(slope)
		if err != nil {
			return r, err
		}
		r.found = append(r.found, share)
		switch {
		case share < surely:
			r.smallest = 0 // a larger slope must be found no less surely
		case r.smallest == 0:
			r.smallest = slope
		}
	}
	return r, nil
}

// rate is the share of the histories in which the bound fails.
func (l leak) rate(slope float64) (float64, error) {
	s := scenario.Scenario{
		Name: "power", Sampling: scenario.Sampling{Interval: scenario.Duration{Duration: l.every}},
		Phases: scenario.Phases{Steady: scenario.Duration{Duration: powerFor}},
		Bounds: []scenario.Bound{{
			Name: "trend", Kind: scenario.Trend, Series: l.series, Subject: history.ManagerSubject, Max: resource.MustParse("0"),
		}},
	}
	failed := 0
	for seed := range uint64(powerSeeds) {
		switch result := bound.Check(s, l.history(slope, seed)).Results[0]; result.Verdict {
		case bound.Fail:
			failed++
		case bound.Pass:
		default:
			return 0, fmt.Errorf("the trend bound on a made-up history of %s is %s: %s", l.series, result.Verdict, result.Reason)
		}
	}
	return float64(failed) / powerSeeds, nil
}

// history of one manager that leaks so much a minute.
func (l leak) history(slope float64, seed uint64) history.Run {
	const stream = 0xbe9c // any
	chance := rand.New(rand.NewPCG(seed, stream))
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	run := history.Run{
		Header: history.Header{Version: history.Version, Run: "power", Started: began, Seed: int64(seed)},
		Phases: []history.Phase{{Name: history.Steady, Start: began, End: began.Add(powerFor)}},
	}
	life := history.Incarnation{Pod: "longhorn-manager-a", UID: "uid", Container: history.ManagerSubject, Node: "worker"}
	for at := time.Duration(0); at < powerFor; at += l.every {
		// Counts are whole, and noise takes no leak away.
		value := float64(int64(max(0, l.level+slope*at.Minutes()+l.noise*chance.NormFloat64())))
		run.Samples = append(run.Samples, history.Sample{
			Time: began.Add(at), Probe: "pprof", Series: l.series, Subject: history.ManagerSubject, Incarnation: life, Value: value,
		})
	}
	return run
}
