package compare

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"blackout/e2e/history"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// manager is the component that is compared.
const manager = "longhorn-manager"

// sameMemory is how much the memory of two equal machines may differ.
const sameMemory = 0.02

// differences refuses two sets of which one cannot be compared with the other, and
// tells how else they differ.
func differences(baseline, candidate Set) (notes []string, err error) {
	all := slices.Concat(baseline.Runs, candidate.Runs)
	first := all[0]
	sections, err := sectionsOf(first.scenario)
	if err != nil {
		return nil, err
	}
	differ := map[string]string{} // by section: the first run in which it does
	seen := map[string]string{}
	for _, r := range all {
		if other, twice := seen[r.ID]; twice && r.ID != "" {
			return nil, fmt.Errorf("%s and %s are the same run, %s: name each once", other, r.Dir, r.ID)
		}
		seen[r.ID] = r.Dir
		s := r.scenario
		switch {
		case s.Name != first.scenario.Name:
			return nil, fmt.Errorf("%s is a run of scenario %s, %s of %s: compare runs of one scenario", first.Dir, first.scenario.Name, r.Dir, s.Name)
		case s.Backlog.Count != first.scenario.Backlog.Count:
			return nil, fmt.Errorf("%s has a backlog of %d backups, %s of %d: compare runs of one size", first.Dir, first.scenario.Backlog.Count, r.Dir, s.Backlog.Count)
		case !reflect.DeepEqual(s.Bounds, first.scenario.Bounds):
			return nil, fmt.Errorf("%s and %s were saved with other bounds: judge both by today's with --scenario FILE", first.Dir, r.Dir)
		}
		own, err := sectionsOf(s)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Concat(slices.Collect(maps.Keys(sections)), slices.Collect(maps.Keys(own))) {
			if _, told := differ[name]; !told && !bytes.Equal(own[name], sections[name]) {
				differ[name] = r.Dir
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(differ)) {
		notes = append(notes, fmt.Sprintf("%s and %s differ in the scenario's %s", first.Dir, differ[name], name))
	}
	if a, b := seeds(baseline), seeds(candidate); !slices.Equal(a, b) {
		notes = append(notes, fmt.Sprintf("not paired: the baseline has the seeds %v, the candidate %v", a, b))
	}
	return append(notes, machines(baseline, candidate)...), nil
}

// sectionsOf a scenario that runs should share, as text; bounds are looked at apart.
func sectionsOf(s scenario.Scenario) (map[string][]byte, error) {
	s.Description, s.Labels, s.Expect, s.Seed, s.Bounds, s.Longhorn.Versions = "", nil, nil, 0, nil, nil
	text, err := s.Marshal()
	if err != nil {
		return nil, err
	}
	var parsed map[string]any
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		return nil, fmt.Errorf("read scenario %s again: %w", s.Name, err)
	}
	sections := map[string][]byte{}
	for name, value := range parsed {
		if sections[name], err = yaml.Marshal(value); err != nil {
			return nil, fmt.Errorf("read scenario %s again: %w", s.Name, err)
		}
	}
	return sections, nil
}

func seeds(s Set) []int64 {
	var all []int64
	for _, r := range s.counted() {
		all = append(all, r.Seed)
	}
	slices.Sort(all)
	return all
}

// machines tells what differs of what the runs ran on: everything but the manager,
// which is what is compared.
func machines(baseline, candidate Set) (notes []string) {
	versions := func(s Set) (all map[string][]string, unknown int) {
		all = map[string][]string{}
		for _, r := range s.counted() {
			if r.parts == nil {
				unknown++
			}
			for component, version := range r.parts {
				if !slices.Contains(all[component], version) {
					all[component] = append(all[component], version)
				}
			}
		}
		return all, unknown
	}
	before, unknownBefore := versions(baseline)
	after, unknownAfter := versions(candidate)
	if n := unknownBefore + unknownAfter; n > 0 {
		notes = append(notes, fmt.Sprintf("%d runs have no %s: what ran beside the manager is not known of them", n, report.LabFile))
	}
	join := func(versions []string) string {
		if len(versions) == 0 {
			return "none known"
		}
		slices.Sort(versions)
		return strings.Join(versions, " and ")
	}
	both := maps.Clone(before)
	maps.Copy(both, after)
	for _, component := range slices.Sorted(maps.Keys(both)) {
		a, b := before[component], after[component]
		switch {
		case component == manager && len(a) <= 1 && len(b) <= 1:
		case len(a) > 1 || len(b) > 1 || join(a) != join(b):
			notes = append(notes, fmt.Sprintf("%s: the baseline ran %s, the candidate %s", component, join(a), join(b)))
		}
	}
	var memory []float64
	for _, r := range slices.Concat(baseline.counted(), candidate.counted()) {
		if r.memory > 0 {
			memory = append(memory, r.memory)
		}
	}
	if len(memory) == 0 {
		return notes
	}
	if least, most := slices.Min(memory), slices.Max(memory); most-least > sameMemory*most {
		notes = append(notes, fmt.Sprintf("other machines: nodes have between %s and %s of memory",
			report.Amount(least, string(history.Bytes)), report.Amount(most, string(history.Bytes))))
	}
	return notes
}
