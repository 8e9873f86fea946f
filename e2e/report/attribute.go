package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	pprof "github.com/google/pprof/profile"

	"blackout/e2e/history"
	"blackout/e2e/profile"
)

// attribute compares, for every manager that lived through the steady phase, the
// profiles at its beginning and at its end. What it returns as damaged is no
// profile; one that is missing is only noted.
func attribute(dir string, run history.Run) (growths []Growth, notes []string, damaged error) {
	type key struct {
		life history.Incarnation
		kind profile.Kind
	}
	first, last := map[key]profile.Capture{}, map[key]profile.Capture{}
	var order []key
	// Also who never answered has something to be said of.
	for _, t := range run.Tracks(history.Goroutines, history.ManagerSubject, history.Steady) {
		order = append(order, key{t.Incarnation, profile.Heap}, key{t.Incarnation, profile.Goroutines})
	}
	for _, e := range run.Events {
		if e.Kind != history.ProfileSaved || e.Fields["container"] != history.ManagerSubject {
			continue
		}
		kind, phase := profile.Kind(e.Fields["kind"]), history.PhaseName(e.Fields["phase"])
		if kind != profile.Heap && kind != profile.Goroutines || phase != history.Recovery && phase != history.Steady {
			continue
		}
		capture, err := readCapture(dir, e)
		if err != nil {
			notes = append(notes, err.Error())
			if !errors.Is(err, os.ErrNotExist) {
				damaged = errors.Join(damaged, err)
			}
			continue
		}
		k := key{capture.Incarnation, kind}
		if !slices.Contains(order, k) {
			order = append(order, k)
		}
		if phase == history.Recovery {
			first[k] = capture
		} else {
			last[k] = capture
		}
	}
	// The heap first: it names who asked for what grew.
	slices.SortStableFunc(order, func(a, b key) int { return strings.Compare(string(b.kind), string(a.kind)) })
	for _, k := range order {
		before, began := first[k]
		after, ended := last[k]
		if !began || !ended {
			end := history.Steady
			if !began {
				end = history.Recovery
			}
			notes = append(notes, fmt.Sprintf("%s has no %s profile at the end of phase %s: what grew in it is unknown", k.life.Pod, k.kind, end))
			continue
		}
		growth, err := profile.Diff(k.kind, before, after, profile.DefaultOptions())
		if err != nil {
			err = fmt.Errorf("%s and %s: %w", before.File, after.File, err)
			notes = append(notes, err.Error())
			if errors.Is(err, profile.ErrType) {
				damaged = errors.Join(damaged, err)
			}
			continue
		}
		growths = append(growths, cost(run, growth, before.Time, after.Time))
	}
	return growths, notes, damaged
}

func readCapture(dir string, e history.Event) (profile.Capture, error) {
	file := e.Fields["file"]
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		return profile.Capture{}, fmt.Errorf("read a saved profile: %w", err)
	}
	defer func() { _ = f.Close() }()
	parsed, err := pprof.Parse(f)
	if err != nil {
		return profile.Capture{}, fmt.Errorf("%s is no profile that can be read: %w", filepath.Join(dir, filepath.FromSlash(file)), err)
	}
	restarts, err := strconv.Atoi(e.Fields["restarts"])
	if err != nil {
		return profile.Capture{}, fmt.Errorf("read the event of profile %s: %w", file, err)
	}
	return profile.Capture{Profile: parsed, Time: e.Time, File: file, Incarnation: history.Incarnation{
		Pod: e.Subject, UID: e.Fields["uid"], Container: e.Fields["container"], Restarts: restarts, Node: e.Fields["node"],
	}}, nil
}
