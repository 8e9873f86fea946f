package scenario

import (
	"strings"
	"testing"
)

const acting = `name: acting
longhorn: {versions: [v1.7.2], managerMemory: 192Mi}
volumes: {count: 3}
backlog: {count: 30, lostShare: 0.5}
actions:
  - {before: backlog, do: start-recurring-jobs}
  - {before: outage, do: slow-target}
  - {before: recovery, do: start-target}
  - {before: steady, do: pause-recurring-jobs}
  - {before: steady, do: take-backups}
bounds:
  - {name: taken, kind: taken}
`

func TestActions(t *testing.T) {
	for _, test := range []struct{ from, to, says string }{
		{"", "", ""},
		{"{before: outage,", "{before: outages,", `x.yaml:7:14: unknown actions[1].before "outages"; did you mean "outage"?`},
		{"do: slow-target", "do: slow-targets", `did you mean "slow-target"?`},
		{"{before: outage, do: slow-target}", "{before: outage}", "actions[1].do is missing"},
		{"{before: recovery, do: start-target}", "{before: backlog, do: start-target}", "start-target comes before phase backlog, but the one above it before outage"},
		{"lostShare: 0.5", "lostShare: 0.5, start: during-outage", "there is no phase backlog: it starts during-outage; want outage"},
		{"lostShare: 0.5", "lostShare: 0.5, start: after-outage", "slow-target comes before phase outage, but the one above it before backlog"},
		{"do: slow-target", "do: delete-waiting", "start-target has no stop-target or slow-target above it"},
		{"do: start-recurring-jobs", "do: delete-waiting", "pause-recurring-jobs has no start-recurring-jobs above it"},
		{"do: take-backups", "do: delete-waiting", "kind taken needs an action take-backups"},
		{"kind: taken", "kind: reached, series: waiting, min: 3", ""},
		{"kind: taken", "kind: reached, series: waiting", "bounds[0].min is missing; kind reached needs it"},
		{"kind: taken", "kind: reached, series: waiting, min: 0", "bounds[0].min is 0; want more than 0"},
		{"kind: taken", "kind: taken, min: 1", `kind taken does not read "min"`},
		{"managerMemory: 192Mi", "managerMemory: 192", "longhorn.managerMemory is 192; no manager starts with less than 64Mi"},
	} {
		_, err := Decode("x.yaml", []byte(strings.Replace(acting, test.from, test.to, 1)), realNames)
		switch {
		case test.says == "" && err != nil:
			t.Errorf("%s: %v", test.to, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
			t.Errorf("%s: got %v, want %q", test.to, err, test.says)
		}
	}
}
