package report

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/history"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// What a backup costs each of two managers a minute on every synthetic rung.
const (
	managers          = 2
	goroutinesEach    = 12.0 / managers
	goroutinesPerConn = 6
	heapPerGoroutine  = 10 << 10
	rssPerGoroutine   = 20 << 10
)

// rung is a made-up run: the managers grow by its backups, which all wait.
type rung struct {
	version  string
	backups  int
	noise    func() float64 // of a value
	restart  time.Duration  // into steady, of the first manager; 0: never
	flat     bool           // connections do not grow
	broken   string         // infrastructure, torn, no steady, open, unwatched or unqueued
	planned  int            // if not all were queued
	snapshot int            // of each volume, unlike the other rungs
	parts    string         // that ran
	untried  int            // backups that are New; one if 0
}

func (r rung) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := ReadScenario(filepath.Join("..", "..", "scenarios", "ladder.yaml"))
	must(t, err)
	s = s.Sized(max(r.backups, r.planned))
	s.Volumes.Snapshots += r.snapshot
	text, err := s.Marshal()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, ScenarioFile), text, 0o600))
	if r.version == "" {
		r.version = "v1.7.2"
	}
	path := filepath.Join(dir, HistoryFile)
	w, err := history.Create(path, history.Header{Run: dir, Scenario: s.Name, Longhorn: r.version, Parts: r.parts, Started: began})
	must(t, err)
	if r.broken != "unqueued" {
		must(t, w.Event(history.Event{Time: began, Kind: history.SubmitDone, Fields: map[string]string{"count": strconv.Itoa(r.backups)}}))
	}
	const steady, every, everyHeap = 5 * time.Minute, 5 * time.Second, 15 * time.Second
	for at := time.Duration(0); at < steady; at += every {
		now := began.Add(at)
		for subject, n := range map[string]int{history.StatePending: r.backups - max(1, r.untried), history.StateNew: max(1, r.untried)} {
			must(t, w.Sample(history.Sample{Time: now, Probe: "census", Series: history.Backups, Subject: subject, Value: float64(n)}))
		}
		must(t, w.Sample(history.Sample{Time: now, Probe: "census", Series: history.Waiting, Subject: "cluster", Value: float64(r.backups)}))
		if r.broken == "unwatched" {
			continue
		}
		for i := range managers {
			life := history.Incarnation{Pod: fmt.Sprintf("manager-%d", i), Container: history.ManagerSubject, Node: fmt.Sprintf("node-%d", i)}
			lived := at
			if i == 0 && r.restart > 0 && at >= r.restart {
				life.Restarts, lived = 1, at-r.restart
			}
			put := func(series string, value float64) {
				must(t, w.Sample(history.Sample{Time: now, Probe: "pprof", Series: series, Subject: history.ManagerSubject, Incarnation: life, Value: value}))
			}
			goroutines := 1000 + goroutinesEach*float64(r.backups)*lived.Minutes()
			if r.noise != nil {
				goroutines += r.noise()
			}
			put(history.Goroutines, goroutines)
			if r.flat {
				put(history.GRPCConnections, 4)
			} else {
				put(history.GRPCConnections, goroutines/goroutinesPerConn)
			}
			if at%everyHeap == 0 {
				put(history.LiveHeap, goroutines*heapPerGoroutine)
				put(history.RSS, goroutines*rssPerGoroutine)
			}
		}
	}
	phase := history.Phase{Name: history.Steady, Start: began, End: began.Add(steady)}
	switch r.broken {
	case "infrastructure":
		must(t, w.Event(history.Event{Time: phase.End, Kind: history.Infrastructure, Fields: map[string]string{"error": "disk full"}}))
	case "no steady":
		phase.Name = history.Recovery
	case "open":
		phase.End = time.Time{}
	}
	must(t, w.Phase(phase))
	must(t, w.Close())
	if r.broken == "torn" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString(`{"kind":"sam`)
		must(t, err)
		must(t, f.Close())
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var incident = FitOptions{Over: history.Waiting, At: 3718, Limit: 7 << 30}

func ladder(t *testing.T, o FitOptions, rungs ...rung) (Fit, error) {
	t.Helper()
	var dirs []string
	for _, r := range rungs {
		dirs = append(dirs, r.write(t))
	}
	return Ladder(dirs, o)
}

