package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"blackout/e2e/bound"
	"blackout/e2e/profile"
)

const (
	// maxNextSteps is as much as anybody does next.
	maxNextSteps = 3
	// around a violation: what led to it and what came of it.
	around = 30 * time.Second
	// crowd is as many goroutines more as do not come and go by themselves.
	crowd = 10
	// reconcileWarning is in the line with which a manager warns of each backup that
	// it could not begin, see probe.Reconciles.
	reconcileWarning = "to enable the backup monitor for backup"
)

// NextSteps are the next three things to look at after a violation, expected or
// not: what grew, who asked for it and where that is in the source, and the samples
// that broke the bound. Each has a command for the run's directory. There are none
// when no bound failed, or when nothing is said of Longhorn.
func (v Verdict) NextSteps() []string {
	if v.Judgement.Verdict != bound.Fail {
		return nil
	}
	var steps []string
	if g, found := v.largest(); found {
		steps = append(steps, fmt.Sprintf("what grew in %s: %s", g.Incarnation.Pod, g.Command))
	}
	if step, found := v.begin(); found {
		steps = append(steps, step)
	}
	for _, r := range v.worst() {
		steps = append(steps, samplesOf(r))
	}
	if v.ExitCode != bound.ExitAsExpected && slices.ContainsFunc(v.Growth, func(g Growth) bool { return g.FailedReconciles > 0 }) {
		// Logs are kept when the outcome was not the expected one.
		steps = append(steps, fmt.Sprintf("failed reconciles by log: grep -rc '%s' logs | grep -v ':0$'", reconcileWarning))
	}
	return steps[:min(len(steps), maxNextSteps)]
}

// begin is where in the source to begin: who asked for what grew, by the heap, or
// else by the goroutines. Where neither shows the program's own code no place is
// told: a library's would lead astray. The command shows the goroutines.
func (v Verdict) begin() (string, bool) {
	heap, _ := v.largest()
	goroutines := v.mostGoroutines()
	var clues []string
	for _, g := range []Growth{heap, goroutines} {
		path, found := g.Cause()
		if !found || !path.Own {
			continue
		}
		where := profile.Short(path.Functions[len(path.Functions)-1])
		if path.At != "" {
			where += " (" + path.At + ")"
		}
		clues = append(clues, where)
		break
	}
	if goroutines.Net() >= crowd {
		clues = append(clues, fmt.Sprintf("%d goroutines more, most in %s: %s", goroutines.Net(), profile.Short(goroutines.Paths[0].Functions[0]), goroutines.Command))
	}
	return "where to begin: " + strings.Join(clues, "; "), len(clues) > 0
}

// mostGoroutines is the largest growth of goroutines; the zero one if none grew.
func (v Verdict) mostGoroutines() (most Growth) {
	for _, g := range v.Growth {
		if g.Kind == profile.Goroutines && g.Net() > most.Net() && len(g.Paths) > 0 {
			most = g
		}
	}
	return most
}

// worst are the failed bounds, those first that the outcome's reason names.
func (v Verdict) worst() (failed []bound.Result) {
	for _, r := range v.Judgement.Results {
		if r.Verdict == bound.Fail {
			failed = append(failed, r)
		}
	}
	words := strings.FieldsFunc(v.Judgement.Reason, func(r rune) bool { return r == ' ' || r == ',' })
	named := func(r bound.Result) int {
		if slices.Contains(words, r.Bound) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(failed, func(a, b bound.Result) int { return named(a) - named(b) })
	return failed
}

// samplesOf is a jq line for what was seen around a violation: the series that
// broke the bound, of the life that it broke in, or else whatever was recorded.
func samplesOf(r bound.Result) string {
	filter := `select(.kind=="event" or .kind=="gap")`
	if len(r.Offending) > 0 {
		s := r.Offending[0]
		filter = fmt.Sprintf("select(.kind==\"sample\" and .data.series==%q", s.Series)
		if pod := s.Incarnation.Pod; pod != "" {
			filter += fmt.Sprintf(" and .data.incarnation.pod==%q", pod)
		}
		filter += ")"
	}
	at := r.At
	if at.IsZero() && len(r.Offending) > 0 {
		at = r.Offending[0].Time
	}
	if !at.IsZero() {
		from, to := at.Add(-around).UTC().Format(time.RFC3339), at.Add(around).UTC().Format(time.RFC3339)
		filter += fmt.Sprintf(" | select((.data.time // .data.from) > %q and (.data.time // .data.from) < %q)", from, to)
	}
	return fmt.Sprintf("what broke %s: zcat -f %s* | jq -c '%s'", r.Bound, HistoryFile, filter)
}
