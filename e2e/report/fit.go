package report

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
)

// FitOptions say over what a ladder is fitted and to where it is extrapolated.
type FitOptions struct {
	Over  string  `json:"over"`       // history.Waiting, history.StatePending or history.StateNew
	At    float64 `json:"at"`         // so many of Over
	Limit float64 `json:"limitBytes"` // of memory
}

// Fit is what a waiting backup costs, by the rungs of a ladder.
type Fit struct {
	FitOptions
	Longhorn string  `json:"longhorn"`
	Rungs    []Rung  `json:"rungs"`
	Lines    []Line  `json:"lines"`
	Beyond   float64 `json:"beyond"` // At as a multiple of the largest rung fitted
	// Notes are what was left out and why.
	Notes []string `json:"notes,omitempty"`
}

// Rung is one run of a ladder. Growth (a minute) and Reached (at the end of the
// steady phase) are of all managers together, by series; an unknown one is missing.
type Rung struct {
	Dir     string             `json:"dir"`
	Backups int                `json:"backups"` // queued
	Median  map[string]float64 `json:"median"`  // of waiting, Pending and New in the steady phase
	Growth  map[string]float64 `json:"growthPerMinute"`
	Reached map[string]float64 `json:"reached"`

	header history.Header
	same   string // of the scenario what every rung should share
}

// Line is the growth a minute of one series over the backups that wait.
type Line struct {
	Series    string       `json:"series"`
	Unit      history.Unit `json:"unit"`
	Rungs     int          `json:"rungs"`
	Each      Estimate     `json:"each"` // of each backup
	Intercept float64      `json:"intercept"`
	R2        *float64     `json:"r2,omitempty"`
	At        Estimate     `json:"at"` // of as many as Fit.At
	// ToLimit is how long all managers together take from nothing to Fit.Limit, by
	// the interval of At; empty if that holds a growth of none.
	ToLimit string `json:"toLimit,omitempty"`

	quantity quantity
}

// Estimate is a value and how far the true one may be away (95 %), if known.
type Estimate struct {
	Value  float64  `json:"value"`
	Margin *float64 `json:"margin95,omitempty"`
}

func (e Estimate) toLimit(limit float64) string {
	after := func(perMinute float64) (string, bool) {
		d, ok := profile.ProjectToLimit(perMinute/time.Minute.Seconds(), 0, limit)
		if !ok {
			return "", false
		}
		return d.Round(time.Minute).String(), true
	}
	if e.Margin == nil {
		text, _ := after(e.Value)
		return text
	}
	soonest, _ := after(e.Value + *e.Margin)
	latest, ever := after(e.Value - *e.Margin)
	if !ever || soonest == latest {
		return latest
	}
	return soonest + " to " + latest
}

// quantity that backups cost; a slope needs the least number of samples of a life.
type quantity struct {
	series, noun, rate string
	least              int
}

// The heap is looked at three times less often than the rest.
const leastHeapSamples = 6

var quantities = []quantity{
	{history.Goroutines, "goroutines", "%s goroutines/min", bound.TrendFloor},
	{history.GRPCConnections, "connections", "%s connections/min", bound.TrendFloor},
	{history.LiveHeap, "live heap", "%s/min of live heap", leastHeapSamples},
	{history.RSS, "RSS", "%s/min of RSS", bound.TrendFloor},
}

// Ladder fits what a waiting backup costs over runs that differ in the size of
// their backlog only. Like Judge, it touches no cluster.
func Ladder(dirs []string, o FitOptions) (Fit, error) {
	f := Fit{FitOptions: o}
	if !(f.At > 0) || !(f.Limit > 0) {
		return f, fmt.Errorf("extrapolate to %v backups and %v bytes: give numbers above 0", f.At, f.Limit)
	}
	for _, dir := range dirs {
		r, notes, err := readRung(dir)
		if err != nil {
			return f, fmt.Errorf("rung %s: %w", dir, err)
		}
		f.Notes = append(f.Notes, notes...)
		f.Rungs = append(f.Rungs, r)
		first := f.Rungs[0]
		switch _, known := r.Median[f.Over]; {
		case !known:
			return f, fmt.Errorf("fit over %q: name %s, %s or %s", f.Over, history.Waiting, history.StatePending, history.StateNew)
		case r.header.Longhorn != first.header.Longhorn:
			return f, fmt.Errorf("rung %s ran Longhorn %s, %s ran %s: fit each version by itself", dir, r.header.Longhorn, first.Dir, first.header.Longhorn)
		case r.header.Parts != first.header.Parts:
			return f, fmt.Errorf("rung %s ran %s, %s ran %s: fit each build by itself", dir, r.header.Parts, first.Dir, first.header.Parts)
		case slices.ContainsFunc(f.Rungs[:len(f.Rungs)-1], func(other Rung) bool { return other.header.Run == r.header.Run }):
			return f, fmt.Errorf("rung %s: its run %s was given before; name each once", dir, r.header.Run)
		case r.same != first.same:
			f.Notes = append(f.Notes, fmt.Sprintf("%s and %s differ in more than their size: compare their %s", first.Dir, dir, ScenarioFile))
		}
		f.Longhorn = r.header.Longhorn
	}
	slices.SortStableFunc(f.Rungs, func(a, b Rung) int { return cmp.Compare(a.Median[f.Over], b.Median[f.Over]) })
	err := f.fit(f.tried())
	return f, err
}