func line(t *testing.T, f Fit, series string) Line {
	t.Helper()
	for _, l := range f.Lines {
		if l.Series == series {
			return l
		}
	}
	t.Fatalf("no line for %s: %v", series, f.Notes)
	return Line{}
}

func TestExactLadder(t *testing.T) {
	g := NewWithT(t)
	// In any order: rungs are told by their size.
	f, err := ladder(t, incident, rung{backups: 2000}, rung{backups: 250}, rung{backups: 500}, rung{backups: 1000})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Notes).To(BeEmpty())
	g.Expect(f.Longhorn).To(Equal("v1.7.2"))
	g.Expect(f.Beyond).To(BeNumerically("~", 1.859))
	g.Expect(f.Rungs[0].Backups).To(Equal(250))
	g.Expect(f.Rungs[0].Median).To(Equal(map[string]float64{"waiting": 250, "Pending": 249, "New": 1}))
	g.Expect(f.Rungs[3].Growth[history.Goroutines]).To(BeNumerically("~", 24000, 1e-6))
	g.Expect(f.Rungs[3].Reached[history.Goroutines]).To(BeNumerically("~", 2000+24000*295/60.0, 1e-6))

	l := line(t, f, history.Goroutines)
	g.Expect(l.Each.Value).To(BeNumerically("~", 12, 1e-6))
	g.Expect(*l.Each.Margin).To(BeNumerically("~", 0, 1e-6))
	g.Expect(*l.R2).To(BeNumerically("~", 1, 1e-6))
	g.Expect(l.At.Value).To(BeNumerically("~", 12*3718, 1e-3))
	g.Expect(line(t, f, history.GRPCConnections).Each.Value).To(BeNumerically("~", 2, 1e-6))
	// 12 * 3718 * 10 KiB/min is 435.7 MiB/min.
	g.Expect(line(t, f, history.LiveHeap).ToLimit).To(Equal("16m0s"))

	var text strings.Builder
	g.Expect(f.WriteText(&text)).To(Succeed())
	g.Expect(text.String()).To(And(
		ContainSubstring("  250      250      249      1    3000/min to 16750 "),
		ContainSubstring("each waiting backup: 12 goroutines/min (95 % 12 to 12, R² 1.000)\n"),
		ContainSubstring("each waiting backup: 120.0 KiB/min of live heap (95 % "),
		ContainSubstring("EXTRAPOLATED to 3718 waiting backups, 1.86 times the largest rung"),
		ContainSubstring(" from nothing to 7.0 GiB in 16m0s\n"),
	))
}

func TestNoisyLadder(t *testing.T) {
	g := NewWithT(t)
	const sigma = 300
	r := rand.New(rand.NewPCG(9978, 1))
	noise := func() float64 { return sigma * r.NormFloat64() }
	o := incident
	o.Over = history.StatePending
	f, err := ladder(t, o, rung{backups: 250, noise: noise}, rung{backups: 500, noise: noise}, rung{backups: 1000, noise: noise}, rung{backups: 2000, noise: noise})
	g.Expect(err).NotTo(HaveOccurred())
	l := line(t, f, history.Goroutines)
	g.Expect(l.Each.Value).To(BeNumerically("~", 12, 0.3))
	g.Expect(*l.Each.Margin).To(And(BeNumerically(">", 0.001), BeNumerically("<", 1)))
	g.Expect(*l.R2).To(And(BeNumerically(">", 0.99), BeNumerically("<", 1)))
	g.Expect(*l.At.Margin).To(BeNumerically(">", *l.Each.Margin*(o.At-2000)), "further away less is known")
}

// The interval against numbers that were worked out by hand.
func TestIntervalOfSlope(t *testing.T) {
	g := NewWithT(t)
	l := regress([]float64{1, 2, 3}, []float64{1, 2, 4}, 2)
	g.Expect(l.Each.Value).To(BeNumerically("~", 1.5))
	// Residuals 1/6, -1/3, 1/6; one degree of freedom, t = 12.706.
	g.Expect(*l.Each.Margin).To(BeNumerically("~", 12.706*0.288675, 1e-3))
	g.Expect(*l.At.Margin).To(BeNumerically("~", 12.706*0.235702, 1e-3))
	g.Expect(*l.R2).To(BeNumerically("~", 27/28.0))
}

