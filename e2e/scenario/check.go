package scenario

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	// MaxBackupsPerVolume keeps a VolumeAttachment, which has a ticket a backup,
	// far from etcd's limit; every new ticket rewrites it.
	MaxBackupsPerVolume = 250
	// MinBaselineSamples is how many samples make a median that one outlier does
	// not move.
	MinBaselineSamples = 5
	// MaxSnapshotsPerVolume is Longhorn's own limit and its default.
	MaxSnapshotsPerVolume = 250
	// minSnapshotLimit is the least that Longhorn accepts as a limit.
	minSnapshotLimit = 2
	snapshotLimit    = "snapshot-max-count"

	namePattern    = `^[a-z0-9]+(-[a-z0-9]+)*$`
	versionPattern = `^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`
	issuePattern   = `^issue-[1-9][0-9]*$`
)

var (
	nameForm    = regexp.MustCompile(namePattern)
	versionForm = regexp.MustCompile(versionPattern)
	issueForm   = regexp.MustCompile(issuePattern)
	// bareVersion is a version without its v.
	bareVersion = regexp.MustCompile(`^[0-9]`)

	plainLabels = []string{"smoke", "nightly", "qualification"}

	// sizeStep is what Longhorn rounds a volume's size up to.
	sizeStep  = resource.MustParse("2Mi")
	boundType = reflect.TypeFor[Bound]()
)

// Validate checks values that no file was decoded to, such as those of a decoded
// scenario with the command line's in their place.
func (s Scenario) Validate(known Known) error {
	c := checker{scenario: &s, known: known, bad: map[string]bool{}}
	c.check()
	return joined(c.problems)
}

type checker struct {
	scenario *Scenario
	known    Known
	document *document // nil when there is no file
	// bad has the paths that something is known to be wrong with.
	bad      map[string]bool
	problems []Problem
}

// place of a problem: a path, and the others whose values made it one.
type place struct {
	at   string
	key  bool // at the key, not the value
	with []string
}

func at(path string, with ...string) place { return place{at: path, with: with} }

// fail adds a problem, unless it may only follow from one already known.
func (c *checker) fail(p place, meant, format string, args ...any) {
	if c.unusable(p.at) || slices.ContainsFunc(p.with, c.unusable) {
		return
	}
	c.bad[p.at] = true
	problem := Problem{Message: fmt.Sprintf(format, args...), Meant: meant}
	if d := c.document; d != nil {
		spot := d.place(p.at, p.key)
		problem.File, problem.Line, problem.Column = d.file, spot.line, spot.column
	}
	c.problems = append(c.problems, problem)
}

// unusable says whether a path, or what it is part of, is bad.
func (c *checker) unusable(path string) bool {
	return c.bad[path] || path != "" && c.unusable(parent(path))
}

func (c *checker) check() {
	c.fields(reflect.ValueOf(c.scenario).Elem(), "")
	c.names()
	c.sizes()
	c.disk()
	c.racks()
	c.outage()
	c.rolledBack()
	c.actions()
	c.sampling()
	c.bounds()
	c.expectations()
	c.limits()
}

