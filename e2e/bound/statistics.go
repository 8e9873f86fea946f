package bound

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Median of the values, the mean of the middle two if their number is even; NaN
// of none. (gonum's quantiles take other conventions at 0.5.)
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// Points is a series: Y over X, where X rises.
type Points struct{ X, Y []float64 }

// Len is how many points there are.
func (p Points) Len() int { return len(p.X) }

func (p Points) slice(from, to int) Points { return Points{p.X[from:to], p.Y[from:to]} }

// TheilSen is the median of the slopes between all pairs of points, which nearly
// a third of wild points cannot move. It is 0 without pairs.
func TheilSen(p Points) float64 {
	n := p.Len()
	slopes := make([]float64, 0, n*(n-1)/2)
	for i := range p.X {
		for j := range i {
			if dx := p.X[i] - p.X[j]; dx > 0 {
				slopes = append(slopes, (p.Y[i]-p.Y[j])/dx)
			}
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	return Median(slopes)
}

// MannKendall tests whether values rise in their order: S is the number of
// rising pairs less the falling ones, and p the probability of so large an S
// without a trend (one-sided, by the normal approximation with correction for
// continuity and ties).
func MannKendall(y []float64) (s int, p float64) {
	for i := range y {
		for j := range i {
			switch {
			case y[i] > y[j]:
				s++
			case y[i] < y[j]:
				s--
			}
		}
	}
	variance := kendallVariance(y)
	if variance == 0 || s <= 0 {
		// The approximation is not needed where p is far from any limit.
		return s, 1
	}
	z := float64(s-1) / math.Sqrt(variance)
	return s, distuv.UnitNormal.Survival(z)
}

// kendallVariance of S under no trend: n(n-1)(2n+5)/18, less the same term for
// every group of equal values.
func kendallVariance(y []float64) float64 {
	term := func(n float64) float64 { return n * (n - 1) * (2*n + 5) / 18 }
	v := term(float64(len(y)))
	equal := map[float64]int{}
	for _, value := range y {
		equal[value]++
	}
	for _, n := range equal {
		v -= term(float64(n))
	}
	return v
}

// minSegment is the shortest stretch on either side of a step: one point is an
// outlier.
const minSegment = 2

// StepAt returns the index at which a single step explains the values best: the
// split with the least squared distance to the means of both sides. It is 0 if
// there are too few values.
func StepAt(y []float64) int {
	var total float64
	for _, v := range y {
		total += v
	}
	best, at := math.Inf(-1), 0
	var left float64
	for k, n := 0, float64(len(y)); k < len(y)-minSegment; k++ {
		left += y[k]
		if k+1 < minSegment {
			continue
		}
		nl := float64(k + 1)
		right := total - left
		// Least squared distance is the largest spread between the sides.
		diff := left/nl - right/(n-nl)
		if between := nl * (n - nl) / n * diff * diff; between > best {
			best, at = between, k+1
		}
	}
	return at
}

// maxFit stands for a line that fits exactly: a share must stay a number.
const maxFit = 1e6

// StepFit compares the best single step with the best line: the squared distance
// of the values to the step as a share of that to the line. It is 1 where neither
// is better.
func StepFit(p Points) float64 {
	k := StepAt(p.Y)
	if k == 0 {
		return 1
	}
	var step, line float64
	for _, side := range [][]float64{p.Y[:k], p.Y[k:]} {
		mean := stat.Mean(side, nil)
		for _, y := range side {
			step += (y - mean) * (y - mean)
		}
	}
	alpha, beta := stat.LinearRegression(p.X, p.Y, nil, false)
	for i, y := range p.Y {
		d := y - alpha - beta*p.X[i]
		line += d * d
	}
	if step == line {
		return 1
	}
	return min(step/line, maxFit)
}

// floorQuantile is where the floor of a saw-tooth is looked for: low, but no
// single lowest point.
const floorQuantile = 0.2

// FloorSlope is how fast the low values rise, from the first half to the last or
// from the first third to the last, whichever is less. A saw-tooth rises between
// its drops, its floor does not; a leak's floor does.
func FloorSlope(p Points) float64 {
	least := math.Inf(1)
	for _, parts := range []int{2, 3} {
		n := p.Len() / parts
		if n == 0 {
			return 0
		}
		first, last := p.slice(0, n), p.slice(p.Len()-n, p.Len())
		if dx := Median(last.X) - Median(first.X); dx > 0 {
			least = min(least, (floor(last.Y)-floor(first.Y))/dx)
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

func floor(y []float64) float64 {
	return stat.Quantile(floorQuantile, stat.Empirical, slices.Sorted(slices.Values(y)), nil)
}

// LargestFall is how far the values fell at most from one moment to a later one.
// Each is the median of three neighbours, so one wild point makes no fall.
func LargestFall(y []float64) float64 {
	var fall float64
	high := math.Inf(-1)
	for i := range y {
		v := Median(y[max(i-1, 0):min(i+2, len(y))])
		high = max(high, v)
		fall = max(fall, high-v)
	}
	return fall
}

// Thin joins neighbours until at most n points are left, each the median of its
// neighbours: Theil-Sen looks at all pairs.
func Thin(p Points, n int) Points {
	if p.Len() <= n {
		return p
	}
	var out Points
	for i := range n {
		from, to := i*p.Len()/n, (i+1)*p.Len()/n
		out.X = append(out.X, Median(p.X[from:to]))
		out.Y = append(out.Y, Median(p.Y[from:to]))
	}
	return out
}