// Of a hundred ladders, about 95 have the true cost in their interval.
func TestIntervalCoversTheTruth(t *testing.T) {
	g := NewWithT(t)
	const cost, sigma, ladders, at = 12.0, 500.0, 5000, 3718.0
	r := rand.New(rand.NewPCG(9978, 2))
	x := []float64{250, 500, 1000, 2000}
	each, there := 0, 0
	for range ladders {
		y := make([]float64, len(x))
		for i := range x {
			y[i] = cost*x[i] + sigma*r.NormFloat64()
		}
		l := regress(x, y, at)
		if math.Abs(l.Each.Value-cost) <= *l.Each.Margin {
			each++
		}
		if math.Abs(l.At.Value-cost*at) <= *l.At.Margin {
			there++
		}
	}
	g.Expect(each).To(BeNumerically("~", 0.95*ladders, 0.01*ladders))
	g.Expect(there).To(BeNumerically("~", 0.95*ladders, 0.01*ladders))
}

// What no manager has tried yet has cost nothing: such a rung is shown and said to
// be left out, for it would flatten the line.
func TestUntriedBackupsAreNotFitted(t *testing.T) {
	g := NewWithT(t)
	late := rung{backups: 2000, untried: 1600, noise: func() float64 { return -100 }}
	f, err := ladder(t, incident, rung{backups: 250}, rung{backups: 500}, rung{backups: 1000, untried: 90}, late)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Rungs).To(HaveLen(4))
	l := line(t, f, history.Goroutines)
	g.Expect(l.Rungs).To(Equal(3))
	g.Expect(l.Each.Value).To(BeNumerically("~", 12, 1e-6))
	g.Expect(f.Beyond).To(BeNumerically("~", 3.718, 1e-6))
	g.Expect(f.Notes).To(ContainElement(ContainSubstring("1600 of 2000 waiting backups were still New")))

	over := incident
	over.Over = history.StatePending // who asks for those gets all rungs
	f, err = ladder(t, over, rung{backups: 250}, rung{backups: 2000, untried: 1500})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(line(t, f, history.Goroutines).Rungs).To(Equal(2))
}

func TestTwoRungsHaveNoInterval(t *testing.T) {
	g := NewWithT(t)
	o := incident
	o.At = 400
	f, err := ladder(t, o, rung{backups: 250, flat: true}, rung{backups: 500, flat: true, planned: 600, snapshot: 1})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(line(t, f, history.Goroutines).Each.Margin).To(BeNil())
	g.Expect(line(t, f, history.Goroutines).R2).To(BeNil())
	g.Expect(f.Notes).To(ConsistOf(ContainSubstring("500 of 600 backups were queued"), ContainSubstring("differ in more than their size")))
	var text strings.Builder
	g.Expect(f.WriteText(&text)).To(Succeed())
	g.Expect(text.String()).To(And(
		ContainSubstring("12 goroutines/min (two rungs: no interval)"), ContainSubstring("\nat 400 waiting backups, 0.80 times the largest rung"),
		Not(ContainSubstring("EXTRAPOLATED")),
	))
}

func TestFitIsWrittenAsJSON(t *testing.T) {
	g := NewWithT(t)
	// Nothing grows in a flat line: its R² is no number, and JSON has none for that.
	f, err := ladder(t, incident, rung{backups: 250, flat: true}, rung{backups: 500, flat: true}, rung{backups: 1000, flat: true})
	g.Expect(err).NotTo(HaveOccurred())
	raw, err := json.Marshal(f)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(raw)).To(And(ContainSubstring(`"over":"waiting","at":3718,`), ContainSubstring(`"series":"grpc-connections","unit":"count","rungs":3,"each":{"value":0,`)))
	g.Expect(line(t, f, history.GRPCConnections).R2).To(BeNil())
}

