package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	scenariosDir  = "scenarios"
	scenarioEnd   = ".yaml"
	quickFormMark = "-quick"
	// fileOrName says what scenarioFile takes.
	fileOrName = "a file, or the name of one in " + scenariosDir + "/"
)

// scenarioFile takes a bare name for that of a file in scenarios/. A file that is
// there, and what has a directory or an extension, is a path.
func scenarioFile(given string) string {
	if file, err := os.Stat(given); err == nil && !file.IsDir() || filepath.Base(given) != given || filepath.Ext(given) == scenarioEnd {
		return given
	}
	return filepath.Join(scenariosDir, given+scenarioEnd)
}

// quickForm is the short form of a scenario, where there is one, and what to say
// of it: it is another scenario, and decides less.
func quickForm(path string) (form, said string) {
	form = strings.TrimSuffix(path, scenarioEnd) + quickFormMark + scenarioEnd
	if _, err := os.Stat(form); err != nil {
		return path, fmt.Sprintf("quick: %s has no short form (%s): it is run whole", path, form)
	}
	return form, fmt.Sprintf("quick: %s is run, the short form of %s; without --quick (QUICK= for make repro) that is run whole", form, path)
}