// fields checks what each field alone must satisfy.
func (c *checker) fields(v reflect.Value, path string) {
	switch value := v.Interface().(type) {
	case Duration, resource.Quantity:
		return
	case word:
		// An empty one is missing, which its rules say.
		if text := v.String(); text != "" && !slices.Contains(value.words(), text) {
			message, meant := unknown(path, text, value.words())
			c.fail(at(path), meant, "%s", message)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i, f := range fieldsOf(v.Type()) {
			c.rules(v.Field(i), f.rules, join(path, f.name))
			c.fields(v.Field(i), join(path, f.name))
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.fields(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

func (c *checker) rules(v reflect.Value, r rules, path string) {
	if r.required && v.Kind() == reflect.String && v.Len() == 0 {
		c.fail(at(path), "", "%s is empty", path)
	}
	if d, ok := v.Interface().(Duration); ok && r.positive && d.Duration <= 0 {
		c.fail(at(path), "", "%s is %s; want more than 0s", path, d)
	}
	if r.min == nil && r.max == nil {
		return
	}
	number := v.Convert(reflect.TypeFor[float64]()).Float()
	switch {
	case r.min != nil && r.max != nil && !(number >= *r.min && number <= *r.max):
		c.fail(at(path), "", "%s is %v; want %v to %v", path, v, *r.min, *r.max)
	case r.min != nil && number < *r.min:
		c.fail(at(path), "", "%s is %v; want at least %v", path, v, *r.min)
	}
}

func (c *checker) dashed(path, name string) {
	if name != "" && !nameForm.MatchString(name) {
		c.fail(at(path), "", "%s is %q; want lower-case words joined by dashes", path, name)
	}
}

func (c *checker) names() {
	s := c.scenario
	c.dashed("name", s.Name)
	for i, label := range s.Labels {
		where := at(fmt.Sprintf("labels[%d]", i))
		switch {
		case slices.Contains(s.Labels[:i], label):
			c.fail(where, "", "label %q twice", label)
		case !slices.Contains(plainLabels, label) && !issueForm.MatchString(label):
			message, meant := unknown("label", label, append(slices.Clone(plainLabels), "issue-NNNN"))
			c.fail(where, meant, "%s", message)
		}
	}
	c.versions("longhorn.versions", s.Longhorn.Versions, map[string]bool{})
	for _, name := range slices.Sorted(maps.Keys(s.Longhorn.Settings)) {
		if !nameForm.MatchString(name) {
			c.fail(place{at: "longhorn.settings." + name, key: true}, "",
				"setting %q; want lower-case words joined by dashes", name)
		}
	}
}

// versions also adds to seen, which is what is listed already.
func (c *checker) versions(path string, versions []string, seen map[string]bool) {
	if len(versions) == 0 {
		c.fail(at(path), "", "%s is empty", path)
	}
	for i, version := range versions {
		where := at(fmt.Sprintf("%s[%d]", path, i))
		if !versionForm.MatchString(version) {
			meant := ""
			if bareVersion.MatchString(version) && versionForm.MatchString("v"+version) {
				meant = "v" + version
			}
			c.fail(where, meant, "version %q is not of the form v1.7.2", version)
		} else if seen[version] {
			c.fail(where, "", "version %q is already in %s", version, path)
		}
		seen[version] = true
	}
}

func (c *checker) sizes() {
	s := c.scenario
	v, b := s.Volumes, s.Backlog
	if v.Replicas > s.Cluster.Workers {
		c.fail(at("volumes.replicas", "cluster.workers"), "",
			"volumes.replicas is %d, but there are %d workers and two replicas never share one", v.Replicas, s.Cluster.Workers)
	}
	if v.Size.Sign() <= 0 || v.Size.Value()%sizeStep.Value() != 0 {
		c.fail(at("volumes.size"), "", "volumes.size is %s; want a multiple of %s", v.Size.String(), sizeStep.String())
	}
	c.snapshots()
	c.content()
	if v.Count < 1 || b.Count < 1 {
		return
	}
	if each := perVolume(b.Count, v.Count); each > MaxBackupsPerVolume {
		c.fail(at("backlog.count", "volumes.count"), "", "%d backups over %d volumes are %d a volume; at most %d, so want %d volumes",
			b.Count, v.Count, each, MaxBackupsPerVolume, perVolume(b.Count, MaxBackupsPerVolume))
	}
}

// perVolume rounds up.
func perVolume(count, volumes int) int { return (count + volumes - 1) / volumes }

func (c *checker) snapshots() {
	s := c.scenario
	limit := MaxSnapshotsPerVolume
	setting := "longhorn.settings." + snapshotLimit
	if text, ok := s.Longhorn.Settings[snapshotLimit]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < minSnapshotLimit || n > MaxSnapshotsPerVolume {
			c.fail(at(setting), "", "%s is %q; want %d to %d", setting, text, minSnapshotLimit, MaxSnapshotsPerVolume)
			return
		}
		limit = n
	}
	if kept, doomed := s.SnapshotsPerVolume(); kept+doomed > limit {
		c.fail(at("volumes.snapshots", "backlog.lost"), "", "volumes.snapshots is %d, and %d more to be lost: %d a volume; at most %d",
			kept, doomed, kept+doomed, limit)
	}
}

func (c *checker) content() {
	fill := c.scenario.Volumes.Content.Fill
	if c.document != nil && c.document.given("volumes.content.fill") && fill == 0 {
		c.fail(at("volumes.content.fill"), "", "volumes.content.fill is 0; want more, or no content")
	}
	for i, b := range c.scenario.Bounds {
		if b.Kind == ContentBound && fill == 0 {
			c.fail(at(fmt.Sprintf("bounds[%d].kind", i), "volumes.content"), "", "kind %s needs volumes.content", b.Kind)
		}
	}
}

func (c *checker) sampling() {
	if s := c.scenario.Sampling; s.Heap.Duration < s.Interval.Duration {
		c.fail(at("sampling.heap", "sampling.interval"), "", "sampling.heap is %s, less than the interval of %s", s.Heap, s.Interval)
	}
}

func (c *checker) expectations() {
	s := c.scenario
	var bounds, paths []string
	for i, b := range s.Bounds {
		bounds = append(bounds, b.Name)
		paths = append(paths, fmt.Sprintf("bounds[%d].name", i))
	}
	versions := map[string]bool{}
	for i, e := range s.Expect {
		path := fmt.Sprintf("expect[%d]", i)
		c.versions(path+".versions", e.Versions, versions)
		seen := map[string]bool{}
		named := func(list string, names []string) {
			for j, name := range names {
				where := at(fmt.Sprintf("%s.%s[%d]", path, list, j), paths...)
				if !slices.Contains(bounds, name) {
					message, meant := unknown("bound", name, bounds)
					c.fail(where, meant, "%s", message)
				} else if seen[name] {
					c.fail(where, "", "bound %q is already in %s", name, path)
				}
				seen[name] = true
			}
		}
		named("violations", e.Violations)
		named("allowed", e.Allowed)
	}
}

func (c *checker) limits() {
	names := TimeoutNames()
	for _, name := range slices.Sorted(maps.Keys(c.scenario.Limits)) {
		path, limit := "timeouts."+name, c.scenario.Limits[name]
		if !slices.Contains(names, name) {
			message, meant := unknown("timeout", name, names)
			c.fail(place{at: path, key: true}, meant, "%s", message)
		} else if limit.Duration <= 0 {
			c.fail(at(path), "", "%s is %s; want more than 0s", path, limit)
		}
	}
}
