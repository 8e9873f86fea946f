package scenario

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"blackout/e2e/history" //nolint:depguard // Only the test: it needs the real names, and history imports nothing of ours.
)

var realNames = KnownOf(history.Series, history.HeapSeries, history.PhaseNames,
	history.ManagerSubject, history.InstanceManagerSubject, history.ProberSubject)

// valid uses every key once, but those of which outage_test.go has its own. The bad ones are made from it, so its lines count.
const valid = `name: tiny
description: as small as it gets
labels: [smoke, issue-9978]
seed: 7
cluster:
  controlPlanes: 1
  workers: 2
longhorn:
  versions: [v1.7.2, v1.8.1]
  settings:
    snapshot-max-count: "100"
volumes:
  count: 2
  size: 16Mi
  replicas: 2
  snapshots: 60
backlog:
  count: 20
  lostShare: 0.9
  lost: never-existed
  rate: 5.5
  concurrency: 4
  start: before-outage
outage:
  nodes: all
  duration: 10s
  order: together
  repeats: 2
  between: 1m30s
phases:
  baseline: 1m
  recovery: 3m
  steady: 90s
sampling:
  interval: 5s
  heap: 15s
bounds:
  - name: connections
    kind: trend
    series: grpc-connections
    subject: longhorn-manager
    phases: [steady]
    max: 0.5
    minSamples: 12
  - name: heap
    kind: ceiling
    series: live-heap
    max: 160Mi
  - name: drain
    kind: drain
    max: 3
    within: 1m
  - name: conservation
    kind: conservation
expect:
  - versions: [v1.7.2]
    violations: [connections]
    allowed: [heap]
timeouts:
  apiCall: 10s
`

func TestDecodeValid(t *testing.T) {
	s, err := Decode("x.yaml", []byte(valid), realNames)
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]any{
		"name":           {s.Name, "tiny"},
		"labels":         {s.Labels, []string{"smoke", "issue-9978"}},
		"settings":       {s.Longhorn.Settings, map[string]string{"snapshot-max-count": "100"}},
		"size":           {s.Volumes.Size.Value(), int64(16 << 20)},
		"lostShare":      {s.Backlog.LostShare, 0.9},
		"lost count":     {s.Backlog.LostCount(), 18},
		"rate":           {s.Backlog.Rate, 5.5},
		"between":        {s.Outage.Between.Duration, 90 * time.Second},
		"max":            {s.Bounds[0].Max.AsApproximateFloat64(), 0.5},
		"trend phases":   {s.Bounds[0].Phases, []string{"steady"}},
		"ceiling phases": {s.Bounds[1].Phases, []string{"baseline", "backlog", "outage", "recovery", "steady"}},
		"minSamples":     {s.Bounds[0].MinSamples, 12},
		"apiCall":        {s.Timeouts().APICall, 10 * time.Second},
		"cleanUp":        {s.Timeouts().CleanUp, DefaultTimeouts().CleanUp},
		"expectation":    {s.Expectation("v1.7.2").Violations, []string{"connections"}},
		"no expectation": {len(s.Expectation("v1.8.1").Violations), 0},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
}

// bad is a change to the valid scenario and what must be said of it: every
// problem, and nothing else.
type bad struct {
	from, to string
	want     []string
}

var (
	seriesList = strings.Join(slices.Sorted(maps.Keys(realNames.Series)), ", ")
	limitList  = strings.Join(TimeoutNames(), ", ")
)

var badKeys = []bad{
	{"seed: 7", "sead: 7", []string{`4:1: unknown key "sead"; did you mean "seed"?`}},
	{"  nodes: all", "  nodes: all\n  frobnicate: 1", []string{
		`26:3: unknown key "frobnicate"; valid: nodes, rack, inTurn, duration, unsyncedWrites, order, stagger, never, addresses, repeats, between, next`}},
	{"lostShare", "lost_share", []string{
		`17:1: backlog.lostShare is missing`, `19:3: unknown key "lost_share"; did you mean "lostShare"?`}},
	{"seed: 7", "seed: 7\nname: again", []string{`5:1: duplicate key "name", first at line 1`}},
	{"    max: 3\n", "    max: 3\n    max: 4\n", []string{`52:5: duplicate key "max", first at line 51`}},
	{"apiCall", "apiCal", []string{`60:3: unknown timeout "apiCal"; did you mean "apiCall"?`}},
	{"apiCall", "reboot", []string{`60:3: unknown timeout "reboot"; valid: ` + limitList}},
	{"  count: 20\n", "", []string{`17:1: backlog.count is missing`}},
	{"name: tiny\n", "", []string{`1:1: name is missing`}},
	{"    kind: drain\n", "", []string{`49:5: bounds[2].kind is missing`}},
	{"seed: 7", "<<: 7", []string{`4:1: a key that is not a plain word`}},
}

