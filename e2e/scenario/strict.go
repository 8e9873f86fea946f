package scenario

import (
	"errors"
	"reflect"
	"slices"
)

// Reading is a file that holds something else than a scenario and is read as
// strictly. It collects what is wrong, with the places.
type Reading struct{ checker checker }

// ReadStrict puts the one YAML document of a file into a struct, by the names in
// its json tags; "required" in a check tag is heeded, no other rule. What the file
// does not give stays as it is. Errors carry the name of the file and call what it
// holds a what. The caller judges the values, then asks Err.
func ReadStrict(file, what string, data []byte, into any) *Reading {
	d := newDocument(file)
	root, problem := parse(data, what)
	if problem != nil {
		problem.File = file
		d.problems = append(d.problems, *problem)
		d.bad[""] = true
	} else {
		d.read(root, reflect.ValueOf(into).Elem(), "")
	}
	return &Reading{checker{document: d, bad: d.bad, problems: d.problems}}
}

// Given says whether the file has a key, such as "command.off".
func (r *Reading) Given(path string) bool { return r.checker.document.given(path) }

// Fail complains about the value at a path, such as "nodes[0]", unless something
// is known to be wrong there.
func (r *Reading) Fail(path, format string, args ...any) {
	r.checker.fail(at(path), "", format, args...)
}

// Word complains about a value that is not one of the valid words.
func (r *Reading) Word(path, got string, valid ...string) {
	if !slices.Contains(valid, got) {
		message, meant := unknown(path, got, valid)
		r.checker.fail(at(path), meant, "%s", message)
	}
}

// Err joins a Problem for everything that is wrong.
func (r *Reading) Err() error { return joined(r.checker.problems) }

// Unknown is the complaint about a name that is none of the valid ones: with the
// nearest of them, or all.
func Unknown(what, got string, valid []string) error {
	message, meant := unknown(what, got, valid)
	return errors.New(withMeant(message, meant))
}
