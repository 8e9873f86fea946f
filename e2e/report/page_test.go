package report

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
)

// mostBytes of a page, so that it can be sent and opened anywhere.
const mostBytes = 1 << 20

// written is the page of a run's directory.
func written(t *testing.T, v Verdict, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), PageFile)
	if err := v.WritePage(dir, path); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// part is a section of a page.
func part(t *testing.T, page, id string) string {
	t.Helper()
	_, after, found := strings.Cut(page, `<section id="`+id+`">`)
	if !found {
		t.Fatalf("the page has no section %s", id)
	}
	section, _, _ := strings.Cut(after, "</section>")
	return section
}

// loads finds what a browser would fetch; links within the page are none.
var loads = regexp.MustCompile(`(?i)(\ssrc\s*=|\shref\s*=\s*"[^#]|@import|url\(|<script|<link|<iframe|<img|<object|javascript:)`)

func TestPageOfTheSavedRun(t *testing.T) {
	g := NewWithT(t)
	v, err := Judge(saved)
	g.Expect(err).NotTo(HaveOccurred())
	page := written(t, v, saved)
	g.Expect(len(page)).To(BeNumerically("<", mostBytes))
	g.Expect(loads.FindAllString(page, -1)).To(BeEmpty())
	g.Expect(page).To(ContainSubstring(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'`), "the browser sees to it as well")

	head, _, _ := strings.Cut(page, "</header>")
	g.Expect(head).To(And(ContainSubstring("REPRODUCED"), ContainSubstring(v.Judgement.Reason), ContainSubstring("exit code 0")))
	for _, r := range v.Judgement.Results {
		g.Expect(part(t, page, "bounds")).To(ContainSubstring("<strong>"+r.Bound+"</strong>"), r.Bound)
	}
	timeline := part(t, page, "timeline")
	for _, title := range []string{
		"Phases and power", "Backups", "Goroutines", "Open gRPC connections", "Live heap", "RSS",
		"Live heap of instance managers", "RSS of instance managers", "Nodes Ready", "Load", "callback-serializers",
	} {
		g.Expect(timeline).To(ContainSubstring("<h3>"+title+" "), title)
		g.Expect(strings.Count(timeline, `aria-label="`+title+`"`)).To(Equal(2), "%s is drawn for two widths", title)
	}
	for _, name := range []string{"connections-trend", "goroutines-growth", "callback-serializers-ceiling", "live-heap-ceiling", "rss-ceiling", "drain"} {
		g.Expect(timeline).To(ContainSubstring("</svg> "+name+": "), "%s is named at its chart", name)
	}
	g.Expect(timeline).NotTo(ContainSubstring("Nothing was seen of it"))
	for _, m := range v.Recovery {
		g.Expect(part(t, page, "recovery")).To(ContainSubstring(m.Step))
	}
	g.Expect(part(t, page, "violations")).To(And(ContainSubstring("6 of the 47 samples that show it"), ContainSubstring("<strong>1034</strong>")))
	g.Expect(part(t, page, "growth")).To(And(ContainSubstring("google.golang.org/grpc.(*addrConn).connect: "), ContainSubstring("checkMonitor"), ContainSubstring("<span>pprof</span>"), ContainSubstring(" that grew in all, before what shrank elsewhere")))
	g.Expect(part(t, page, "outages")).To(And(ContainSubstring("outage 1 of 1 at 00:48:37"), ContainSubstring("worker2       ━━X")))
	g.Expect(part(t, page, "environment")).To(And(ContainSubstring("<dt>seed</dt><dd>9978</dd>"), ContainSubstring("a4c0f2b9c2b6114b"),
		ContainSubstring("<dt>data plane</dt><dd>longhorn-instance-manager v1.6.0-rc2, longhorn-engine v1.6.0-rc2</dd>"), ContainSubstring("lostShare: 0.9")))
	g.Expect(part(t, page, "repeat")).To(And(ContainSubstring("9978"),
		ContainSubstring("<span>blackout</span> <span>run</span> <span>--longhorn</span> <span>v1.7.2</span> <span>--scenario</span> <span>scenario.yaml</span>")))
}

func TestPageIsWrittenBesideTheVerdict(t *testing.T) {
	g := NewWithT(t)
	dir := copied(t)
	v, err := Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Write(dir)).To(Succeed())
	g.Expect(os.ReadFile(filepath.Join(dir, PageFile))).To(BeEquivalentTo(written(t, v, dir)), "and says the same each time")
}

// Whatever a cluster calls its pods and says in its messages is text.
func TestPageEscapesWhatItWasTold(t *testing.T) {
	g := NewWithT(t)
	const hostile = `</text></svg><script>alert("x")</script>`
	dir := copied(t)
	rewrite(t, dir, func(record *history.Record) {
		record.Header.Parts = hostile
		record.Gap.Reason, record.Gap.Subject = hostile, hostile
		for _, field := range []string{history.FieldEvidence, history.FieldAddress} {
			if record.Event.Fields[field] != "" {
				record.Event.Fields[field] = hostile
			}
		}
		if strings.HasSuffix(record.Event.Subject, "-worker") {
			record.Event.Subject += hostile
		}
		if i := &record.Sample.Incarnation; i.Pod != "" {
			i.Pod += hostile
			i.Node += hostile
		}
	})
	v, err := Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	v.Judgement.Reason, v.Run.Scenario, v.Run.Longhorn = hostile, hostile, hostile
	v.Notes = append(v.Notes, hostile)
	page := written(t, v, dir)
	g.Expect(page).NotTo(ContainSubstring("<script"))
	g.Expect(page).To(ContainSubstring("&lt;script&gt;"))
	g.Expect(strings.Count(page, "<svg")).To(Equal(strings.Count(page, "</svg>")))
}

// A run that broke in its middle is drawn as far as it got, and nothing is judged.
func TestPageOfARunThatBroke(t *testing.T) {
	g := NewWithT(t)
	dir := copied(t)
	broke := time.Date(2026, 11, 23, 0, 53, 0, 0, time.UTC) // long after bounds were first broken
	keepUntil(t, dir, broke, history.Record{Kind: history.EventRecord, Event: history.Event{
		Time: broke, Kind: history.Infrastructure, Fields: map[string]string{history.FieldError: "the engine has gone"}}})
	v, err := Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	v = v.Broken(v.Run, errors.New("the engine has gone"))
	page := written(t, v, dir)
	g.Expect(page).To(And(ContainSubstring("<span>INFRASTRUCTURE</span>"), ContainSubstring("the engine has gone"), ContainSubstring("exit code 3")))
	g.Expect(part(t, page, "bounds")).To(And(ContainSubstring("not judged"), Not(MatchRegexp(`</svg> (pass|fail)<`))))
	g.Expect(part(t, page, "timeline")).To(And(ContainSubstring(`aria-label="Goroutines"`), Not(MatchRegexp(`</svg> (pass|fail)<`))))
	g.Expect(part(t, page, "violations")).To(ContainSubstring("None is judged"))
	v.Judgement.Reason = strings.Repeat("a long story ", 40)
	g.Expect(written(t, v, dir)).To(MatchRegexp(`<div class="reason"><details><summary>[a-z ]{100,140} …</summary><span class="said">(a long story ){40}</span>`), "folded, and whole")
}

// One that broke before anything was recorded has a page too.
func TestPageOfARunWithoutAHistory(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	v := Verdict{}.Broken(history.Header{Run: "r", Scenario: "smoke", Longhorn: "v1.8.1", Seed: 7}, errors.New("no engine answers"))
	g.Expect(v.Write(dir)).To(Succeed())
	raw, err := os.ReadFile(filepath.Join(dir, PageFile))
	g.Expect(err).NotTo(HaveOccurred())
	page := string(raw)
	g.Expect(page).To(And(ContainSubstring("<span>INFRASTRUCTURE</span>"), ContainSubstring("no engine answers"), ContainSubstring("what was recorded cannot be read: ")))
	g.Expect(part(t, page, "bounds")).To(ContainSubstring("No bound was judged"))
	g.Expect(part(t, page, "timeline")).To(And(ContainSubstring("There is no history"), Not(ContainSubstring("<svg class=\"chart"))))
	g.Expect(part(t, page, "outages")).To(ContainSubstring("No power was cut"))
	g.Expect(part(t, page, "environment")).To(ContainSubstring("<dt>seed</dt><dd>7</dd>"))
}

// Phases went by and no probe ever answered: nothing is drawn as a zero.
func TestPageOfARunWithoutSamples(t *testing.T) {
	g := NewWithT(t)
	dir := copied(t)
	rewriteAll(t, dir, func(records []history.Record) (kept []history.Record) {
		for _, r := range records {
			if r.Kind != history.SampleRecord {
				kept = append(kept, r)
			}
		}
		return kept
	})
	v, err := Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Judgement.Verdict).To(Equal(bound.Inconclusive))
	page := written(t, v, dir)
	g.Expect(page).To(ContainSubstring("<span>INCONCLUSIVE</span>"))
	timeline := part(t, page, "timeline")
	g.Expect(strings.Count(timeline, "Nothing was seen of it.")).To(Equal(strings.Count(timeline, "<figure>") - 1))
	g.Expect(timeline).To(ContainSubstring(`aria-label="Phases and power"`))
	g.Expect(part(t, page, "bounds")).To(And(ContainSubstring("nothing"), Not(MatchRegexp(`</svg> pass<`))))
}

