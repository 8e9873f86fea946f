package bound

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func close2(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

func TestMedian(t *testing.T) {
	for want, in := range map[float64][]float64{3: {5, 1, 3}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := Median(in); got != want {
			t.Errorf("median of %v is %v", in, got)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

// Slopes worked by hand.
func TestTheilSen(t *testing.T) {
	for name, c := range map[string]struct {
		points Points
		want   float64
	}{
		"line": {Points{[]float64{0, 1, 2, 3}, []float64{1, 3, 5, 7}}, 2},
		// Slopes 1, 2, 1.5 between 0-1, 1-2, 0-2: the middle is 1.5.
		"three": {Points{[]float64{0, 1, 2}, []float64{0, 1, 3}}, 1.5},
		// Slopes 1, 1, 1 and 97/1, 98/2, 99/3 to the wild point: middle of
		// 1 1 1 33 49 97 is (1+33)/2.
		"four, one wild": {Points{[]float64{0, 1, 2, 3}, []float64{0, 1, 2, 99}}, 17},
		// With a fifth point on the line the wild one has lost: of ten slopes
		// -95, 1 six times, 33, 49, 97 the middle is 1.
		"five, one wild": {Points{[]float64{0, 1, 2, 3, 4}, []float64{0, 1, 2, 99, 4}}, 1},
		"uneven times":   {Points{[]float64{0, 1, 10}, []float64{0, 5, 50}}, 5},
		// The pair at one moment has no slope: 2 and 1 are left.
		"same time": {Points{[]float64{0, 2, 2}, []float64{0, 4, 2}}, 1.5},
		"one point": {Points{[]float64{0}, []float64{1}}, 0},
		"nothing":   {Points{}, 0},
	} {
		if got := TheilSen(c.points); !close2(got, c.want, 1e-12) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// withS orders 1..n so that S is as wished: every swap of neighbours costs 2.
func withS(n, s int) []float64 {
	y := make([]float64, n)
	for i := range y {
		y[i] = float64(i)
	}
	swaps := (n*(n-1)/2 - s) / 2
	for pass := 0; swaps > 0; pass++ {
		for i := 0; i+1 < n && swaps > 0; i++ {
			if y[i] < y[i+1] {
				y[i], y[i+1] = y[i+1], y[i]
				swaps--
			}
		}
	}
	return y
}

// Upper tail of S under no trend, from the published table (Gilbert 1987, table
// A18, after Kendall). The approximation must be this near.
func TestMannKendallTable(t *testing.T) {
	const tolerance = 0.004
	for _, c := range []struct {
		n, s int
		p    float64
	}{
		{8, 12, 0.089}, {8, 16, 0.031}, {8, 20, 0.0071}, {9, 20, 0.022},
		{10, 15, 0.108}, {10, 21, 0.036}, {10, 25, 0.014}, {10, 27, 0.0083},
	} {
		y := withS(c.n, c.s)
		s, p := MannKendall(y)
		if s != c.s {
			t.Fatalf("n=%d: S is %d, want %d", c.n, s, c.s)
		}
		if !close2(p, c.p, tolerance) {
			t.Errorf("n=%d S=%d: p=%.4f, table %.4f", c.n, c.s, p, c.p)
		}
		if exact := exactTail(c.n, c.s); !close2(exact, c.p, 0.0006) {
			t.Errorf("n=%d S=%d: counted p=%.4f, table %.4f", c.n, c.s, exact, c.p)
		}
	}
}

// exactTail counts the orders of n values by their inversions.
func exactTail(n, s int) float64 {
	counts := []float64{1}
	for k := 2; k <= n; k++ {
		next := make([]float64, len(counts)+k-1)
		for i, c := range counts {
			for j := range k {
				next[i+j] += c
			}
		}
		counts = next
	}
	var all, tail float64
	for inversions, c := range counts {
		all += c
		if n*(n-1)/2-2*inversions >= s {
			tail += c
		}
	}
	return tail / all
}

func TestMannKendallTies(t *testing.T) {
	for name, c := range map[string]struct {
		y        []float64
		s        int
		variance float64
	}{
		"all equal": {[]float64{3, 3, 3, 3}, 0, 0},
		// 5*4*15/18 = 16.67, less a pair (2*1*9/18 = 1).
		"a pair": {[]float64{1, 2, 2, 3, 4}, 9, 300.0/18 - 1},
		// Less a pair and a triple (3*2*11/18 = 3.67); of ten pairs four tie.
		"pair and triple": {[]float64{1, 1, 2, 2, 2}, 6, 300.0/18 - 1 - 66.0/18},
		"falling":         {[]float64{4, 3, 2, 1}, -6, 4 * 3 * 13 / 18.0},
		"none":            {nil, 0, 0},
	} {
		s, p := MannKendall(c.y)
		if s != c.s {
			t.Errorf("%s: S=%d, want %d", name, s, c.s)
		}
		want := 1.0
		if s > 0 {
			want = math.Erfc(float64(s-1)/math.Sqrt(c.variance)/math.Sqrt2) / 2
		}
		if !close2(p, want, 1e-12) {
			t.Errorf("%s: p=%v, want %v", name, p, want)
		}
	}
}

func TestStepAt(t *testing.T) {
	for want, y := range map[int][]float64{
		3: {0, 0, 0, 9, 9, 9, 9},
		2: {0, 0, 5, 5},
		0: {1, 2, 3},
	} {
		if got := StepAt(y); got != want {
			t.Errorf("step of %v at %d", y, got)
		}
	}
}

func TestThinKeepsTheSlope(t *testing.T) {
	var p Points
	for i := range 20_000 {
		p.X, p.Y = append(p.X, float64(i)), append(p.Y, 3*float64(i))
	}
	if s := Examine(p, 1); s.Points != MaxTrendPoints || !close2(s.Whole, 3, 1e-9) || s.Shape != Rising {
		t.Errorf("%+v", s)
	}
}

// At the least number of samples every test of a trend can still fail, so a pass
// there means something.
func TestTrendFloorCanFail(t *testing.T) {
	line := func(x float64) float64 { return x }
	if s := Examine(curve(TrendFloor, 1, line), 0); s.Shape != Rising {
		t.Errorf("%+v", s)
	}
}

// curve is n samples over the given minutes.
func curve(n int, minutes float64, f func(minute float64) float64) Points {
	var p Points
	for i := range n {
		x := minutes * float64(i) / float64(n-1)
		p.X, p.Y = append(p.X, x), append(p.Y, f(x))
	}
	return p
}

func seeded(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 9978)) }

// white is noise without memory, ar1 noise that remembers its last value.
func white(r *rand.Rand, sigma float64) func() float64 {
	return func() float64 { return sigma * r.NormFloat64() }
}

func ar1(r *rand.Rand, sigma, phi float64) func() float64 {
	var last float64
	return func() float64 {
		last = phi*last + sigma*math.Sqrt(1-phi*phi)*r.NormFloat64()
		return last
	}
}

const seeds = 200

// rate is the share of seeds in which a rise was found.
func rate(f func(r *rand.Rand) Slope) float64 {
	var found int
	for seed := range seeds {
		if f(seeded(seed)).Shape == Rising {
			found++
		}
	}
	return float64(found) / seeds
}

// A steady phase: 36 samples over three minutes.
const (
	steadySamples = 36
	steadyMinutes = 3.0
	sigma         = 20.0
)

// Noise without a trend must not be called a leak more often than this, even
// where no slope at all is allowed.
func TestTrendFalsePositives(t *testing.T) {
	for _, c := range []struct {
		name  string
		phi   float64 // memory of the noise
		limit float64 // per minute
		most  float64
	}{
		{"white, no slope allowed", 0, 0, 0.01},
		{"memory 0.5, no slope allowed", 0.5, 0, 0.03},
		{"memory 0.8, no slope allowed", 0.8, 0, 0.10},
		{"memory 0.8, a sigma a minute allowed", 0.8, sigma, 0.01},
	} {
		for _, n := range []int{TrendFloor, steadySamples, 120} {
			got := rate(func(r *rand.Rand) Slope {
				noise := ar1(r, sigma, c.phi)
				return Examine(curve(n, steadyMinutes, func(float64) float64 { return 1000 + noise() }), c.limit)
			})
			t.Logf("%s, %d samples: %.3f", c.name, n, got)
			if got > c.most {
				t.Errorf("%s, %d samples: %.3f, at most %.3f", c.name, n, got, c.most)
			}
		}
	}
}

// A leak of six sigma of noise a minute is always found, of ten also in noise with
// memory; how often smaller ones are is logged.
func TestTrendFindsLeaks(t *testing.T) {
	const limit = sigma / 2
	always := map[float64]float64{0: 6, 0.5: 10} // by the noise's memory
	for _, leak := range []float64{2, 3, 4, 6, 10} {
		for _, phi := range []float64{0, 0.5} {
			for _, lost := range []bool{false, true} {
				got := rate(func(r *rand.Rand) Slope {
					noise := ar1(r, sigma, phi)
					p := curve(steadySamples, steadyMinutes, func(x float64) float64 { return 1000 + leak*sigma*x + noise() })
					if lost { // a sixth of it, in the middle
						p = Points{append(p.X[:15:15], p.X[21:]...), append(p.Y[:15:15], p.Y[21:]...)}
					}
					return Examine(p, limit)
				})
				t.Logf("leak of %.0f sigma a minute, memory %.1f, gap %v: %.3f", leak, phi, lost, got)
				if leak >= always[phi] && got < 1 {
					t.Errorf("leak of %.0f sigma a minute, memory %.1f, gap %v: found in %.3f of the runs", leak, phi, lost, got)
				}
			}
		}
	}
}

func TestShapes(t *testing.T) {
	const amplitude = 400.0
	saw := func(periods, phase float64) func(x float64) float64 {
		return func(x float64) float64 {
			_, f := math.Modf(x/steadyMinutes*periods + phase)
			return amplitude * f
		}
	}
	step := func(when float64) func(x float64) float64 {
		return func(x float64) float64 {
			if x < when*steadyMinutes {
				return 0
			}
			return amplitude
		}
	}
	warm := func(tau float64) func(x float64) float64 {
		return func(x float64) float64 { return amplitude * (1 - math.Exp(-x/tau)) }
	}
	late := func(when float64) func(x float64) float64 {
		return func(x float64) float64 { return max(0, x-when*steadyMinutes) * amplitude }
	}
	type shape struct {
		name  string
		f     func(x float64) float64
		limit float64
		leak  bool
		most  float64 // share of runs that may be called a leak all the same
	}
	all := []shape{
		{"late leak 0.3", late(0.3), 20, true, 1},
		{"late leak 0.6", late(0.6), 20, true, 1},
		{"warm-up 0.3", warm(0.3), 2 * sigma, false, 0.01},
		{"warm-up 0.5", warm(0.5), 2 * sigma, false, 0.01},
	}
	all = append(all,
		// Leaks that come with a resync twice a minute.
		shape{"staircase", func(x float64) float64 { return math.Floor(2*x) * 100 }, 50, true, 1},
		shape{"leak under a saw-tooth", func(x float64) float64 { return 200*x + saw(6, 0)(x)/2 }, 50, true, 1},
		shape{"leak under a tall saw-tooth", func(x float64) float64 { return 200*x + saw(6, 0)(x) }, 50, true, 1},
	)
	for _, when := range []float64{0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9} {
		all = append(all, shape{fmt.Sprintf("step %.2f", when), step(when), 5, false, 0.01})
	}
	for _, when := range []float64{0.55, 0.65, 0.75, 0.85} {
		small := func(x float64) float64 { return step(when)(x) * 5 * sigma / amplitude }
		all = append(all, shape{fmt.Sprintf("step of 5 sigma %.2f", when), small, 5, false, 0.06})
	}
	for _, periods := range []float64{1.3, 1.5, 1.8, 2, 2.3, 2.5, 2.7, 3, 3.5, 4.2, 5, 7.7, 12} {
		for _, phase := range []float64{0, 0.2, 0.4, 0.6, 0.8} {
			all = append(all, shape{fmt.Sprintf("saw-tooth %.1f from %.1f", periods, phase), saw(periods, phase), 5, false, 0.01})
		}
	}
	for _, s := range all {
		got := rate(func(r *rand.Rand) Slope {
			noise := white(r, sigma)
			return Examine(curve(steadySamples, steadyMinutes, func(x float64) float64 { return 1000 + s.f(x) + noise() }), s.limit)
		})
		if s.leak && got < 1 || !s.leak && got > s.most {
			t.Errorf("%s: called a leak in %.3f of the runs", s.name, got)
		}
	}
}