var badTypes = []bad{
	{"seed: 7", "seed: seven", []string{`4:7: seed is the string "seven"; want a whole number`}},
	{"seed: 7", "seed: 0x10", []string{`4:7: seed is the number 0x10; want a whole number`}},
	{"seed: 7", "seed: 99999999999999999999", []string{`4:7: seed is the string "99999999999999999999"; want a whole number`}},
	{"seed: 7", "seed: 9223372036854775808", []string{`4:7: seed is 9223372036854775808; too large a number`}},
	{"seed: 7", "seed:", []string{`4:1: seed has no value`}},
	{"seed: 7", "seed: &s 7", []string{`4:7: seed is an anchor, alias or tag; write the value out`}},
	{"  count: 20", "  count: 20.5", []string{`18:10: backlog.count is the number 20.5; want a whole number`}},
	{"lostShare: 0.9", "lostShare: most", []string{`19:14: backlog.lostShare is the string "most"; want a number`}},
	{"[v1.7.2, v1.8.1]", "v1.7.2", []string{`9:13: longhorn.versions is the string "v1.7.2"; want a list`}},
	{"[v1.7.2, v1.8.1]", "[1.7]", []string{`9:14: longhorn.versions[0] is the number 1.7; want a string: put it in quotes`}},
	{`"100"`, "100", []string{
		`11:25: longhorn.settings.snapshot-max-count is the number 100; want a string: put it in quotes`}},
	{"as small as it gets", `"a\rb"`, []string{`2:14: description has control characters; want plain text`}},
	{"cluster:\n  controlPlanes: 1\n  workers: 2\n", "cluster: big\n", []string{
		`5:10: cluster is the string "big"; want keys and values`}},
	{"duration: 10s", "duration: [10s]", []string{
		`26:13: outage.duration is a list; want a duration such as 90s or 5m`}},
}

var badUnits = []bad{
	{"duration: 10s", "duration: 90", []string{
		`26:13: outage.duration: "90" has no unit; want a duration such as 90s or 5m; did you mean "90s"?`}},
	{"duration: 10s", "duration: 5 minutes", []string{
		`26:13: outage.duration: "5 minutes" is not a duration such as 90s or 5m; did you mean "5m"?`}},
	{"duration: 10s", "duration: 10 s", []string{
		`26:13: outage.duration: "10 s" is not a duration such as 90s or 5m; did you mean "10s"?`}},
	{"duration: 10s", "duration: -10s", []string{`26:13: outage.duration: "-10s" is not a duration such as 90s or 5m`}},
	{"duration: 10s", "duration: 0s", []string{`26:13: outage.duration is 0s; want more than 0s`}},
	{"duration: 10s", "duration: 9999999h", []string{`26:13: outage.duration: "9999999h" is too long a duration`}},
	{"size: 16Mi", "size: 16MB", []string{
		`14:9: volumes.size: "16MB" is not a quantity such as 16Mi or 24; did you mean "16Mi"?`}},
	{"size: 16Mi", "size: 16", []string{`14:9: volumes.size is 16; want a multiple of 2Mi`}},
	{"size: 16Mi", "size: 16m", []string{
		`14:9: volumes.size: "16m" is not a quantity such as 16Mi or 24; did you mean "16Mi"?`}},
	{"max: 160Mi", "max: 160", []string{
		`48:10: bounds[1].max is 160, but live-heap is in bytes; did you mean "160Mi"?`}},
	{"max: 0.5", "max: 5Mi", []string{
		`43:10: bounds[0].max is 5Mi, but grpc-connections is in count: want a plain number`}},
	{"max: 0.5", "max: -5", []string{`43:10: bounds[0].max: "-5" is not a quantity such as 16Mi or 24`}},
}