func lose(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, HistoryFile+".gz")); err != nil {
		t.Fatal(err)
	}
}

func TestPageOfDamagedInput(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   string
	}{
		"an empty directory": {func(t *testing.T, dir string) { remove(t, dir) }, "is no run's directory: "},
		"a torn line in the middle": {func(t *testing.T, dir string) {
			lines := strings.SplitAfter(unpacked(t, dir), "\n")
			lines[6] = lines[6][:len(lines[6])/2] + "\n"
			pack(t, dir, []byte(strings.Join(lines, "")))
		}, "history.jsonl.gz:7: "},
		"a packed file that ends too early": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, HistoryFile+".gz")
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, raw[:len(raw)/2])
		}, "unexpected EOF; copy the run's directory again from where it is kept, or repeat the run"},
		"a history that was lost": {func(t *testing.T, dir string) { lose(t, dir) }, "or repeat the run"},
		"a run that broke before there was one": {func(t *testing.T, dir string) {
			lose(t, dir)
			write(t, filepath.Join(dir, VerdictFile), []byte("{}"))
		}, "the run broke before anything was recorded: summary.md beside it says why"},
		"another version of the format": {func(t *testing.T, dir string) {
			pack(t, dir, []byte(strings.Replace(unpacked(t, dir), `"version":1`, `"version":2`, 1)))
		}, "history.jsonl.gz:1: not this program's: version 2 of the format, this program reads version 1: use the blackout that wrote it"},
		"a scenario that is none": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ScenarioFile), []byte("name: x\nbonds: []\n"))
		}, "scenario.yaml:2:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			dir := copied(t)
			test.damage(t, dir)
			_, err := Judge(dir)
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
			if errors.Is(err, history.ErrVersion) {
				g.Expect(err.Error()).NotTo(ContainSubstring("copy the run's directory"), "a copy is no newer")
			}
		})
	}
}

