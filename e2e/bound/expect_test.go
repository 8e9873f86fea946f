package bound

import (
	"strings"
	"testing"

	"blackout/e2e/scenario"
)

func TestOutcomes(t *testing.T) {
	named := scenario.Expectation{Violations: []string{"a", "b"}, Allowed: []string{"c"}}
	for _, c := range []struct {
		name    string
		expect  scenario.Expectation
		overall Verdict
		results map[string]Verdict
		want    Outcome
		exit    int
	}{
		{"passes", scenario.Expectation{}, Pass, map[string]Verdict{"a": Pass}, AsExpected, 0},
		{"fails", scenario.Expectation{}, Fail, map[string]Verdict{"a": Fail}, UnexpectedViolation, 1},
		{"allowed alone is not to pass", scenario.Expectation{Allowed: []string{"a"}}, Fail, map[string]Verdict{"a": Fail}, UnexpectedViolation, 1},
		{"unclear", scenario.Expectation{}, Inconclusive, map[string]Verdict{"a": Inconclusive}, Undecided, 2},
		{"both", named, Fail, map[string]Verdict{"a": Fail, "b": Fail, "d": Inconclusive}, Reproduced, 0},
		{"and an allowed one", named, Fail, map[string]Verdict{"a": Fail, "b": Fail, "c": Fail}, Reproduced, 0},
		{"and another", named, Fail, map[string]Verdict{"a": Fail, "b": Fail, "d": Fail}, UnexpectedViolation, 1},
		{"one held", named, Fail, map[string]Verdict{"a": Fail, "b": Pass, "c": Fail}, NotReproduced, 1},
		{"all held", named, Pass, map[string]Verdict{"a": Pass, "b": Pass}, NotReproduced, 1},
		{"one held, one unclear", named, Inconclusive, map[string]Verdict{"a": Pass, "b": Inconclusive}, NotReproduced, 1},
		{"another instead", named, Fail, map[string]Verdict{"a": Pass, "b": Fail, "d": Fail}, AnotherReason, 1},
		{"one unclear", named, Fail, map[string]Verdict{"a": Fail, "b": Inconclusive}, Undecided, 2},
		{"one never tried", named, Fail, map[string]Verdict{"a": Fail}, Undecided, 2},
		{"infrastructure", named, Infrastructure, map[string]Verdict{"a": Fail, "b": Fail}, HarnessFailed, 3},
	} {
		j := Judgement{Verdict: c.overall}
		for name, v := range c.results {
			j.Results = append(j.Results, Result{Bound: name, Verdict: v})
		}
		got := compare(j, c.expect)
		if got.Outcome != c.want || got.Outcome.ExitCode() != c.exit {
			t.Errorf("%s: %s (%d), want %s", c.name, got.Outcome, got.Outcome.ExitCode(), c.want)
		}
		if c.results["d"] == Inconclusive && !strings.Contains(got.Reason, "not enough was seen of others: d") {
			t.Errorf("%s: what was not seen goes unsaid: %s", c.name, got.Reason)
		}
	}
	sc := scenario.Scenario{Expect: []scenario.Expectation{{Versions: []string{"v1", "v2"}, Violations: []string{"a"}}}}
	if len(sc.Expectation("v2").Violations) != 1 || len(sc.Expectation("v3").Violations) != 0 {
		t.Error("the expectation of another version was taken")
	}
}
