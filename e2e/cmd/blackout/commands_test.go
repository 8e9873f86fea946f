package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/compare"
	"blackout/e2e/report"
)

const (
	fixtures = "../../../fixtures/"
	demo     = fixtures + "demo/issue-9978-v1.7.2"
	today    = "../../../scenarios/issue-9978.yaml"
	other    = "../../../scenarios/smoke.yaml"
)

// called carries out a command line in this process.
func called(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr strings.Builder
	code = execute(t.Context(), args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// saved is a copy of a real run under another id, with its history unpacked and
// changed.
func saved(t *testing.T, id string, change func(history string) string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), id)
	must(t, os.CopyFS(dir, os.DirFS(demo)))
	packed := filepath.Join(dir, report.HistoryFile+".gz")
	f, err := os.Open(packed)
	must(t, err)
	z, err := gzip.NewReader(f)
	must(t, err)
	text, err := io.ReadAll(z)
	must(t, err)
	must(t, f.Close())
	must(t, os.Remove(packed))
	history := strings.Replace(string(text), "1123-004508-u6lw", id, 1)
	if change != nil {
		history = change(history)
	}
	must(t, os.WriteFile(filepath.Join(dir, report.HistoryFile), []byte(history), 0o600))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func torn(history string) string { return history[:len(history)-20] }

func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		out  string // of standard output, of the error if the code is 3
	}{
		"a real run":                {[]string{demo}, 0, "REPRODUCED"},
		"by today's bounds":         {[]string{demo, "--scenario", today}, 0, "REPRODUCED"},
		"a torn history":            {[]string{saved(t, "torn", torn)}, 2, "history.jsonl:6984: the history is torn, for the run was killed while it wrote; until then: failed by connections-trend"},
		"another scenario's":        {[]string{demo, "--scenario", other}, 3, "is a run of scenario issue-9978, not of smoke"},
		"no scenario's":             {[]string{demo, "--scenario", demo + "/lab.json"}, 3, "lab.json:2:"},
		"saved and today's at once": {[]string{demo, "--scenario", today, "--write"}, 3, "[scenario write] were all set"},
		"nothing there":             {[]string{demo + "/nowhere"}, 3, "nowhere/scenario.yaml: no such file"},
		"no history":                {[]string{scenarioOnly(t)}, 3, "history.jsonl: no such file"},
		"a broken line": {[]string{saved(t, "broken", func(h string) string { return strings.Replace(h, "\n", "\n}", 3) })}, 3,
			"history.jsonl:2: invalid character '}'"},
		"another version of the format": {[]string{saved(t, "other", func(h string) string { return strings.Replace(h, `"version":1`, `"version":2`, 1) })}, 3,
			"history.jsonl:1: not this program's: version 2 of the format, this program reads version 1"},
		"a packed history that ends early": {[]string{shortened(t)}, 3, "history.jsonl.gz:"},
		"a profile that is none":           {[]string{unprofiled(t)}, 3, "-heap.pb.gz is no profile"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			code, out, errOut := called(t, append([]string{"judge"}, test.args...)...)
			g.Expect(code).To(Equal(test.code), errOut)
			if test.code == bound.ExitInfrastructure {
				out = errOut
				g.Expect(out).To(HavePrefix("blackout: "))
			}
			g.Expect(out).To(ContainSubstring(test.out))
		})
	}
}

func scenarioOnly(t *testing.T) string {
	t.Helper()
	dir := saved(t, "without", nil)
	must(t, os.Remove(filepath.Join(dir, report.HistoryFile)))
	return dir
}

func shortened(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(demo)))
	path := filepath.Join(dir, report.HistoryFile+".gz")
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.Truncate(path, info.Size()/2))
	return dir
}

func unprofiled(t *testing.T) string {
	t.Helper()
	dir := saved(t, "unprofiled", nil)
	found, err := filepath.Glob(filepath.Join(dir, "profiles", "steady-*-heap.pb.gz"))
	must(t, err)
	must(t, os.WriteFile(found[0], []byte("garbage"), 0o600))
	return dir
}

// short has one Completed backup fewer in each look: something is missing.
func short(history string) string {
	return strings.ReplaceAll(history, `"subject":"Completed","value":24}`, `"subject":"Completed","value":23}`)
}

