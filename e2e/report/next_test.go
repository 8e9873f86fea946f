package report

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
)

func TestNextStepsOfARealLeak(t *testing.T) {
	g := NewWithT(t)
	v, err := Judge(saved)
	g.Expect(err).NotTo(HaveOccurred())
	steps := v.NextSteps()
	g.Expect(steps).To(HaveLen(3))
	g.Expect(steps[0]).To(Equal("what grew in longhorn-manager-qbqn8: go tool pprof -sample_index=inuse_space -diff_base " +
		"profiles/recovery-longhorn-manager-qbqn8-3-heap.pb.gz profiles/steady-longhorn-manager-qbqn8-3-heap.pb.gz"))
	g.Expect(steps[1]).To(And(
		MatchRegexp(`^where to begin: util\.Connect \(github\.com/longhorn/.*\.go:[1-9][0-9]*\)`),
		MatchRegexp(`[0-9]{4} goroutines more, most in .*: go tool pprof -sample_index=goroutine -diff_base `)))
	g.Expect(steps[2]).To(And(HavePrefix("what broke connections-trend: "), ContainSubstring(`.data.series=="grpc-connections"`), ContainSubstring(`> "2026-11-23T`)))
	var text strings.Builder
	g.Expect(v.WriteText(&text)).To(Succeed())
	g.Expect(text.String()).To(And(ContainSubstring("  in the run's directory:\n  look at 1    "), ContainSubstring("  look at 3    "+steps[2]+"\n")))
}

func TestNextSteps(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	failed := func(name string, offending ...history.Sample) bound.Result {
		return bound.Result{Bound: name, Verdict: bound.Fail, At: at, Offending: offending}
	}
	for name, test := range map[string]struct {
		judgement bound.Judgement
		growth    []Growth
		code      int
		want      []string
	}{
		"what held has none":          {bound.Judgement{Verdict: bound.Pass, Results: []bound.Result{failed("a")}}, nil, 0, nil},
		"nor has what cannot be told": {bound.Judgement{Verdict: bound.Inconclusive, Results: []bound.Result{failed("a")}}, nil, 2, nil},
		"nor a failure of the harness": {
			bound.Judgement{Verdict: bound.Infrastructure, Outcome: bound.HarnessFailed, Results: []bound.Result{failed("a")}}, nil, 3, nil,
		},
		"a bound without samples: events and gaps": {
			bound.Judgement{Verdict: bound.Fail, Results: []bound.Result{failed("conservation")}}, nil, 1,
			[]string{`what broke conservation: zcat -f history.jsonl* | jq -c 'select(.kind=="event" or .kind=="gap") | select((.data.time // .data.from) > "2026-01-02T03:03:35Z" and (.data.time // .data.from) < "2026-01-02T03:04:35Z")'`},
		},
		"the bound of the reason first, and never more than three": {
			bound.Judgement{Verdict: bound.Fail, Reason: "expected to pass, failed by d", Results: []bound.Result{failed("a"), failed("b"), failed("c"), failed("d")}}, nil, 1,
			[]string{"what broke d", "what broke a", "what broke b"},
		},
		"logs, where they are kept": {
			bound.Judgement{Verdict: bound.Fail, Results: []bound.Result{failed("a")}}, []Growth{{FailedReconciles: 7}}, 1,
			[]string{"what broke a", "failed reconciles by log: grep -rc 'to enable the backup monitor for backup' logs"},
		},
		"no logs after what was expected": {
			bound.Judgement{Verdict: bound.Fail, Results: []bound.Result{failed("a")}}, []Growth{{FailedReconciles: 7}}, 0, []string{"what broke a"},
		},
		"of any pod": {
			bound.Judgement{Verdict: bound.Fail, Results: []bound.Result{failed("a", history.Sample{Series: history.Waiting, Time: at})}}, nil, 1,
			[]string{`what broke a: zcat -f history.jsonl* | jq -c 'select(.kind=="sample" and .data.series=="waiting") | select(`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			steps := Verdict{Judgement: test.judgement, Growth: test.growth, ExitCode: test.code}.NextSteps()
			g.Expect(steps).To(HaveLen(len(test.want)), "%q", steps)
			for i, want := range test.want {
				g.Expect(steps[i]).To(HavePrefix(want))
			}
		})
	}
}

func TestWhereToBeginIsTheProgramsOwn(t *testing.T) {
	grown := func(kind profile.Kind, own bool, function, at string) Growth {
		return Growth{Growth: profile.Growth{Kind: kind, After: 90, Command: "go tool pprof " + string(kind), Paths: []profile.Path{{Functions: []string{function}, Own: own, At: at}}}}
	}
	library, ours := grown(profile.Heap, false, "bufio.NewReaderSize", "bufio.go:57"), grown(profile.Heap, true, "a/util.Connect", "grpcutil.go:55")
	for name, test := range map[string]struct {
		growth []Growth
		want   string
	}{
		"the heap's":                        {[]Growth{ours}, "where to begin: util.Connect (grpcutil.go:55)"},
		"the heap's before the goroutines'": {[]Growth{ours, grown(profile.Goroutines, true, "a/b.run", "b.go:1")}, "where to begin: util.Connect (grpcutil.go:55); 90 goroutines more, most in b.run: go tool pprof goroutine"},
		"not a library's":                   {[]Growth{library}, ""},
		"the goroutines', if it must":       {[]Growth{library, grown(profile.Goroutines, true, "a/b.run", "b.go:1")}, "where to begin: b.run (b.go:1); 90 goroutines more, most in b.run: go tool pprof goroutine"},
		"no noise":                          {[]Growth{library, {Growth: profile.Growth{Kind: profile.Goroutines, After: 2, Paths: library.Paths}}}, ""},
		"what there is":                     {[]Growth{library, grown(profile.Goroutines, false, "grpc.run", "grpc.go:1")}, "where to begin: 90 goroutines more, most in grpc.run: go tool pprof goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			step, found := Verdict{Growth: test.growth}.begin()
			NewWithT(t).Expect(found).To(Equal(test.want != ""))
			if found {
				NewWithT(t).Expect(step).To(Equal(test.want))
			}
		})
	}
}

func TestShareIsOfWhatGrew(t *testing.T) {
	g := NewWithT(t)
	grew := Growth{Growth: profile.Growth{Kind: profile.Goroutines, Unit: history.Count, Before: 20, After: 50, Gross: 40, Paths: []profile.Path{{Functions: []string{"a.b"}, Growth: 20, Share: 0.5}}}}
	g.Expect(grew.whose()).To(Equal(": 20 (50 % of the 40 that grew while other things shrank) below a.b"))
	grew.Before = 10
	g.Expect(grew.whose()).To(Equal(": 20 (50 %) below a.b"))
}
