package bound

import (
	"cmp"
	"fmt"
	"slices"

	"blackout/e2e/history"
)

const (
	// TrendSignificance is how likely a rise by chance alone may be.
	TrendSignificance = 0.01
	// LastHalfSignificance is the same for the last half alone; weaker, because it
	// only tells a rise that goes on from one that is over.
	LastHalfSignificance = 0.05
	// LastHalfShare of the whole slope must be left in the last half.
	LastHalfShare = 0.3
	// TrendFloor is how many samples of one incarnation a trend needs at least.
	TrendFloor = 12
	// FloorShare is how much of the slope the floor of a saw-tooth must follow to
	// be a leak.
	FloorShare = 0.5
	// FallShare of the whole rise must be lost again in one fall to make a saw-tooth.
	FallShare = 0.7
	// StepShare of a line's squared distances is what a step must stay under to be
	// the better explanation: it is free to choose its place, and takes noise along.
	StepShare = 0.6
	// WholeStepShare is the same over the whole stretch, where a rise that begins
	// late looks a little like a step too.
	WholeStepShare = 0.35
	// MaxTrendPoints keeps the pairs at half a million in a run of days.
	MaxTrendPoints = 1000

	perMinute = "/min"
)

// Shape says what kind of curve was found.
type Shape string

// The shapes. Only Rising is a trend.
const (
	Rising      Shape = "rising"
	Flat        Shape = "no steeper than allowed"
	Noise       Shape = "not significant"
	LevelledOff Shape = "levelled off in its last half"
	Step        Shape = "one step, flat beside it"
	SawTooth    Shape = "a saw-tooth whose floor does not rise"
)

// Slope is what is known of the rise of a series. Slopes are in units of Y per
// unit of X.
type Slope struct {
	Points              int
	Whole, WholeP       float64
	LastHalf, LastHalfP float64
	// StepFit is how far the values are from one step, as a share of how far they
	// are from a line (squared), and LastHalfStepFit the same of the last half.
	StepFit, LastHalfStepFit float64
	Floor                    float64
	Fall                     float64 // in units of Y
	Shape                    Shape
}

// Examine tells a lasting rise steeper than limit from noise, from a warm-up
// that levels off, from a single step and from a saw-tooth. Each of them rises
// somewhere, so each takes its own look: the last half must rise too, a step must
// not explain it better than a line, and what fell again must leave a rising floor.
func Examine(p Points, limit float64) Slope {
	p = Thin(p, MaxTrendPoints)
	last := p.slice(p.Len()/2, p.Len())
	s := Slope{
		Points:   p.Len(),
		Whole:    TheilSen(p),
		LastHalf: TheilSen(last),
		Floor:    FloorSlope(p),
		Fall:     LargestFall(p.Y),
	}
	_, s.WholeP = MannKendall(p.Y)
	_, s.LastHalfP = MannKendall(last.Y)
	s.StepFit, s.LastHalfStepFit = StepFit(p), StepFit(last)
	rise := s.Whole * (p.X[p.Len()-1] - p.X[0])
	switch {
	case s.Whole <= limit:
		s.Shape = Flat
	case s.WholeP >= TrendSignificance:
		s.Shape = Noise
	case s.LastHalf <= max(limit, LastHalfShare*s.Whole) || s.LastHalfP >= LastHalfSignificance:
		s.Shape = LevelledOff
	case s.StepFit < WholeStepShare || s.LastHalfStepFit < StepShare:
		s.Shape = Step
	case s.Fall >= FallShare*rise && s.Floor <= FloorShare*s.Whole:
		s.Shape = SawTooth
	default:
		s.Shape = Rising
	}
	return s
}

// trend judges the slope per minute of each incarnation by itself: a restart
// resets what leaked, and a joined series would look flat.
func (c check) trend() Result {
	res := c.result(c.unit() + perMinute)
	phases := c.phases(history.Steady)
	least := max(c.minSamples(), TrendFloor)

	type judged struct {
		track history.Track
		slope Slope
	}
	var all []judged
	short, seen := map[place]int{}, map[place]int{}
	for _, t := range c.run.Tracks(c.bound.Series, c.bound.Subject, phases...) {
		seen[placeOf(t)] += len(t.Samples)
		if len(t.Samples) < least {
			short[placeOf(t)] += len(t.Samples)
			continue
		}
		all = append(all, judged{t, Examine(Minutes(t.Samples), res.Limit)})
	}
	if len(all) > 0 {
		worst := slices.MaxFunc(all, func(a, b judged) int {
			return cmp.Or(cmp.Compare(rising(a.slope), rising(b.slope)), cmp.Compare(a.slope.Whole, b.slope.Whole))
		})
		s := worst.slope
		res.Observed, res.Worst = s.Whole, worst.track.Incarnation
		res.At = worst.track.Samples[len(worst.track.Samples)-1].Time
		res.Extra = map[string]float64{
			"points": float64(s.Points), "p": s.WholeP,
			"lastHalf": s.LastHalf, "lastHalfP": s.LastHalfP,
			"stepFit": s.StepFit, "lastHalfStepFit": s.LastHalfStepFit, "floor": s.Floor, "fall": s.Fall,
		}
		res.Reason = fmt.Sprintf("%s: slope %s, limit %s, %s over %s: %s", of(worst.track),
			quantity(s.Whole, res.Unit), quantity(res.Limit, res.Unit), probability(s.WholeP),
			plural(len(worst.track.Samples), "sample"), s.Shape)
		if s.Shape == Rising {
			res.Verdict, res.Offending = Fail, worst.track.Samples
			return res
		}
	}
	if why := c.seriesDoubt(phases, least); why != "" {
		return res.inconclusive("%s", why)
	}
	for _, p := range sortedPlaces(seen) {
		if s := float64(short[p]) / float64(seen[p]); s > MaxShortShare {
			return res.inconclusive("%.0f%% of the samples of %s are of incarnations with fewer than %d", percent*s, p, least)
		}
	}
	return res
}

func rising(s Slope) int {
	if s.Shape == Rising {
		return 1
	}
	return 0
}

// Minutes takes samples as values over minutes since the first.
func Minutes(samples []history.Sample) Points {
	var p Points
	for _, s := range samples {
		p.X = append(p.X, s.Time.Sub(samples[0].Time).Minutes())
		p.Y = append(p.Y, s.Value)
	}
	return p
}
