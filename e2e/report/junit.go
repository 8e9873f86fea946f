package report

import (
	"encoding/xml"
	"fmt"

	"blackout/e2e/bound"
)

// The subset of JUnit's format that CI systems read: a run is a suite, a bound a
// case.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitProblem `xml:"failure,omitempty"`
	Error   *junitProblem `xml:"error,omitempty"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
}

// junit tells the outcome as one more case: that a bound failed is no failure
// where it was expected, and what could not be told is an error, never a pass.
func (v Verdict) junit() ([]byte, error) {
	suite := junitSuite{Name: fmt.Sprintf("%s on Longhorn %s", v.Run.Scenario, v.Run.Longhorn)}
	add := func(name, reason string, failed, unknown bool) {
		c := junitCase{Name: name, Class: suite.Name, Output: reason}
		switch {
		case failed:
			c.Failure = &junitProblem{reason}
			suite.Failures++
		case unknown:
			c.Error = &junitProblem{reason}
			suite.Errors++
		}
		suite.Cases = append(suite.Cases, c)
		suite.Tests++
	}
	add("outcome: "+string(v.Judgement.Outcome), v.Judgement.Reason,
		v.ExitCode == bound.ExitViolation, v.ExitCode == bound.ExitInconclusive || v.ExitCode == bound.ExitInfrastructure)
	for _, r := range v.Judgement.Results {
		failed := r.Verdict == bound.Fail && v.Judgement.Outcome != bound.Reproduced
		nothing := v.Judgement.Outcome == bound.HarnessFailed // is said of Longhorn
		add(r.Bound, string(r.Verdict)+": "+r.Reason, failed && !nothing, nothing || r.Verdict == bound.Inconclusive)
	}
	out, err := xml.MarshalIndent(suite, "", "  ")
	return append([]byte(xml.Header), append(out, '\n')...), err
}
