package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// boundFields has the fields that each kind needs and may have, beside name and
// kind.
var boundFields = map[BoundKind]struct{ needs, may []string }{
	Ceiling:      {needs: []string{"series", "max"}, may: []string{"subject", "phases", "minSamples"}},
	Growth:       {needs: []string{"series", "max"}, may: []string{"subject", "phases", "minSamples"}},
	Trend:        {needs: []string{"series", "max"}, may: []string{"subject", "phases", "minSamples"}},
	Drain:        {needs: []string{"max", "within"}},
	Settle:       {needs: []string{"series", "max", "within"}, may: []string{"subject", "minSamples"}},
	Reached:      {needs: []string{"series", "min"}, may: []string{"subject", "phases"}},
	Recovered:    {needs: []string{"within"}},
	Restarts:     {may: []string{"subject", "phases", "max"}},
	Conservation: {},
	Orphans:      {may: []string{"max"}},

	AcknowledgedWrites: {may: []string{"max"}},
	Chains:             {may: []string{"max"}},
	ContentBound:       {may: []string{"max"}},
	Taken:              {may: []string{"max"}},
}

func (k BoundKind) needs(field string) bool { return slices.Contains(boundFields[k].needs, field) }

func (k BoundKind) reads(field string) bool {
	return k.needs(field) || slices.Contains(boundFields[k].may, field)
}

// given says which of a bound's fields have a value other than zero.
func (b Bound) given() map[string]bool {
	return map[string]bool{
		"series": b.Series != "", "subject": b.Subject != "", "phases": len(b.Phases) > 0,
		"max": !b.Max.IsZero(), "min": !b.Min.IsZero(), "within": b.Within.Duration != 0, "minSamples": b.MinSamples != 0,
	}
}

func (c *checker) bounds() {
	s := c.scenario
	first := map[string]int{}
	for i, b := range s.Bounds {
		path := fmt.Sprintf("bounds[%d]", i)
		if j, twice := first[b.Name]; twice {
			c.fail(at(path+".name"), "", "a second bound named %q; the first is bounds[%d]", b.Name, j)
		} else if b.Name != "" {
			first[b.Name] = i
			c.dashed(path+".name", b.Name)
		}
		if _, ok := boundFields[b.Kind]; ok {
			c.fieldsOfKind(path, b)
			c.boundValues(path, b)
		}
	}
	if len(s.Bounds) == 0 {
		c.fail(at("bounds"), "", "bounds is empty; a run that nothing judges shows nothing")
	}
}

// fieldsOfKind checks that a kind has its fields and no others.
func (c *checker) fieldsOfKind(path string, b Bound) {
	for _, f := range fieldsOf(boundType) {
		if f.name == "name" || f.name == "kind" {
			continue
		}
		given := b.given()[f.name]
		if c.document != nil {
			given = c.document.given(join(path, f.name))
		}
		switch {
		case given && !b.Kind.reads(f.name):
			c.fail(place{at: join(path, f.name), key: true, with: []string{path + ".kind"}}, "",
				"kind %s does not read %q; it reads %s", b.Kind, f.name, b.Kind.listed())
		// Of a zero max, only a file can tell whether it was meant.
		case !given && b.Kind.needs(f.name) && (c.document != nil || f.name != "max"):
			c.fail(at(join(path, f.name)), "", "%s is missing; kind %s needs it", join(path, f.name), b.Kind)
		}
	}
}

func (k BoundKind) listed() string {
	fields := slices.Concat(boundFields[k].needs, boundFields[k].may)
	if len(fields) == 0 {
		return "none but name and kind"
	}
	return strings.Join(fields, ", ")
}

// boundValues checks the fields that the kind reads.
func (c *checker) boundValues(path string, b Bound) {
	if b.Kind.reads("series") && b.Series != "" {
		c.boundSeries(path, b)
	}
	if b.Max.Sign() < 0 {
		c.fail(at(path+".max"), "", "%s.max is %s; want at least 0", path, b.Max.String())
	}
	if b.Kind.reads("min") && b.Min.Sign() <= 0 {
		c.fail(at(path+".min"), "", "%s.min is %s; want more than 0", path, b.Min.String())
	}
	if b.Subject != "" && !slices.Contains(c.known.Subjects, b.Subject) {
		if meant := nearest(b.Subject, c.known.Subjects); meant != "" && distance(b.Subject, meant) <= nearSubject {
			c.fail(at(path+".subject"), meant, "unknown subject %q", b.Subject)
		}
	}
	if b.Kind.reads("minSamples") && b.MinSamples < 1 {
		c.fail(at(path+".minSamples"), "", "%s.minSamples is %d; want at least 1", path, b.MinSamples)
	}
	if b.Kind.reads("within") {
		c.boundWithin(path, b)
	}
	if b.Kind.reads("phases") {
		c.boundPhases(path, b)
	}
}

