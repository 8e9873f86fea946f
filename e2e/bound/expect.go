package bound

import (
	"fmt"
	"slices"
	"strings"

	"blackout/e2e/scenario"
)

// Outcome compares a judgement to what is known of the version.
type Outcome string

// The outcomes.
const (
	// AsExpected: the run was to pass and did.
	AsExpected Outcome = "as expected"
	// Reproduced: every named bound failed, and no other but those allowed.
	Reproduced Outcome = "reproduced"
	// NotReproduced: a named bound held.
	NotReproduced Outcome = "not reproduced"
	// AnotherReason: a named bound held while a bound failed that is not named.
	AnotherReason Outcome = "failed for another reason"
	// UnexpectedViolation: a bound failed that was to hold, beside those named.
	UnexpectedViolation Outcome = "unexpected violation"
	// Undecided: not enough was seen to tell.
	Undecided Outcome = "inconclusive"
	// HarnessFailed: the harness or its machine failed.
	HarnessFailed Outcome = "infrastructure"
)

// Exit codes of a program that judges.
const (
	ExitAsExpected     = 0
	ExitViolation      = 1
	ExitInconclusive   = 2
	ExitInfrastructure = 3
)

// ExitCode of an outcome; what is not known is not as expected.
func (o Outcome) ExitCode() int {
	switch o {
	case AsExpected, Reproduced:
		return ExitAsExpected
	case Undecided:
		return ExitInconclusive
	case HarnessFailed:
		return ExitInfrastructure
	}
	return ExitViolation
}

// compare sets outcome and reason.
func compare(j Judgement, e scenario.Expectation) Judgement {
	verdicts := map[string]Verdict{}
	var failed, doubtful, others, held, open []string
	for _, r := range j.Results {
		verdicts[r.Bound] = r.Verdict
		switch r.Verdict {
		case Fail:
			failed = append(failed, r.Bound)
			if !slices.Contains(e.Violations, r.Bound) && !slices.Contains(e.Allowed, r.Bound) {
				others = append(others, r.Bound)
			}
		case Inconclusive:
			doubtful = append(doubtful, r.Bound+" ("+r.Reason+")")
		}
	}
	for _, name := range e.Violations {
		switch v := verdicts[name]; v {
		case Fail:
		case Inconclusive, "": // a bound that does not exist was not tried
			open = append(open, name)
		default:
			held = append(held, name)
		}
	}
	reason := func(o Outcome, format string, args ...any) Judgement {
		j.Outcome = o
		if j.Reason == "" {
			j.Reason = fmt.Sprintf(format, args...)
		}
		return j
	}
	list := func(names []string) string { return strings.Join(names, ", ") }

	if j.Verdict == Infrastructure {
		return reason(HarnessFailed, "")
	}
	if len(e.Violations) == 0 {
		switch j.Verdict {
		case Pass:
			return reason(AsExpected, "every bound held, as expected")
		case Fail:
			return reason(UnexpectedViolation, "expected to pass, failed by %s", list(failed))
		}
		return reason(Undecided, "not enough was seen: %s", list(doubtful))
	}
	switch {
	case len(held)+len(open) == 0 && len(others) == 0:
		if len(doubtful) > 0 {
			return reason(Reproduced, "failed by %s, as expected; not enough was seen of others: %s", list(e.Violations), list(doubtful))
		}
		return reason(Reproduced, "failed by %s, as expected", list(e.Violations))
	case len(held)+len(open) == 0:
		return reason(UnexpectedViolation, "failed as expected, but by %s too", list(others))
	case len(others) > 0:
		return reason(AnotherReason, "failed by %s, expected %s", list(others), list(e.Violations))
	case len(held) > 0:
		return reason(NotReproduced, "%s held, expected to fail", list(held))
	}
	return reason(Undecided, "expected to fail by %s, not enough was seen: %s", list(open), list(doubtful))
}
