package probe

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"blackout/e2e/history"
)

// gaps follows the open gaps of one probe.
type gaps struct {
	probe string
	open  map[string]history.Gap // by subject
}

func newGaps(probe string) *gaps { return &gaps{probe: probe, open: map[string]history.Gap{}} }

// note takes the outcome of one look that began at a time, and returns the gaps
// that it closed. The first reason of a gap is kept: what follows it (refused,
// timed out) is mostly its consequence.
func (g *gaps) note(at time.Time, err error) (closed []history.Gap) {
	failed := map[string]bool{}
	whole := false
	for _, m := range missed(err) {
		failed[m.Subject] = true
		whole = whole || m.Subject == ""
		if _, known := g.open[m.Subject]; !known {
			g.open[m.Subject] = history.Gap{From: at, Probe: g.probe, Subject: m.Subject, Reason: reason(m.Err)}
		}
	}
	if whole { // nothing is known about the subjects that had a gap
		return nil
	}
	for subject := range g.open {
		if !failed[subject] {
			closed = append(closed, g.close(subject, at))
		}
	}
	return inOrder(closed)
}

// closeAll ends what is still open, at the end of the sampling.
func (g *gaps) closeAll(at time.Time) (closed []history.Gap) {
	for subject := range g.open {
		closed = append(closed, g.close(subject, at))
	}
	return inOrder(closed)
}

func (g *gaps) close(subject string, at time.Time) history.Gap {
	gap := g.open[subject]
	delete(g.open, subject)
	gap.To = at
	return gap
}

func inOrder(all []history.Gap) []history.Gap {
	slices.SortFunc(all, func(a, b history.Gap) int {
		return cmp.Or(a.From.Compare(b.From), strings.Compare(a.Subject, b.Subject))
	})
	return all
}

// reason is an error as one short line.
func reason(err error) string { return shorten(err.Error(), maxReason) }

const maxReason = 300 // bytes