// maxUntried is the share of New ones among the backups that wait from which on a
// rung does not say what a waiting one costs: New ones were not tried yet.
const maxUntried = 0.1

// tried are the rungs that can be fitted over.
func (f *Fit) tried() []Rung {
	if f.Over != history.Waiting {
		return f.Rungs
	}
	var all []Rung
	for _, r := range f.Rungs {
		if untried := r.Median[history.StateNew]; untried > maxUntried*r.Median[history.Waiting] {
			f.Notes = append(f.Notes, fmt.Sprintf("%s is not fitted: %.0f of %.0f waiting backups were still New, so no manager had tried them and they had cost nothing yet; a longer recovery would show them",
				r.Dir, untried, r.Median[history.Waiting]))
			continue
		}
		all = append(all, r)
	}
	return all
}

// leastSpan is what the largest rung of a line must be as a multiple of the
// smallest: two runs of one size differ a little, and by chance.
const leastSpan = 1.5

func (f *Fit) fit(rungs []Rung) error {
	n := len(rungs)
	if n == 0 || rungs[n-1].Median[f.Over] <= leastSpan*rungs[0].Median[f.Over] {
		return fmt.Errorf("every rung (%d) has about the same number of %s backups, and a line needs two: add a rung of another size (%s)", n, f.Over, strings.Join(f.Notes, "; "))
	}
	f.Beyond = f.At / rungs[n-1].Median[f.Over]
	for _, q := range quantities {
		var x, y []float64 // x rises, because the rungs are in order
		for _, r := range rungs {
			if growth, known := r.Growth[q.series]; known {
				x, y = append(x, r.Median[f.Over]), append(y, growth)
			}
		}
		if len(x) == 0 || x[len(x)-1] <= leastSpan*x[0] {
			f.Notes = append(f.Notes, fmt.Sprintf("no line for %s: fewer than two different rungs have its growth", q.noun))
			continue
		}
		l := regress(x, y, f.At)
		l.quantity, l.Series, l.Unit = q, q.series, history.Series[q.series]
		if l.Unit == history.Bytes {
			l.ToLimit = l.At.toLimit(f.Limit)
		}
		f.Lines = append(f.Lines, l)
	}
	if len(f.Lines) == 0 {
		return fmt.Errorf("nothing could be fitted: %s", strings.Join(f.Notes, "; "))
	}
	return nil
}

// regress puts the line of least squares through two or more points.
func regress(x, y []float64, at float64) Line {
	const (
		parameters = 2     // of a line
		tail       = 0.975 // leaves 95 % between both ends
	)
	alpha, beta := stat.LinearRegression(x, y, nil, false)
	l := Line{Rungs: len(x), Intercept: alpha, Each: Estimate{Value: beta}, At: Estimate{Value: alpha + beta*at}}
	n := float64(len(x))
	free := n - parameters
	if free < 1 {
		return l // two points are on their line whatever they are
	}
	if r2 := stat.RSquared(x, y, nil, alpha, beta); !math.IsNaN(r2) && !math.IsInf(r2, 0) {
		l.R2 = &r2
	}
	square := func(v float64) float64 { return v * v }
	var residual, spread float64
	mean := stat.Mean(x, nil)
	for i := range x {
		residual += square(y[i] - alpha - beta*x[i])
		spread += square(x[i] - mean)
	}
	width := distuv.StudentsT{Sigma: 1, Nu: free}.Quantile(tail) * math.Sqrt(residual/free)
	each, there := width/math.Sqrt(spread), width*math.Sqrt(1/n+square(at-mean)/spread)
	l.Each.Margin, l.At.Margin = &each, &there
	return l
}

