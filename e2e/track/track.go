// Package track keeps the record of nightly runs, a line a verdict, and says how
// tonight differs from the nights before. It judges nothing: the bounds do.
package track

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/report"
	"blackout/e2e/workspace"
)

// Night is one verdict in the record.
type Night struct {
	Time     time.Time `json:"time"` // at which the run started
	Run      string    `json:"run"`
	Scenario string    `json:"scenario"`
	Longhorn string    `json:"longhorn"`
	Seed     int64     `json:"seed"`
	// Parts say what ran.
	Parts    string        `json:"parts,omitempty"`
	Outcome  bound.Outcome `json:"outcome"`
	ExitCode int           `json:"exitCode"`
	Reason   string        `json:"reason"`
	// Measures by name; none of a run that says nothing of Longhorn.
	Measures map[string]Measure `json:"measures,omitempty"`
}

// Measure is one number of a verdict.
type Measure struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// Read makes a night of the verdict in a run's directory.
func Read(dir string) (Night, error) {
	path := filepath.Join(dir, report.VerdictFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return Night{}, fmt.Errorf("read the verdict: %w; name the directory of a run that was judged", err)
	}
	var v report.Verdict
	if err := json.Unmarshal(raw, &v); err != nil {
		return Night{}, fmt.Errorf("read the verdict %s: %w; judge the run again: blackout judge --write %s", path, err, dir)
	}
	if v.Version != report.Version {
		return Night{}, fmt.Errorf("read the verdict %s: it is of version %d, this program reads %d; judge the run again: blackout judge --write %s", path, v.Version, report.Version, dir)
	}
	if v.Run.Run == "" || v.Judgement.Outcome == "" {
		return Night{}, fmt.Errorf("read the verdict %s: it names no run or no outcome; judge the run again: blackout judge --write %s", path, dir)
	}
	return Of(v), nil
}

// Of takes from a verdict what is compared between nights: what each bound observed,
// if it could be judged, and how long each step of the recovery took.
func Of(v report.Verdict) Night {
	n := Night{
		Time: v.Run.Started, Run: v.Run.Run, Scenario: v.Run.Scenario, Longhorn: v.Run.Longhorn, Seed: v.Run.Seed, Parts: v.Run.Parts,
		Outcome: v.Judgement.Outcome, ExitCode: v.ExitCode, Reason: v.Judgement.Reason,
	}
	if v.Judgement.Outcome == bound.HarnessFailed {
		return n
	}
	n.Measures = map[string]Measure{}
	for _, r := range v.Judgement.Results {
		if r.Verdict == bound.Pass || r.Verdict == bound.Fail {
			n.Measures["bound "+r.Bound] = Measure{r.Observed, r.Unit}
		}
	}
	for _, m := range v.Recovery {
		if elapsed, err := time.ParseDuration(m.Elapsed); err == nil { // empty: not seen
			n.Measures["recovery "+m.Step] = Measure{elapsed.Seconds(), "s"}
		}
	}
	return n
}

// Load reads a record; there may be none yet.
func Load(path string) ([]Night, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the track record: %w", err)
	}
	var all []Night
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, len(raw)+1)
	for number := 1; lines.Scan(); number++ {
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		var n Night
		err := decoder.Decode(&n)
		if err == nil && n.Run == "" {
			err = errors.New("it names no run")
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: not a night of a track record (%w); mend or remove the line", path, number, err)
		}
		all = append(all, n)
	}
	return all, lines.Err()
}

// Append writes nights to a record, whole or not at all, but those that it holds
// already.
func Append(path string, earlier, nights []Night) error {
	have := map[string]bool{}
	var out bytes.Buffer
	for _, n := range append(append([]Night(nil), earlier...), nights...) {
		if have[n.Run] {
			continue
		}
		have[n.Run] = true
		line, err := json.Marshal(n)
		if err != nil {
			return fmt.Errorf("write the track record: %w", err)
		}
		out.Write(append(line, '\n'))
	}
	return workspace.Replace(path, out.Bytes())
}