var badSizes = []bad{
	{"  count: 20", "  count: 501", []string{
		`18:10: 501 backups over 2 volumes are 251 a volume; at most 250, so want 3 volumes`}},
	{"snapshots: 60", "snapshots: 101", []string{
		`16:14: volumes.snapshots is 101, and 0 more to be lost: 101 a volume; at most 100`}},
	{"lost: never-existed", "lost: deleted-during-outage", []string{
		`16:14: volumes.snapshots is 60, and 60 more to be lost: 120 a volume; at most 100`}},
	{"  settings:\n    snapshot-max-count: \"100\"\nvolumes:\n  count: 2\n  size: 16Mi\n  replicas: 2\n  snapshots: 60",
		"volumes:\n  count: 2\n  snapshots: 251", []string{
			`12:14: volumes.snapshots is 251, and 0 more to be lost: 251 a volume; at most 250`}},
	{"snapshots: 60", "snapshots: 0", []string{`16:14: volumes.snapshots is 0; want at least 1`}},
	{"snapshots: 60", "content: {fill: 0}", []string{`16:19: volumes.content.fill is 0; want more, or no content`}},
	{"snapshots: 60", "content: {fill: 1.1}", []string{`16:19: volumes.content.fill is 1.1; want 0 to 1`}},
	{"snapshots: 60", "content: {}", []string{`16:3: volumes.content.fill is missing`}},
	{"kind: conservation", "kind: content", []string{`54:11: kind content needs volumes.content`}},
	{`"100"`, `"251"`, []string{`11:25: longhorn.settings.snapshot-max-count is "251"; want 2 to 250`}},
	{"  count: 20", "  count: 0", []string{`18:10: backlog.count is 0; want at least 1`}},
	{"  count: 20", "  count: -3", []string{`18:10: backlog.count is -3; want at least 1`}},
	{"  count: 2\n", "  count: 0\n", []string{`13:10: volumes.count is 0; want at least 1`}},
	{"replicas: 2", "replicas: 3", []string{
		`15:13: volumes.replicas is 3, but there are 2 workers and two replicas never share one`}},
	{"lostShare: 0.9", "lostShare: 90", []string{`19:14: backlog.lostShare is 90; want 0 to 1`}},
	{"lostShare: 0.9", "lostShare: -0.1", []string{`19:14: backlog.lostShare is -0.1; want 0 to 1`}},
	{"rate: 5.5", "rate: -1", []string{`21:9: backlog.rate is -1; want at least 0`}},
	{"repeats: 2", "repeats: 1", []string{`29:12: outage.between is 1m30s, but repeats is 1`}},
	{"between: 1m30s", "between: 0s", []string{`29:12: outage.between is 0s; want more than 0s`}},
	{"minSamples: 12", "minSamples: 0", []string{`44:17: bounds[0].minSamples is 0; want at least 1`}},
	{"phases: [steady]", "phases: []", []string{`42:13: bounds[0].phases is empty`}},
	{"heap: 15s", "heap: 1s", []string{`36:9: sampling.heap is 1s, less than the interval of 5s`}},
	{"minSamples: 12", "minSamples: 19", []string{
		`44:17: bounds[0].minSamples is 19, but 1m30s has 18 samples, one every 5s: sampling.interval`}},
	{"series: grpc-connections", "series: deepcopy-share", []string{
		`44:17: bounds[0].minSamples is 12, but 1m30s has 6 samples, one every 15s: sampling.heap`}},
	{"kind: ceiling", "kind: growth", []string{
		`31:13: phases.baseline is 1m, which has 4 samples of live-heap, one every 15s: sampling.heap; the median that bounds[1] compares with takes 5`}},
	{"within: 1m", "within: 5m", []string{
		`52:13: bounds[2].within is 5m, but recovery and steady are 4m30s together at most`}},
	{"within: 1m", "within: 0s", []string{`52:13: bounds[2].within is 0s; want more than 0s`}},
	{"apiCall: 10s", "apiCall: 0s", []string{`60:12: timeouts.apiCall is 0s; want more than 0s`}},
}

