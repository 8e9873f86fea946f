package openmetrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"blackout/e2e/history"
)

// demo is the history of a real run.
const demo = "../../fixtures/demo/issue-9978-v1.7.2/history.jsonl.gz"

func exported(t *testing.T, path string) (string, Summary) {
	t.Helper()
	r, err := history.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var out bytes.Buffer
	summary, err := Write(&out, r)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), summary
}

// parsed is what Prometheus' own parser, which promtool uses, makes of a text.
type parsed struct {
	families []string // in their order, each as often as it begins
	types    map[string]textparse.MetricType
	units    map[string]string
	points   map[string]map[string][]point // by family and labels
}

func parse(t *testing.T, text string) parsed {
	t.Helper()
	p := parsed{types: map[string]textparse.MetricType{}, units: map[string]string{}, points: map[string]map[string][]point{}}
	parser := textparse.NewOpenMetricsParser([]byte(text))
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		switch entry {
		case textparse.EntryType:
			name, kind := parser.Type()
			p.types[string(name)] = kind
		case textparse.EntryUnit:
			name, unit := parser.Unit()
			p.units[string(name)] = string(unit)
		case textparse.EntrySeries:
			_, at, value := parser.Series()
			if at == nil {
				t.Fatal("a sample without a time")
			}
			var ls labels.Labels
			parser.Metric(&ls)
			name := ls.Get(labels.MetricName)
			if len(p.families) == 0 || p.families[len(p.families)-1] != name {
				p.families = append(p.families, name)
			}
			if p.points[name] == nil {
				p.points[name] = map[string][]point{}
			}
			key := labels.NewBuilder(ls).Del(labels.MetricName).Labels().String()
			p.points[name][key] = append(p.points[name][key], point{*at, value})
		}
	}
}

func TestPrometheusReadsARealRun(t *testing.T) {
	g := NewWithT(t)
	text, summary := exported(t, demo)
	g.Expect(text).To(HaveSuffix("\n# EOF\n"))
	p := parse(t, text)
	g.Expect(slices.Compact(slices.Sorted(slices.Values(p.families)))).To(Equal(p.families), "each family is in one piece, in order")

	run, err := history.Load(demo)
	g.Expect(err).NotTo(HaveOccurred())
	got, states := 0, 0
	for name, all := range p.points {
		g.Expect(p.types).To(HaveKeyWithValue(name, textparse.MetricTypeGauge))
		if unit := p.units[name]; unit != "" {
			g.Expect(name).To(HaveSuffix("_" + unit))
		}
		for key, points := range all {
			g.Expect(key).To(And(ContainSubstring(`run="1123-004508-u6lw"`), ContainSubstring(`longhorn="v1.7.2"`), ContainSubstring(`scenario="issue-9978"`)))
			got += len(points)
			if name == "blackout_phase" || name == "blackout_node_outage" {
				states += len(points)
			}
			for i := 1; i < len(points); i++ {
				g.Expect(points[i].at).To(BeNumerically(">", points[i-1].at), "%s%s", name, key)
			}
		}
	}
	g.Expect(got).To(Equal(summary.Samples))
	g.Expect(got-states).To(Equal(len(run.Samples)), "no sample is lost, none is added")
	g.Expect(summary.Truncated).To(BeFalse())

	// One series, from the file to Prometheus.
	manager := run.Tracks(history.GRPCConnections, history.ManagerSubject)[0]
	life := manager.Incarnation
	key := labels.FromStrings("run", run.Header.Run, "scenario", run.Header.Scenario, "longhorn", run.Header.Longhorn, "subject", history.ManagerSubject,
		"pod", life.Pod, "uid", life.UID, "container", life.Container, "restart", strconv.Itoa(life.Restarts), "node", life.Node).String()
	var want []point
	for _, s := range manager.Samples {
		want = append(want, point{s.Time.UnixMilli(), s.Value})
	}
	g.Expect(p.points["blackout_grpc_connections"]).To(HaveKeyWithValue(key, want))
	g.Expect(p.units).To(HaveKeyWithValue("blackout_live_heap_bytes", "bytes"))
}

func TestPhasesAndOutagesAreStates(t *testing.T) {
	g := NewWithT(t)
	text, _ := exported(t, demo)
	p := parse(t, text)
	run, err := history.Load(demo)
	g.Expect(err).NotTo(HaveOccurred())
	at := func(points []point, when time.Time) (value float64) {
		value = -1
		for _, p := range points {
			if p.at <= when.UnixMilli() {
				value = p.value
			}
		}
		return value
	}
	g.Expect(p.points["blackout_phase"]).To(HaveLen(len(history.PhaseNames)))
	for key, points := range p.points["blackout_phase"] {
		for _, phase := range run.Phases {
			want := 0.0
			if strings.Contains(key, `phase="`+string(phase.Name)+`"`) {
				want = 1
			}
			g.Expect(at(points, phase.Start.Add(phase.End.Sub(phase.Start)/2))).To(Equal(want), "%s in the middle of %s", key, phase.Name)
		}
		for i := 1; i < len(points); i++ {
			g.Expect(points[i].at-points[i-1].at).To(BeNumerically("<=", every.Milliseconds()), "%s is never silent", key)
		}
	}
	g.Expect(p.points["blackout_node_outage"]).To(HaveLen(3))
	for key, points := range p.points["blackout_node_outage"] {
		for _, loss := range run.PowerLosses() {
			for _, node := range loss.Nodes {
				if strings.Contains(key, `node="`+node.Node+`"`) {
					g.Expect(at(points, loss.Cut.Add(-time.Second))).To(Equal(0.0))
					g.Expect(at(points, loss.Cut.Add(time.Millisecond))).To(Equal(1.0))
					g.Expect(at(points, node.Restored.Add(-time.Millisecond))).To(Equal(1.0))
					g.Expect(at(points, node.Restored.Add(time.Millisecond))).To(Equal(0.0))
				}
			}
		}
	}
}