// nearSubject is how many letters a subject may differ from a common one and
// still be taken for a slip.
const nearSubject = 2

// smallestSize is below any size that a bound could mean: less is a count.
var smallestSize = resource.MustParse("1Ki")

func (c *checker) boundSeries(path string, b Bound) {
	unit, ok := c.known.Series[b.Series]
	if !ok {
		message, meant := unknown("series", b.Series, slices.Sorted(maps.Keys(c.known.Series)))
		c.fail(at(path+".series"), meant, "%s", message)
		return
	}
	where := at(path+".max", path+".series")
	bytes := strings.HasPrefix(unit, "bytes")
	switch text := b.Max.String(); {
	case bytes && !b.Max.IsZero() && b.Max.Cmp(smallestSize) < 0:
		c.fail(where, text+"Mi", "%s.max is %s, but %s is in %s", path, text, b.Series, unit)
	case !bytes && b.Max.Format == resource.BinarySI:
		c.fail(where, "", "%s.max is %s, but %s is in %s: want a plain number", path, text, b.Series, unit)
	}
}

func (c *checker) boundWithin(path string, b Bound) {
	p := c.scenario.Phases
	end := Duration{p.Recovery.Duration + p.Steady.Duration}
	switch {
	case b.Kind == Recovered && b.Within.Duration > p.Recovery.Duration:
		c.fail(at(path+".within", "phases.recovery"), "",
			"%s.within is %s, but the steps of a recovery are followed for %s at most: phases.recovery", path, b.Within, p.Recovery)
	case b.Within.Duration <= 0:
		c.fail(at(path+".within"), "", "%s.within is %s; want more than 0s", path, b.Within)
	case b.Within.Duration > end.Duration:
		c.fail(at(path+".within", "phases.recovery", "phases.steady"), "",
			"%s.within is %s, but recovery and steady are %s together at most", path, b.Within, end)
	}
}

func (c *checker) boundPhases(path string, b Bound) {
	lasts := map[string]Duration{
		baselinePhase: c.scenario.Phases.Baseline, recoveryPhase: c.scenario.Phases.Recovery, steadyPhase: c.scenario.Phases.Steady,
	}
	var total Duration
	bounded := true
	if len(b.Phases) == 0 {
		c.fail(at(path+".phases"), "", "%s.phases is empty", path)
	}
	for i, phase := range b.Phases {
		where := at(fmt.Sprintf("%s.phases[%d]", path, i))
		if !slices.Contains(c.known.Phases, phase) {
			message, meant := unknown("phase", phase, c.known.Phases)
			c.fail(where, meant, "%s", message)
			bounded = false
		} else if slices.Contains(b.Phases[:i], phase) {
			c.fail(where, "", "phase %q twice", phase)
		}
		last, ok := lasts[phase]
		bounded = bounded && ok
		total.Duration += last.Duration
	}
	interval, from := c.sampled(b.Series)
	if !b.Kind.reads("minSamples") || interval.Duration <= 0 || c.known.Recorded {
		return
	}
	if samples := int(total.Duration / interval.Duration); bounded && samples < b.MinSamples {
		c.fail(at(path+".minSamples", path+".phases", path+".series", from, "phases"), "",
			"%s.minSamples is %d, but %s has %d samples, one every %s: %s", path, b.MinSamples, total, samples, interval, from)
	}
	baseline := lasts[baselinePhase]
	if samples := int(baseline.Duration / interval.Duration); b.Kind == Growth && samples < MinBaselineSamples {
		c.fail(at("phases.baseline", path+".kind", path+".series", from), "",
			"phases.baseline is %s, which has %d samples of %s, one every %s: %s; the median that %s compares with takes %d",
			baseline, samples, b.Series, interval, from, path, MinBaselineSamples)
	}
}

// sampled says how often a series is, and by which field.
func (c *checker) sampled(series string) (every Duration, from string) {
	if slices.Contains(c.known.HeapSeries, series) {
		return c.scenario.Sampling.Heap, "sampling.heap"
	}
	return c.scenario.Sampling.Interval, "sampling.interval"
}