var badWords = []bad{
	{"nodes: all", "nodes: al", []string{`25:10: unknown outage.nodes "al"; did you mean "all"?`}},
	{"order: together", "order: worker-first", []string{
		`27:10: unknown outage.order "worker-first"; did you mean "workers-first"?`}},
	{"lost: never-existed", "lost: gone", []string{
		`20:9: unknown backlog.lost "gone"; valid: never-existed, deleted-during-outage, rolled-back`}},
	{"start: before-outage", "start: before-outrage", []string{
		`23:10: unknown backlog.start "before-outrage"; did you mean "before-outage"?`}},
	{"nodes: all\n  duration: 10s\n  order: together", "nodes: one-worker\n  duration: 10s\n  order: workers-first", []string{
		`27:10: outage.order workers-first has no meaning with nodes: one-worker`}},
	{"nodes: all\n  duration: 10s\n  order: together", "nodes: one-worker\n  duration: 10s\n  order: random", []string{
		`27:10: outage.order random has no meaning with nodes: one-worker`}},
	{"nodes: all\n  duration: 10s\n  order: together", "nodes: workers\n  duration: 10s\n  order: control-planes-first", []string{
		`27:10: outage.order control-planes-first has no meaning with nodes: workers`}},
	{"issue-9978]", "issue9978]", []string{`3:17: unknown label "issue9978"; did you mean "issue-NNNN"?`}},
	{"[smoke,", "[smok,", []string{`3:10: unknown label "smok"; did you mean "smoke"?`}},
	{"[smoke, issue-9978]", "[smoke, smoke]", []string{`3:17: label "smoke" twice`}},
	{"name: tiny", "name: Tiny Run", []string{`1:7: name is "Tiny Run"; want lower-case words joined by dashes`}},
	{"name: tiny", `name: ""`, []string{`1:7: name is empty`}},
	{"[v1.7.2, v1.8.1]", "[1.7.2, v1.8]", []string{
		`9:14: version "1.7.2" is not of the form v1.7.2; did you mean "v1.7.2"?`,
		`9:21: version "v1.8" is not of the form v1.7.2`}},
	{"[v1.7.2, v1.8.1]", "[v1.7.2, v1.7.2]", []string{`9:22: version "v1.7.2" is already in longhorn.versions`}},
	{"[v1.7.2, v1.8.1]", "[]", []string{`9:13: longhorn.versions is empty`}},
	{"snapshot-max-count", "Snapshot_Max", []string{
		`11:5: setting "Snapshot_Max"; want lower-case words joined by dashes`}},
}

var badBounds = []bad{
	{"kind: trend", "kind: tren", []string{`39:11: unknown bounds[0].kind "tren"; did you mean "trend"?`}},
	{"series: live-heap", "series: live-heep", []string{`47:13: unknown series "live-heep"; did you mean "live-heap"?`}},
	{"series: live-heap", "series: xyz", []string{`47:13: unknown series "xyz"; valid: ` + seriesList}},
	{"subject: longhorn-manager", "subject: longhorn-manger", []string{
		`41:14: unknown subject "longhorn-manger"; did you mean "longhorn-manager"?`}},
	{"phases: [steady]", "phases: [steddy]", []string{`42:14: unknown phase "steddy"; did you mean "steady"?`}},
	{"phases: [steady]", "phases: [steady, steady]", []string{`42:22: phase "steady" twice`}},
	{"    kind: conservation", "    kind: conservation\n    max: 0", []string{
		`55:5: kind conservation does not read "max"; it reads none but name and kind`}},
	{"    within: 1m", "    within: 1m\n    series: waiting", []string{
		`53:5: kind drain does not read "series"; it reads max, within`}},
	{"    max: 0.5\n", "", []string{`38:5: bounds[0].max is missing; kind trend needs it`}},
	{"    within: 1m\n", "", []string{`49:5: bounds[2].within is missing; kind drain needs it`}},
	{"name: heap", "name: connections", []string{
		`45:11: a second bound named "connections"; the first is bounds[0]`}},
	{"violations: [connections]", "violations: [conections]", []string{
		`57:18: unknown bound "conections"; did you mean "connections"?`}},
	{"allowed: [heap]", "allowed: [rss]", []string{
		`58:15: unknown bound "rss"; valid: connections, heap, drain, conservation`}},
	{"allowed: [heap]", "allowed: [connections]", []string{`58:15: bound "connections" is already in expect[0]`}},
}