func TestCompare(t *testing.T) {
	var baseline, candidate, lossy []string
	for _, id := range []string{"1", "2", "3"} {
		baseline, candidate = append(baseline, "--baseline", saved(t, "a"+id, nil)), append(candidate, "--candidate", saved(t, "b"+id, nil))
		lossy = append(lossy, "--candidate", saved(t, "c"+id, short))
	}
	one := func(dir string) []string { return []string{"--candidate", dir} }
	for name, test := range map[string]struct {
		baseline, candidate []string
		code                int
		out                 string
	}{
		"same":                          {baseline, candidate, 0, ": SAME (by all 9 bounds"},
		"worse":                         {baseline, lossy, 1, ": WORSE (by conservation (violated in 0 of 3 baseline and in 3 of 3 candidate runs)"},
		"too few to tell":               {baseline, one(demo), 2, ": CANNOT TELL (1 of 1 candidate runs count, and a verdict needs 3 of each)"},
		"a torn one does not count":     {baseline, one(saved(t, "torn", torn)), 2, "its history is torn at "},
		"no history":                    {baseline, one(scenarioOnly(t)), 2, "it has no history"},
		"nothing named":                 {[]string{"--baseline", demo}, nil, 3, "no candidate: name directories of runs"},
		"no run in it":                  {[]string{"--baseline", demo}, one(t.TempDir()), 3, "is no run's directory (it has no scenario.yaml) and holds none"},
		"a broken line":                 {[]string{"--baseline", demo}, one(saved(t, "broken", func(h string) string { return "{" + h })), 3, "history.jsonl:1: "},
		"another version of the format": {[]string{"--baseline", demo}, one(saved(t, "v", func(h string) string { return strings.Replace(h, `"version":1`, `"version":2`, 1) })), 3, "history.jsonl:1: not this program's: version 2"},
		"a profile that is none":        {[]string{"--baseline", demo}, one(unprofiled(t)), 3, "-heap.pb.gz is no profile"},
		"two scenarios":                 {[]string{"--baseline", demo}, one(renamed(t)), 3, "is a run of scenario issue-9978, "},
		"another scenario's bounds":     {[]string{"--baseline", demo}, append(one(demo), "--scenario", other), 3, "not of smoke"},
		"a tolerance of nothing":        {[]string{"--baseline", demo}, append(one(demo), "--tolerance", "0"), 3, "a tolerance of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			output := filepath.Join(t.TempDir(), "told")
			args := append(append([]string{"compare", "--output", output}, test.baseline...), test.candidate...)
			code, out, errOut := called(t, args...)
			g.Expect(code).To(Equal(test.code), out+errOut)
			if test.code == bound.ExitInfrastructure {
				g.Expect(errOut).To(And(HavePrefix("blackout: "), ContainSubstring(test.out)))
				g.Expect(output).NotTo(BeADirectory(), "nothing is said of bad input")
				return
			}
			g.Expect(out).To(ContainSubstring(test.out))
			g.Expect(filepath.Join(output, compare.MarkdownFile)).To(BeARegularFile())
			code, out, _ = called(t, append(args, "--json")...)
			g.Expect(code).To(Equal(test.code))
			var c compare.Comparison
			g.Expect(json.Unmarshal([]byte(out), &c)).To(Succeed())
			g.Expect(c.ExitCode).To(Equal(test.code))
		})
	}
}

func renamed(t *testing.T) string {
	t.Helper()
	dir := saved(t, "renamed", nil)
	path := filepath.Join(dir, report.ScenarioFile)
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), "name: issue-9978", "name: other", 1)), 0o600))
	return dir
}

func TestExport(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "run.om")
	code, out, errOut := called(t, "export", demo, "--output", file)
	g.Expect(code).To(BeZero(), errOut)
	g.Expect(out).To(BeEmpty())
	written, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	code, out, errOut = called(t, "export", demo)
	g.Expect(code).To(BeZero(), errOut)
	g.Expect(out).To(Equal(string(written)))
	g.Expect(errOut).To(MatchRegexp(`^\d+ samples exported\n$`))

	code, _, errOut = called(t, "export", saved(t, "torn", torn), "--output", file)
	g.Expect(code).To(Equal(bound.ExitInconclusive))
	g.Expect(errOut).To(MatchRegexp(`history\.jsonl: the history is torn, .*; until then: what is exported; for the rest run it again\n$`))
	kept, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(kept)).To(HaveSuffix("# EOF\n"), "what there is is exported nevertheless")
	g.Expect(kept).NotTo(Equal(written))
	code, _, errOut = called(t, "export", saved(t, "broken", func(h string) string { return h + "}\n" }), "--output", file)
	g.Expect(code).To(Equal(bound.ExitInfrastructure))
	g.Expect(errOut).To(MatchRegexp(`history\.jsonl:\d+: `))
	g.Expect(os.ReadFile(file)).To(Equal(kept), "an earlier export stands")
	g.Expect(filepath.Glob(file+"*")).To(HaveExactElements(file), "and nothing lies beside it")
}

// What a run is judged by is neither written over nor removed.
func TestOutputSparesTheRun(t *testing.T) {
	dir := saved(t, "spared", nil)
	earlier := filepath.Join(t.TempDir(), "earlier.om")
	must(t, os.WriteFile(earlier, []byte("earlier"), 0o600))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(filepath.Join(dir, report.HistoryFile), link))
	own := map[string]string{}
	for _, kept := range []string{report.HistoryFile, report.ScenarioFile} {
		content, err := os.ReadFile(filepath.Join(dir, kept))
		must(t, err)
		own[kept] = string(content)
	}
	const lost = "is in the run's directory already and would be lost"
	for name, test := range map[string]struct {
		command, output, says string
	}{
		"history":             {"export", filepath.Join(dir, report.HistoryFile), lost},
		"history by a link":   {"export", link, lost},
		"scenario":            {"export", filepath.Join(dir, "profiles", "..", report.ScenarioFile), lost},
		"history as a page":   {"report", filepath.Join(dir, report.HistoryFile), lost},
		"a directory":         {"export", t.TempDir(), "is no regular file"},
		"a new file":          {"export", filepath.Join(dir, "run.om"), ""},
		"over an earlier one": {"export", earlier, ""},
		"the run's own page":  {"report", filepath.Join(dir, report.PageFile), ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			code, _, errOut := called(t, test.command, dir, "--output", test.output)
			if test.says == "" {
				g.Expect(code).To(BeZero(), errOut)
				g.Expect(os.ReadFile(test.output)).NotTo(BeEquivalentTo("earlier"))
			} else {
				g.Expect(code).To(Equal(bound.ExitInfrastructure))
				g.Expect(errOut).To(ContainSubstring(test.says))
			}
			for kept, content := range own {
				g.Expect(os.ReadFile(filepath.Join(dir, kept))).To(BeEquivalentTo(content), kept)
			}
		})
	}
}

