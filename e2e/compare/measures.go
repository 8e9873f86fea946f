package compare

import (
	"math"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/report"
)

// Measure is told beside the bounds and decides nothing: nobody has said how much
// of it is too much.
type Measure struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Of so many runs of each set it is known.
	OfBaseline  int         `json:"ofBaseline"`
	OfCandidate int         `json:"ofCandidate"`
	Difference  *Difference `json:"difference,omitempty"`
	// Says is same, cannot tell, or with a significant difference more or less.
	Says string `json:"says"`
}

const (
	perMinute = "/min"
	count     = string(history.Count)
	size      = string(history.Bytes)
	seconds   = string(history.Seconds)
	// SecondsTolerance is below what a recovery differs from one run to the next.
	SecondsTolerance = 30
)

type quantity struct{ name, unit string }

var growths = []struct {
	quantity
	series string
}{
	{quantity{"connections, growth of all managers", count + perMinute}, history.GRPCConnections},
	{quantity{"goroutines, growth of all managers", count + perMinute}, history.Goroutines},
	{quantity{"live heap, growth of all managers", size + perMinute}, history.LiveHeap},
	{quantity{"RSS, growth of all managers", size + perMinute}, history.RSS},
}

var peaks = []struct {
	quantity
	series, subject string
}{
	{quantity{"connections, peak of a manager", count}, history.GRPCConnections, history.ManagerSubject},
	{quantity{"goroutines, peak of a manager", count}, history.Goroutines, history.ManagerSubject},
	{quantity{"live heap, peak of a manager", size}, history.LiveHeap, history.ManagerSubject},
	{quantity{"RSS, peak of a manager", size}, history.RSS, history.ManagerSubject},
	{quantity{"RSS, peak of an instance manager", size}, history.RSS, history.InstanceManagerSubject},
	{quantity{"waiting backups, peak", count}, history.Waiting, ""},
}

var (
	perWaiting   = quantity{"connections, growth for each waiting backup", count + perMinute}
	waitingAtEnd = quantity{"waiting backups at the end", count}
)

func recoveryOf(step string) quantity { return quantity{"recovery: " + step, seconds} }

// told are the measures in the order of the report.
func told() (all []quantity) {
	for _, g := range growths {
		all = append(all, g.quantity)
	}
	all = append(all, perWaiting)
	for _, p := range peaks {
		all = append(all, p.quantity)
	}
	all = append(all, waitingAtEnd)
	for _, step := range append(append([]string{}, history.RecoverySteps...), report.StepDrained) {
		all = append(all, recoveryOf(step))
	}
	return all
}

// values of one run by the names of measures; what is not known is missing.
func values(v report.Verdict, run history.Run) map[string]float64 {
	all := map[string]float64{}
	growth := report.GrowthPerMinute(run)
	for _, g := range growths {
		if value, known := growth[g.series]; known {
			all[g.name] = value
		}
	}
	for _, p := range peaks {
		for _, o := range v.Observed {
			if o.Series != p.series || o.Subject != p.subject {
				continue
			}
			most := math.Inf(-1)
			for _, highest := range o.Highest {
				most = max(most, highest)
			}
			all[p.name] = most
		}
	}
	for _, t := range run.Tracks(history.Waiting, "", history.Steady) {
		all[waitingAtEnd.name] = t.Samples[len(t.Samples)-1].Value
		waiting := bound.Median(bound.Minutes(t.Samples).Y)
		if value, known := growth[history.GRPCConnections]; known && waiting >= 1 {
			all[perWaiting.name] = value / waiting
		}
	}
	for _, m := range v.Recovery {
		if elapsed, err := time.ParseDuration(m.Elapsed); err == nil {
			all[recoveryOf(m.Step).name] = elapsed.Seconds()
		}
	}
	return all
}

func (c Comparison) measures() (all []Measure) {
	var differences []*Difference
	for _, q := range told() {
		m := Measure{Name: q.name, Unit: q.unit, Says: string(CannotTell)}
		of := func(s Set) (values []float64) {
			for _, r := range s.counted() {
				if value, known := r.values[q.name]; known {
					values = append(values, value)
				}
			}
			return values
		}
		before, after := of(c.Baseline), of(c.Candidate)
		m.OfBaseline, m.OfCandidate = len(before), len(after)
		if m.OfBaseline+m.OfCandidate == 0 {
			continue
		}
		if m.Difference = compareValues(before, after, 0); m.Difference != nil {
			m.Difference.Tolerance = c.Tolerance * math.Abs(m.Difference.Baseline.Median)
			if q.unit == seconds {
				m.Difference.Tolerance = max(m.Difference.Tolerance, SecondsTolerance)
			}
			differences = append(differences, m.Difference)
		}
		all = append(all, m)
	}
	holm(differences)
	for i, m := range all {
		switch d := m.Difference; {
		case d == nil:
		case d.within():
			all[i].Says = string(Same)
		case d.significant() && d.Shift > 0:
			all[i].Says = "more"
		case d.significant():
			all[i].Says = "less"
		}
	}
	return all
}