// readRung refuses a run that cannot speak for its size.
func readRung(dir string) (r Rung, notes []string, err error) {
	s, err := ReadScenario(filepath.Join(dir, ScenarioFile))
	if err != nil {
		return r, nil, err
	}
	run, err := load(dir)
	if err != nil {
		return r, nil, err
	}
	r = Rung{Dir: dir, header: run.Header, Median: map[string]float64{}, Growth: map[string]float64{}, Reached: map[string]float64{}}
	steady := run.Windows(history.Steady)
	queued, _ := run.LastEvent(history.SubmitDone)
	r.Backups, err = strconv.Atoi(queued.Fields["count"])
	failure, failed := run.LastEvent(history.Infrastructure)
	switch {
	case failed:
		return r, nil, fmt.Errorf("the harness or its machine failed (%s): run it again", failure.Fields[history.FieldError])
	case run.Truncated:
		return r, nil, errors.New("its history is torn, for the run was killed: run it again")
	case len(steady) == 0 || steady[len(steady)-1].Open():
		return r, nil, errors.New("it has no whole steady phase: run it again")
	case err != nil:
		return r, nil, errors.New("it does not say how many backups were queued: run it again")
	case r.Backups != s.Backlog.Count:
		notes = append(notes, fmt.Sprintf("%s: %d of %d backups were queued", dir, r.Backups, s.Backlog.Count))
	}
	for name, tracks := range map[string][]history.Track{
		history.Waiting:      run.Tracks(history.Waiting, "", history.Steady),
		history.StatePending: run.Tracks(history.Backups, history.StatePending, history.Steady),
		history.StateNew:     run.Tracks(history.Backups, history.StateNew, history.Steady),
	} {
		if len(tracks) == 0 {
			return r, nil, fmt.Errorf("no sample of %s backups in its steady phase: run it again", name)
		}
		r.Median[name] = bound.Median(bound.Minutes(tracks[0].Samples).Y)
	}
	for _, q := range quantities {
		for _, note := range r.measure(run, q) {
			notes = append(notes, fmt.Sprintf("%s: %s: %s", dir, q.noun, note))
		}
	}
	if len(r.Reached) == 0 {
		return r, nil, errors.New("no sample of any manager in its steady phase: run it again")
	}
	s.Name, s.Description, s.Backlog.Count = "", "", 0
	same, err := s.Marshal()
	r.same = string(same)
	return r, notes, err
}

// GrowthPerMinute is what all managers together grow by in the steady phase, by
// series (goroutines, connections, live heap, RSS), as the rungs of a ladder have
// it; one that is not known is missing.
func GrowthPerMinute(run history.Run) map[string]float64 {
	r := Rung{Growth: map[string]float64{}, Reached: map[string]float64{}}
	for _, q := range quantities {
		r.measure(run, q)
	}
	return r.Growth
}

// measure sums one quantity over the managers. One that restarted counts once: its
// slope is the mean of its lives' own slopes, weighted by how long each was seen.
func (r Rung) measure(run history.Run, q quantity) (notes []string) {
	slopes, minutes, reached := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, t := range run.Tracks(q.series, history.ManagerSubject, history.Steady) {
		life, p := t.Incarnation, bound.Minutes(t.Samples)
		n := p.Len()
		reached[life.Node] = p.Y[n-1] // lives come in their order
		if n < q.least {
			notes = append(notes, fmt.Sprintf("%s on %s (restart %d) is left out: %d of the %d samples that a slope needs", life.Pod, life.Node, life.Restarts, n, q.least))
			continue
		}
		minutes[life.Node] += p.X[n-1]
		slopes[life.Node] += p.X[n-1] * bound.TheilSen(bound.Thin(p, bound.MaxTrendPoints))
	}
	ever := map[string]bool{}
	for _, t := range run.Tracks(q.series, history.ManagerSubject) {
		ever[t.Incarnation.Node] = true
	}
	growth, total := 0.0, 0.0
	for _, node := range slices.Sorted(maps.Keys(ever)) {
		total += reached[node]
		if minutes[node] == 0 {
			notes = append(notes, fmt.Sprintf("no slope of the manager on %s: this rung is not fitted, for a sum without it would be too low", node))
			continue
		}
		growth += slopes[node] / minutes[node]
	}
	if len(reached) > 0 {
		r.Reached[q.series] = total
	}
	if len(ever) > 0 && len(minutes) == len(ever) {
		r.Growth[q.series] = growth
	}
	return notes
}