// A torn history has a page, too; what it lacks is said beside it.
func TestReportOfATornHistory(t *testing.T) {
	for name, test := range map[string]struct {
		dir  string
		code int
		says string
	}{
		"whole":                      {saved(t, "whole", nil), 0, "^$"},
		"torn":                       {saved(t, "torn", torn), bound.ExitInconclusive, `^blackout: .*history\.jsonl:6984: the history is torn, .*; until then: what the page shows; for the rest run it again\n$`},
		"torn and a profile is none": {tornUnprofiled(t), bound.ExitInfrastructure, `history\.jsonl:6984: the history is torn(.|\n)*-heap\.pb\.gz is no profile`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			code, out, errOut := called(t, "report", test.dir)
			page := filepath.Join(test.dir, report.PageFile)
			g.Expect(code).To(Equal(test.code), errOut)
			g.Expect(out).To(Equal(page + "\n"))
			g.Expect(page).To(BeARegularFile())
			g.Expect(errOut).To(MatchRegexp(test.says))
		})
	}
}

func tornUnprofiled(t *testing.T) string {
	t.Helper()
	dir := unprofiled(t)
	path := filepath.Join(dir, report.HistoryFile)
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(torn(string(text))), 0o600))
	return dir
}

func TestBoundsOfTheCatalogueByName(t *testing.T) {
	g := NewWithT(t)
	dir := saved(t, "named", nil)
	t.Chdir("../../..")
	code, out, errOut := called(t, "judge", dir, "--scenario", "issue-9978")
	g.Expect(code).To(BeZero(), errOut)
	g.Expect(out).To(ContainSubstring("REPRODUCED"))
	code, out, errOut = called(t, "compare", "--baseline", dir, "--candidate", "fixtures/demo/issue-9978-v1.7.2", "--scenario", "issue-9978")
	g.Expect(code).To(Equal(bound.ExitInconclusive), errOut)
	g.Expect(out).To(ContainSubstring("a verdict needs 3 of each"))
}

func TestTrackNeedsANightToCompareWith(t *testing.T) {
	for _, last := range []string{"-1", "0"} {
		g := NewWithT(t)
		record := filepath.Join(t.TempDir(), "track.jsonl")
		code, _, errOut := called(t, "track", demo, "--record", record, "--last", last)
		g.Expect(code).To(Equal(bound.ExitInfrastructure))
		g.Expect(errOut).To(Equal("blackout: --last " + last + ": give at least 1, the nights to compare with\n"))
		g.Expect(record).NotTo(BeAnExistingFile())
	}
}

func TestSeedOnTheCommandLine(t *testing.T) {
	g := NewWithT(t)
	code, out, errOut := called(t, "run", "--dry-run", "--scenario", today, "--seed", "-7")
	g.Expect(code).To(BeZero(), errOut)
	g.Expect(out).To(ContainSubstring("seed -7)"))
	code, out, errOut = called(t, "run", "--dry-run", "--scenario", today)
	g.Expect(code).To(BeZero(), errOut)
	g.Expect(out).To(ContainSubstring("seed 9978)"))
	code, _, errOut = called(t, "run", "--dry-run", "--scenario", today, "--seed", "many")
	g.Expect(code).To(Equal(bound.ExitInfrastructure))
	g.Expect(errOut).To(ContainSubstring(`invalid argument "many" for "--seed"`))
}

// What is wrong with a qualification is said before any cluster is made.
func TestQualifyRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no candidate": {nil, `required flag(s) "candidate" not set`},
		"no scenario":  {[]string{"--candidate", "v1.8.1", "--scenario", "nowhere.yaml"}, "nowhere.yaml: no such file"},
		"no runs":      {[]string{"--candidate", "v1.8.1", "--scenario", today, "--n", "0"}, "0 pairs of runs"},
		"no size":      {[]string{"--candidate", "v1.8.1", "--scenario", today, "--backups", "9000"}, "at most 250"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			code, _, errOut := called(t, append([]string{"qualify", "--results", t.TempDir()}, test.args...)...)
			g.Expect(code).To(Equal(bound.ExitInfrastructure))
			g.Expect(errOut).To(ContainSubstring(test.want))
		})
	}
}