func record(t *testing.T, write func(w *history.Writer)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	w, err := history.Create(path, history.Header{Run: `a "b"\c`, Scenario: "s", Longhorn: "v1.8.1", Started: began})
	if err != nil {
		t.Fatal(err)
	}
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestWhatIsOddInAHistory(t *testing.T) {
	g := NewWithT(t)
	later := began.Add(time.Minute)
	path := record(t, func(w *history.Writer) {
		of := func(at time.Time, value float64, uid string) {
			g.Expect(w.Sample(history.Sample{Time: at, Series: history.Goroutines, Subject: "x\ny", Incarnation: history.Incarnation{Pod: "p", UID: uid}, Value: value})).To(Succeed())
		}
		of(later, 2, "one")
		of(began, 1, "one") // probes write when they are ready
		of(later.Add(100*time.Microsecond), 3, "one")
		of(later, 4, "two")
		g.Expect(w.Event(history.Event{Time: later, Kind: history.Cut, Subject: "n"})).To(Succeed())
		g.Expect(w.Phase(history.Phase{Name: history.Steady, Start: later})).To(Succeed())
		of(later.Add(time.Minute), 5, "two")
	})
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = f.WriteString(`{"kind":"sam`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Close()).To(Succeed())

	text, summary := exported(t, path)
	g.Expect(summary.Truncated).To(BeTrue())
	p := parse(t, text)
	ms := began.UnixMilli()
	var lives [][]point
	for _, key := range slices.Sorted(maps.Keys(p.points["blackout_goroutines"])) {
		g.Expect(key).To(ContainSubstring(`run="a \"b\"\\c"`))
		lives = append(lives, p.points["blackout_goroutines"][key])
	}
	g.Expect(lives).To(Equal([][]point{{{ms, 1}, {ms + 60000, 3}}, {{ms + 60000, 4}, {ms + 120000, 5}}}),
		"in order of time, the last of one moment, and two incarnations apart")
	for _, family := range []string{"blackout_node_outage", "blackout_phase"} {
		for key, points := range p.points[family] {
			if family == "blackout_phase" && !strings.Contains(key, "steady") {
				continue
			}
			g.Expect(points[len(points)-1]).To(Equal(point{ms + 120000, 1}), "what did not end lasts to the end of the run")
		}
	}
}

// What the dashboard asks for is what an export has, and it shows what matters.
func TestDashboardAsksForWhatIsExported(t *testing.T) {
	g := NewWithT(t)
	raw, err := os.ReadFile("../../fixtures/grafana/blackout.json")
	g.Expect(err).NotTo(HaveOccurred())
	var dashboard any
	g.Expect(json.Unmarshal(raw, &dashboard)).To(Succeed())
	text, _ := exported(t, demo)
	p := parse(t, text)
	asked := map[string]bool{}
	for _, query := range queries(dashboard) {
		for _, name := range regexp.MustCompile(`blackout_\w+`).FindAllString(query, -1) {
			asked[name] = true
			g.Expect(p.points).To(HaveKey(name), "asked for by %s", query)
		}
		// Each label that a query selects or groups by is one that the family has.
		for _, m := range regexp.MustCompile(`(blackout_\w+)\{([^}]*)\}`).FindAllStringSubmatch(query, -1) {
			for _, label := range regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"`).FindAllStringSubmatch(m[2], -1) {
				for key := range p.points[m[1]] {
					g.Expect(key).To(ContainSubstring(label[1]+"="), "%s", query)
					break
				}
			}
		}
	}
	for _, name := range []string{
		"blackout_backups", "blackout_waiting", "blackout_grpc_connections", "blackout_goroutines", "blackout_live_heap_bytes", "blackout_rss_bytes",
		"blackout_nodes_ready", "blackout_node_load", "blackout_phase", "blackout_node_outage", "blackout_restarts", "blackout_failed_reconciles",
	} {
		g.Expect(asked).To(HaveKey(name))
	}
	for _, variable := range []string{"$run", "$scenario"} {
		g.Expect(string(raw)).To(ContainSubstring(variable))
	}
}

// queries are all expressions in a dashboard, whoever asks them.
func queries(node any) (all []string) {
	switch v := node.(type) {
	case []any:
		for _, child := range v {
			all = append(all, queries(child)...)
		}
	case map[string]any:
		for key, child := range v {
			if text, ok := child.(string); ok && (key == "expr" || key == "query" || key == "definition") {
				all = append(all, text)
				continue
			}
			all = append(all, queries(child)...)
		}
	}
	return all
}

func TestEverySeriesSaysWhatItIs(t *testing.T) {
	g := NewWithT(t)
	for series := range history.Series {
		g.Expect(help).To(HaveKey(series))
	}
}
