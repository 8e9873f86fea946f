package scenario

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
)

// least is a scenario that leaves out all it can.
const least = `name: least
longhorn: {versions: [v1.7.2]}
volumes: {count: 1}
backlog: {count: 1, lostShare: 1}
bounds:
  - {name: none-lost, kind: conservation}
  - {name: none-left, kind: orphans}
  - {name: calm, kind: restarts}
  - {name: trend, kind: trend, series: goroutines, max: 0}
  - {name: most, kind: ceiling, series: goroutines, max: 9}
  - {name: rest, kind: settle, series: node-load, max: 2, within: 2m}
  - {name: more, kind: growth, series: goroutines, max: 1}
  - {name: soon, kind: recovered, within: 3m}
`

func decoded(t *testing.T, text string) Scenario {
	t.Helper()
	s, err := Decode("x.yaml", []byte(text), realNames)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func roundTrip(t *testing.T, s Scenario) {
	t.Helper()
	text, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode("resolved.yaml", text, realNames)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if !equality.Semantic.DeepEqual(s, again) {
		t.Errorf("got\n%+v\nwant\n%+v\nfrom\n%s", again, s, text)
	}
}

func TestRoundTrip(t *testing.T) {
	texts := map[string][]byte{"valid": []byte(valid), "least": []byte(least), "racked": []byte(racked)}
	for file, text := range committed(t) {
		texts[file] = text
	}
	for name, text := range texts {
		t.Run(filepath.Base(name), func(t *testing.T) { roundTrip(t, decoded(t, string(text))) })
	}
}

func TestContentIsKept(t *testing.T) {
	s := decoded(t, strings.Replace(least, "volumes: {count: 1}", "volumes: {count: 1, content: {fill: 0.25}}", 1)+"  - {name: data, kind: content}\n")
	if s.Volumes.Content.Fill != 0.25 {
		t.Errorf("content is %+v", s.Volumes.Content)
	}
	roundTrip(t, s)
}

// Strings that look like something else must come back as strings.
func TestRoundTripOddStrings(t *testing.T) {
	s := decoded(t, least)
	s.Longhorn.Settings = map[string]string{
		"a": "true", "b": "1.5", "c": "", "d": "null", "e": "a: b", "f": "{}", "g": " x ", "h": "0x1f", "i": "~", "j": `"`, "k": "- x",
	}
	for _, text := range []string{
		"two lines: # one\n  - two\n", "  indented\nnot\n", "\n\nblank first", "blank last\n\n\n", "trailing \n space ", "tab\n\tin", "line\u2028separator", "é\n✓\n",
	} {
		s.Description = text
		roundTrip(t, s)
	}
}

func TestMarshalWritesDefaults(t *testing.T) {
	text, err := decoded(t, least).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"seed: 1", "  workers: 2", "  size: 16Mi", "  order: together", "  steady: 2m30s", "  heap: 30s",
		"  apiCall: 30s", "  cleanUp: 2m", "  rate: 0.0",
	} {
		if !strings.Contains("\n"+string(text), "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	// Of the orphans, the restarts and the trend; the recovery has none.
	if got, want := strings.Count(string(text), "\n    max: 0\n"), 3; got != want {
		t.Errorf("%d bounds have a max of 0, want %d:\n%s", got, want, text)
	}
}

func TestDefaults(t *testing.T) {
	s := decoded(t, least)
	want := Defaults()
	want.Name = "least"
	want.Longhorn.Versions = []string{"v1.7.2"}
	want.Volumes.Count, want.Backlog.Count, want.Backlog.LostShare = 1, 1, 1
	all := []string{"baseline", "backlog", "outage", "recovery", "steady"}
	steady := all[len(all)-1:]
	want.Bounds = []Bound{
		{Name: "none-lost", Kind: Conservation},
		{Name: "none-left", Kind: Orphans},
		{Name: "calm", Kind: Restarts, Phases: steady},
		{Name: "trend", Kind: Trend, Series: "goroutines", Phases: steady, MinSamples: 10},
		{Name: "most", Kind: Ceiling, Series: "goroutines", Max: resource.MustParse("9"), Phases: all, MinSamples: 10},
		{Name: "rest", Kind: Settle, Series: "node-load", Max: resource.MustParse("2"), Within: Duration{2 * time.Minute}, MinSamples: 10},
		{Name: "more", Kind: Growth, Series: "goroutines", Max: resource.MustParse("1"), Phases: all[1:], MinSamples: 10},
		{Name: "soon", Kind: Recovered, Within: Duration{3 * time.Minute}},
	}
	want.Limits = s.Limits
	if !equality.Semantic.DeepEqual(s, want) {
		t.Errorf("got\n%+v\nwant\n%+v", s, want)
	}
	if s.Timeouts() != DefaultTimeouts() {
		t.Errorf("timeouts: got %+v", s.Timeouts())
	}
	if s.Outage.Between.Duration != 0 {
		t.Errorf("between is %s without repeats", s.Outage.Between)
	}
	repeated := decoded(t, least+"outage: {repeats: 3}\n")
	if repeated.Outage.Between.Duration != defaultBetween {
		t.Errorf("between is %s with repeats", repeated.Outage.Between)
	}
	if rolling := decoded(t, least+"outage: {inTurn: true}\n"); rolling.Outage.Between.Duration != defaultBetween {
		t.Errorf("between is %s in turn", rolling.Outage.Between)
	}
}

// Every timeout can be overridden by its name, and by that name alone.
func TestTimeouts(t *testing.T) {
	names := TimeoutNames()
	if want := []string{"registryProbe", "engineStart", "engineCall"}; !slices.Equal(names[:len(want)], want) {
		t.Errorf("names are %v", names)
	}
	if !slices.Contains(names, "apiCall") || !slices.Contains(names, "dataPlaneReady") {
		t.Errorf("names are %v", names)
	}
	for i, name := range names {
		odd := Duration{time.Duration(i+1) * time.Hour}
		got := reflect.ValueOf(Scenario{Limits: map[string]Duration{name: odd}}.Timeouts())
		defaults := reflect.ValueOf(DefaultTimeouts())
		for j := range got.NumField() {
			want := defaults.Field(j).Int()
			if i == j {
				want = int64(odd.Duration)
			}
			if got.Field(j).Int() != want {
				t.Errorf("with %s, %s is %d", name, names[j], got.Field(j).Int())
			}
		}
	}
}

func TestLowerCamel(t *testing.T) {
	for name, want := range map[string]string{
		"Poll": "poll", "CleanUp": "cleanUp", "APICall": "apiCall", "EngineAPI": "engineAPI", "API": "api",
	} {
		if got := lowerCamel(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{
		"90s": "1m30s", "5m": "5m", "300s": "5m", "1h": "1h", "60m": "1h", "1h30m": "1h30m", "1h0m30s": "1h0m30s",
		"1.5s": "1.5s", "250ms": "250ms", "0s": "0s", "10m": "10m", "20s": "20s", "10h": "10h",
	} {
		var d, again Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if d.String() != want {
			t.Errorf("%s: got %s, want %s", text, d, want)
		}
		asJSON, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(asJSON, &again); err != nil || again != d {
			t.Errorf("%s: %s came back as %s, %v", text, asJSON, again, err)
		}
	}
	var d Duration
	err := d.UnmarshalText([]byte("90"))
	if want := `"90" has no unit; want a duration such as 90s or 5m; did you mean "90s"?`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"rss", "waiting", "goroutines", "goroutines-by-root"}
	for got, want := range map[string]string{
		"rs": "rss", "wating": "waiting", "Goroutines": "goroutines", "gorotuines": "goroutines",
		"goroutines-by-rot": "goroutines-by-root", "xyz": "", "": "",
	} {
		if near := nearest(got, names); near != want {
			t.Errorf("%q: got %q, want %q", got, near, want)
		}
	}
	for pair, want := range map[[2]string]int{
		{"", "abc"}: 3, {"abc", "abc"}: 0, {"abc", "acb"}: 1, {"abc", "abd"}: 1, {"kitten", "sitting"}: 3, {"é", "e"}: 1,
	} {
		if d := distance(pair[0], pair[1]); d != want {
			t.Errorf("%v: got %d, want %d", pair, d, want)
		}
	}
}

// The command line changes decoded values; Validate judges them as Decode does.
func TestValidateAfterChange(t *testing.T) {
	s := decoded(t, valid)
	if err := s.Validate(realNames); err != nil {
		t.Fatal(err)
	}
	sized := s.Sized(501)
	if sized.Name != "tiny-501" || s.Name != "tiny" || s.Backlog.Count != 20 {
		t.Errorf("sized %s, from %s with %d", sized.Name, s.Name, s.Backlog.Count)
	}
	s = sized
	s.Outage.Nodes = "al"
	s.Bounds = slices.Clone(s.Bounds)
	s.Bounds[0].Within = Duration{time.Minute}
	s.Bounds[1].Series = ""
	s.Bounds[2].Max = resource.MustParse("-1")
	want := strings.Join([]string{
		`unknown outage.nodes "al"; did you mean "all"?`,
		`501 backups over 2 volumes are 251 a volume; at most 250, so want 3 volumes`,
		`kind trend does not read "within"; it reads series, max, subject, phases, minSamples`,
		`bounds[1].series is missing; kind ceiling needs it`,
		`bounds[2].max is -1; want at least 0`,
	}, "\n")
	if err := s.Validate(realNames); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestSteadyFor(t *testing.T) {
	s := decoded(t, valid) // steady 90s, a drain within 1m, an interval of 5s
	for since, want := range map[time.Duration]time.Duration{
		0: 90 * time.Second, 30 * time.Second: 90 * time.Second, 5 * time.Minute: 90 * time.Second,
	} {
		if got := s.SteadyFor(since); got != want {
			t.Errorf("%s after the restore: got %s, want %s", since, got, want)
		}
	}
	s.Bounds[2].Within = Duration{4 * time.Minute}
	if got, want := decoded(t, least).SteadyFor(0), 170*time.Second; got != want { // a settle within 2m, and ten samples; the recovered within 3m needs none
		t.Errorf("settle: got %s, want %s", got, want)
	}
	for since, want := range map[time.Duration]time.Duration{
		time.Minute: 190 * time.Second, 160 * time.Second: 90 * time.Second,
	} {
		if got := s.SteadyFor(since); got != want {
			t.Errorf("within 4m, %s after the restore: got %s, want %s", since, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(dir, realNames); err == nil {
		t.Error("an empty directory loads")
	}
	if _, err := Load(filepath.Join(dir, "gone.yaml"), realNames); err == nil {
		t.Error("a file that is not there loads")
	}
	write("b.yaml", valid)
	write("a.yaml", least)
	write("notes.txt", "no scenario")
	for pattern, want := range map[string][]string{
		dir: {"least", "tiny"}, filepath.Join(dir, "b.yaml"): {"tiny"}, filepath.Join(dir, "[ab].yaml"): {"least", "tiny"},
	} {
		all, err := Load(pattern, realNames)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range all {
			names = append(names, s.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: got %v, want %v", pattern, names, want)
		}
	}
	write("c.yaml", least)
	write("d.yaml", strings.Replace(valid, "seed", "sead", 1))
	all, err := Load(dir, realNames)
	if err == nil || len(all) != 2 {
		t.Fatalf("got %d scenarios and %v", len(all), err)
	}
	for _, want := range []string{
		filepath.Join(dir, "c.yaml") + `: name "least" is already taken by ` + filepath.Join(dir, "a.yaml"),
		filepath.Join(dir, "d.yaml") + `:4:1: unknown key "sead"; did you mean "seed"?`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
