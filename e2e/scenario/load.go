package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const filePattern = "*.yaml"

// Load decodes every scenario of a directory, of a glob, or of one file, in the
// order of their names. It returns the good ones beside the error, which joins
// the problems of all the others; none at all is an error.
func Load(pattern string, known Known) ([]Scenario, error) {
	if info, err := os.Stat(pattern); err == nil && info.IsDir() {
		pattern = filepath.Join(pattern, filePattern)
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("load scenarios of %q: %w", pattern, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("load scenarios: no file matches %q", pattern)
	}
	var scenarios []Scenario
	var errs []error
	first := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("load scenarios: %w", err))
			continue
		}
		s, err := Decode(file, data, known)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, twice := first[s.Name]; twice {
			errs = append(errs, fmt.Errorf("%s: name %q is already taken by %s", file, s.Name, other))
			continue
		}
		first[s.Name] = file
		scenarios = append(scenarios, s)
	}
	return scenarios, errors.Join(errs...)
}