func TestRestartedManagerIsNoted(t *testing.T) {
	g := NewWithT(t)
	f, err := ladder(t, incident, rung{backups: 250}, rung{backups: 500}, rung{backups: 1000, restart: 4*time.Minute + 30*time.Second})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.Notes).To(HaveLen(len(quantities)), "its second life is too short for each")
	g.Expect(f.Notes[0]).To(ContainSubstring("goroutines: manager-0 on node-0 (restart 1) is left out: 6 of the 12 samples"))
	g.Expect(line(t, f, history.Goroutines).Each.Value).To(BeNumerically("~", 12, 1e-6), "its first life speaks for it")
}

func TestRestartedManagerCountsOnce(t *testing.T) {
	g := NewWithT(t)
	f, err := ladder(t, incident, rung{backups: 250}, rung{backups: 500}, rung{backups: 1000, restart: 150 * time.Second})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(line(t, f, history.Goroutines).Each.Value).To(BeNumerically("~", 12, 1e-6))
	// RSS: both lives are too short, and half a cluster is no cheap backup.
	g.Expect(line(t, f, history.RSS).Rungs).To(Equal(2))
	g.Expect(f.Notes).To(HaveLen(3))
	g.Expect(f.Notes[2]).To(ContainSubstring("RSS: no slope of the manager on node-0: this rung is not fitted"))
	var text strings.Builder
	g.Expect(f.WriteText(&text)).To(Succeed())
	g.Expect(text.String()).To(And(ContainSubstring("? to "), ContainSubstring("\nnote: ")))
}

func TestRungsThatCannotBeFitted(t *testing.T) {
	other := incident
	other.Over = history.RSS
	nowhere := incident
	nowhere.At = 0
	for name, c := range map[string]struct {
		options FitOptions
		rungs   []rung
		want    string
	}{
		"infrastructure": {incident, []rung{{backups: 250}, {backups: 500, broken: "infrastructure"}}, "failed (disk full): run it again"},
		"torn":           {incident, []rung{{backups: 250, broken: "torn"}}, "torn"},
		"no steady":      {incident, []rung{{backups: 250, broken: "no steady"}}, "no whole steady phase"},
		"open steady":    {incident, []rung{{backups: 250, broken: "open"}}, "no whole steady phase"},
		"no manager":     {incident, []rung{{backups: 250, broken: "unwatched"}}, "no sample of any manager"},
		"nothing queued": {incident, []rung{{backups: 250, broken: "unqueued"}}, "how many backups were queued"},
		"two versions":   {incident, []rung{{backups: 250}, {backups: 500, version: "v1.8.1"}}, "fit each version by itself"},
		"two builds":     {incident, []rung{{backups: 250, parts: "longhorn-manager v1.7.2 (module)"}, {backups: 500, parts: "longhorn-manager mine (checkout)"}}, "fit each build by itself"},
		"one size":       {incident, []rung{{backups: 250}, {backups: 250}}, "add a rung of another size"},
		"one by chance":  {incident, []rung{{backups: 249}, {backups: 250}}, "add a rung of another size"},
		"unknown axis":   {other, []rung{{backups: 250}}, "name waiting, Pending or New"},
		"nowhere":        {nowhere, []rung{{backups: 250}}, "above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := ladder(t, c.options, c.rungs...)
			g.Expect(err).To(MatchError(ContainSubstring(c.want)))
		})
	}
	t.Run("twice", func(t *testing.T) {
		g := NewWithT(t)
		dir := rung{backups: 250}.write(t)
		_, err := Ladder([]string{dir, dir}, incident)
		g.Expect(err).To(MatchError(ContainSubstring("name each once")))
	})
	t.Run("nothing there", func(t *testing.T) {
		g := NewWithT(t)
		dir := t.TempDir()
		_, err := Ladder([]string{dir}, incident)
		g.Expect(err).To(And(MatchError(os.ErrNotExist), MatchError(ContainSubstring(dir))))
	})
}

// The saved run has the series that a fit needs, as probes write them.
func TestSavedRunIsARung(t *testing.T) {
	g := NewWithT(t)
	r, notes, err := readRung(saved)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(notes).To(BeEmpty())
	g.Expect(r.Growth).To(HaveLen(len(quantities)))
	g.Expect(r.Growth[history.Goroutines]).To(BeNumerically(">", 100))
	g.Expect(r.Median[history.Waiting]).To(BeNumerically(">", 200))
}
