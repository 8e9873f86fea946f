package compare

import (
	"testing"

	. "github.com/onsi/gomega"
)

// parted is one way to part tied values between two sets, of the many by which
// they come to it.
type parted struct {
	baseline, candidate []float64
	ways                int
	twiceU              int // of the baseline: 2 for each pair in which it is above, 1 for each tie
}

// partings of values, of which ties[i] are i each, into a baseline of n and the rest.
func partings(ties []int, n int) (all []parted) {
	if len(ties) == 0 {
		if n == 0 {
			all = []parted{{ways: 1}}
		}
		return all
	}
	last := len(ties) - 1
	for taken := 0; taken <= min(n, ties[last]); taken++ {
		for _, p := range partings(ties[:last], n-taken) {
			left := ties[last] - taken
			p.twiceU += taken * (2*len(p.candidate) + left)
			p.ways *= choose(ties[last], taken)
			p.baseline = append(p.baseline, repeated(last, taken)...)
			p.candidate = append(p.candidate, repeated(last, left)...)
			all = append(all, p)
		}
	}
	return all
}

func repeated(value, times int) (all []float64) {
	for range times {
		all = append(all, float64(value))
	}
	return all
}

func choose(n, k int) int {
	ways := 1
	for i := range k {
		ways = ways * (n - i) / (i + 1)
	}
	return ways
}

// tied are all ways in which so many values can tie.
func tied(values int) (all [][]int) {
	if values == 0 {
		return [][]int{nil}
	}
	for last := 1; last <= values; last++ {
		for _, ties := range tied(values - last) {
			all = append(all, append(ties, last))
		}
	}
	return all
}

// Of all ways to part n + m values, however they tie: p is twice the share of those at
// least as far to one side, and at most one in twenty has an interval above 0 or one below.
func TestUTestAgainstAllPartings(t *testing.T) {
	g := NewWithT(t)
	g.Expect(compareValues([]float64{1, 2, 3}, []float64{3, 3, 3, 3}, 0).P).To(BeNumerically("~", 2.0/7, 1e-9))
	g.Expect(compareValues([]float64{0, 0, 0}, []float64{0, 0, 0, 0}, 0).P).To(Equal(1.0), "all are equal")
	const most = 5
	for n := 1; n <= most; n++ {
		for m := 1; m <= most; m++ {
			for _, ties := range tied(n + m) {
				againstAll(g, partings(ties, n), choose(n+m, n))
			}
		}
	}
}

func againstAll(g *WithT, all []parted, ways int) {
	seen, above, below := 0, 0, 0
	for _, p := range all {
		seen += p.ways
		atMost, atLeast := 0, 0
		for _, other := range all {
			if other.twiceU <= p.twiceU {
				atMost += other.ways
			}
			if other.twiceU >= p.twiceU {
				atLeast += other.ways
			}
		}
		d := compareValues(p.baseline, p.candidate, 0)
		exact := min(1, 2*float64(min(atMost, atLeast))/float64(ways))
		g.Expect(d.P).To(BeNumerically("~", exact, 1e-9), "%v over %v", p.candidate, p.baseline)
		switch {
		case d.Lo == nil:
		case *d.Lo > 0:
			above += p.ways
		case *d.Hi < 0:
			below += p.ways
		}
	}
	g.Expect(seen).To(Equal(ways))
	g.Expect(float64(max(above, below))).To(BeNumerically("<=", Significance*float64(ways)+1e-9), "%v", all)
}
