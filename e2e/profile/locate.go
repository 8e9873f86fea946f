package profile

import (
	"fmt"
	"slices"

	"github.com/google/pprof/profile"
)

// locate finds the line at which the heaviest stack with this path was in the
// path's innermost function.
func locate(sampleType string, p *profile.Profile, path, own []string) (at string) {
	weigh := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == sampleType })
	var heaviest int64
	for _, sample := range p.Sample {
		functions := functionsOf(sample)
		if mine, _ := ownOf(functions, own); len(mine) > 0 {
			functions = mine
		}
		if len(functions) < len(path) || !slices.Equal(functions[:len(path)], path) || sample.Value[weigh] <= heaviest {
			continue
		}
		if line := lineOf(sample, path[len(path)-1]); line != "" {
			heaviest, at = sample.Value[weigh], line
		}
	}
	return at
}

// lineOf is where the innermost call of a function in a stack was.
func lineOf(sample *profile.Sample, function string) string {
	for _, location := range sample.Location {
		for _, line := range location.Line {
			if line.Function != nil && line.Function.Name == function && line.Function.Filename != "" {
				return fmt.Sprintf("%s:%d", line.Function.Filename, line.Line)
			}
		}
	}
	return ""
}