func TestDecodeReports(t *testing.T) {
	for group, cases := range map[string][]bad{
		"keys": badKeys, "types": badTypes, "units": badUnits, "sizes": badSizes, "words": badWords, "bounds": badBounds,
	} {
		for _, c := range cases {
			t.Run(group+"/"+c.to, func(t *testing.T) {
				if strings.Count(valid, c.from) != 1 {
					t.Fatalf("%q is %d times in the valid scenario", c.from, strings.Count(valid, c.from))
				}
				expectProblems(t, strings.Replace(valid, c.from, c.to, 1), c.want...)
			})
		}
	}
}

// expectProblems wants these problems of file x.yaml, in order, and no others.
func expectProblems(t *testing.T, text string, want ...string) {
	t.Helper()
	s, err := Decode("x.yaml", []byte(text), realNames)
	if err == nil {
		t.Fatal("no error")
	}
	if !reflect.DeepEqual(s, Scenario{}) {
		t.Error("a scenario beside the error")
	}
	for i := range want {
		want[i] = "x.yaml:" + want[i]
	}
	if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if problem := (Problem{}); !errors.As(err, &problem) || problem.Line == 0 {
		t.Errorf("no problem with a line in %T", err)
	}
}

func TestDecodeReportsAll(t *testing.T) {
	text := valid
	for _, change := range [][2]string{
		{"seed: 7", "sead: 7"},
		{"  workers: 2", "  workers: two"},
		{"replicas: 2", "replicas: 0"},
		{"duration: 10s", "duration: 10"},
		{"series: live-heap", "series: live-heep"},
		{"    within: 1m\n", ""},
		{"apiCall", "apiCal"},
	} {
		text = strings.Replace(text, change[0], change[1], 1)
	}
	expectProblems(t, text,
		`4:1: unknown key "sead"; did you mean "seed"?`,
		`7:12: cluster.workers is the string "two"; want a whole number`,
		`15:13: volumes.replicas is 0; want at least 1`,
		`26:13: outage.duration: "10" has no unit; want a duration such as 90s or 5m; did you mean "10s"?`,
		`47:13: unknown series "live-heep"; did you mean "live-heap"?`,
		`49:5: bounds[2].within is missing; kind drain needs it`,
		`59:3: unknown timeout "apiCal"; did you mean "apiCall"?`,
	)
}

func TestDecodeNotOneMapping(t *testing.T) {
	for text, want := range map[string]string{
		"":                        `1:1: no scenario: the file is empty`,
		"# only a comment\n":      `1:1: no scenario: the file is empty`,
		"- name: x\n":             `1:1: the file is a list; want keys and values`,
		"name: a\n---\nname: b\n": `3:1: a second document; want one scenario a file`,
		"name: [a\n":              `1:7: not YAML: sequence end token ']' not found`,
		"name: a\n  seed: 1\n":    `1:7: not YAML: mapping value is not allowed in this context`,
		"name: tiny\n\tseed: 1\n": "2:1: not YAML: found character '\t' that cannot start any token",
		"name: \"a\nbounds: []\n": `1:7: not YAML: could not find end character of double-quoted text`,
	} {
		t.Run(fmt.Sprintf("%.12q", text), func(t *testing.T) { expectProblems(t, text, want) })
	}
}

func TestDecodeNothingButBounds(t *testing.T) {
	expectProblems(t, "name: a\nlonghorn: {versions: [v1.7.2]}\nvolumes: {count: 1}\n"+
		"backlog: {count: 1, lostShare: 1}\nbounds: []\n",
		`5:9: bounds is empty; a run that nothing judges shows nothing`)
}

// Nothing that a file holds may make the decoder panic or read it as valid by
// halves: whatever it accepts also passes validation and survives writing.
func FuzzDecode(f *testing.F) {
	f.Add(valid)
	f.Add(racked)
	for _, c := range slices.Concat(badKeys, badTypes, badUnits, badSizes, badWords, badBounds) {
		f.Add(strings.Replace(valid, c.from, c.to, 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Decode("x.yaml", []byte(text), realNames)
		if err != nil {
			return
		}
		if err := s.Validate(realNames); err != nil {
			t.Errorf("decoded, but invalid: %v", err)
		}
		roundTrip(t, s)
	})
}
