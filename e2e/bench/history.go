package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"blackout/e2e/history"
	"blackout/e2e/report"
	"blackout/e2e/scenario"
)

// day is how long the run is that is judged.
const day = 24 * time.Hour

// recordDay writes a run of a day into dir: the real run in from, whose steady
// phase is repeated until the day is over. So there are as many series, each as
// often sampled, as a real run has.
func recordDay(from, dir string) (samples int, err error) {
	s, err := report.ReadScenario(filepath.Join(from, report.ScenarioFile))
	if err != nil {
		return 0, err
	}
	run, err := readInOrder(filepath.Join(from, report.HistoryFile+".gz"))
	if err != nil {
		return 0, err
	}
	long, err := stretch(run, day)
	if err != nil {
		return 0, fmt.Errorf("stretch the run in %s: %w", from, err)
	}
	steady := long.Windows(history.Steady)[0]
	s.Phases.Steady = scenario.Duration{Duration: steady.End.Sub(steady.Start)}
	text, err := s.Marshal()
	if err != nil {
		return 0, err
	}
	const fileMode = 0o600
	if err := os.WriteFile(filepath.Join(dir, report.ScenarioFile), text, fileMode); err != nil {
		return 0, fmt.Errorf("write the scenario: %w", err)
	}
	w, err := history.Create(filepath.Join(dir, report.HistoryFile), long.Header)
	if err != nil {
		return 0, err
	}
	for _, p := range long.Phases {
		err = cmp.Or(err, w.Phase(p))
	}
	for _, e := range long.Events {
		err = cmp.Or(err, w.Event(e))
	}
	for _, g := range long.Gaps {
		err = cmp.Or(err, w.Gap(g))
	}
	return len(long.Samples), cmp.Or(err, w.Sample(long.Samples...), w.Close())
}

// readInOrder reads a history with its samples in the order of their lines.
func readInOrder(path string) (history.Run, error) {
	run, err := history.Load(path)
	if err != nil {
		return run, err
	}
	run.Samples = nil
	r, err := history.Open(path)
	if err != nil {
		return run, err
	}
	defer func() { _ = r.Close() }()
	for {
		record, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return run, nil
		case err != nil:
			return run, err
		case record.Kind == history.SampleRecord:
			run.Samples = append(run.Samples, record.Sample)
		}
	}
}

// stretch makes the run so long by repeating the samples of its steady phase.
func stretch(run history.Run, to time.Duration) (history.Run, error) {
	steady := run.Windows(history.Steady)
	if len(steady) != 1 || steady[0].Open() {
		return run, fmt.Errorf("it has %d steady phases, want one that has an end", len(steady))
	}
	w := steady[0]
	end, once := run.Header.Started.Add(to), w.End.Sub(w.Start)
	var tile []history.Sample
	for _, s := range run.Samples {
		if w.Contains(s.Time) {
			tile = append(tile, s)
		}
	}
	for shift := once; w.Start.Add(shift).Before(end); shift += once {
		for _, s := range tile {
			s.Time = s.Time.Add(shift)
			run.Samples = append(run.Samples, s)
		}
	}
	for i := range run.Phases {
		if p := &run.Phases[i]; p.Name == history.Steady {
			p.End = end
		}
	}
	return run, nil
}