// The judgement stands without a profile, but input that is no profile is said.
func TestPageOfAProfileThatIsNone(t *testing.T) {
	g := NewWithT(t)
	dir := copied(t)
	found, err := filepath.Glob(filepath.Join(dir, "profiles", "steady-*-heap.pb.gz"))
	g.Expect(err).NotTo(HaveOccurred())
	write(t, found[0], []byte("not a profile"))
	v, err := Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Judgement.Outcome).To(Equal(bound.Reproduced))
	g.Expect(v.Damaged()).To(MatchError(ContainSubstring(found[0] + " is no profile that can be read: ")))
	g.Expect(part(t, written(t, v, dir), "bounds")).To(ContainSubstring(filepath.Base(found[0]) + " is no profile that can be read: "))

	heap, err := os.ReadFile(found[1])
	g.Expect(err).NotTo(HaveOccurred())
	dir = copied(t)
	goroutines := strings.Replace(filepath.Join(dir, "profiles", filepath.Base(found[0])), "-heap.", "-goroutine.", 1)
	write(t, goroutines, heap)
	v, err = Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Damaged()).To(MatchError(profile.ErrType), "one of another kind")
	g.Expect(v.Damaged()).To(MatchError(ContainSubstring(filepath.Base(goroutines))))

	g.Expect(os.Remove(goroutines)).To(Succeed())
	v, err = Judge(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v.Damaged()).To(Succeed(), "what is missing is only noted")
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unpacked(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, HistoryFile+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func pack(t *testing.T, dir string, text []byte) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, HistoryFile+".gz"), b.Bytes())
}

// rewrite changes each record of a copied history, rewriteAll all of them.
func rewrite(t *testing.T, dir string, change func(*history.Record)) {
	t.Helper()
	rewriteAll(t, dir, func(records []history.Record) []history.Record {
		for i := range records {
			change(&records[i])
		}
		return records
	})
}

func keepUntil(t *testing.T, dir string, end time.Time, last history.Record) {
	t.Helper()
	rewriteAll(t, dir, func(records []history.Record) (kept []history.Record) {
		for _, r := range records {
			latest := r.Sample.Time
			for _, at := range []time.Time{r.Event.Time, r.Gap.To, r.Phase.Start, r.Phase.End} {
				if at.After(latest) {
					latest = at
				}
			}
			if latest.Before(end) {
				kept = append(kept, r)
			}
		}
		return append(kept, last)
	})
}

func rewriteAll(t *testing.T, dir string, change func([]history.Record) []history.Record) {
	t.Helper()
	reader, err := history.Open(filepath.Join(dir, HistoryFile+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	var records []history.Record
	for {
		record, err := reader.Next()
		if err != nil {
			break
		}
		records = append(records, record)
	}
	if err := reader.Close(); err != nil || len(records) == 0 {
		t.Fatalf("%d records read: %v", len(records), err)
	}
	var text bytes.Buffer
	for _, record := range change(records) {
		line, err := record.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s\n", line)
	}
	pack(t, dir, text.Bytes())
}
