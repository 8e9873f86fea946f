package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"blackout/e2e/images"
	"blackout/e2e/progress"
	"blackout/e2e/report"
	"blackout/e2e/run"
	"blackout/e2e/scenario"
)

// scenarioLimit covers one run, images compiled from nothing included.
const scenarioLimit = 75 * time.Minute

// cleanUpLimit is how long an interrupted run may take to give nodes their power
// back, keep logs and remove the cluster.
const cleanUpLimit = 6 * time.Minute

// plans are what the scenarios' specs would do, by the specs' texts.
var plans = map[string]string{}

// Each scenario is a spec for each version that it names, with its labels.
var _ = Describe("scenario", func() {
	source, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	scenarios, err := scenario.Load(filepath.Join(source, "scenarios"), report.Known())
	if err != nil { // not a spec less: no selection of labels may hide it
		panic(err)
	}
	for _, s := range scenarios {
		for _, version := range s.Longhorn.Versions {
			text := s.Name + " on Longhorn " + version
			if plans[text], err = run.Describe(s, version); err != nil {
				panic(err)
			}
			It(text, Label(s.Labels...), func(ctx SpecContext) {
				h, err := run.NewHarness(progress.New(GinkgoWriter))
				Expect(err).NotTo(HaveOccurred())
				x := run.Experiment{
					Harness: h, Scenario: s, Results: fromEnv(envResults, os.TempDir()),
					Request: images.Request{
						Longhorn: version, Mode: images.Mode(fromEnv(envImages, string(images.Auto))),
						ManagerSource: os.Getenv(images.EnvManagerSource),
					},
					Announce: func(step string) { By(step) },
				}
				v, dir, err := x.Run(ctx)
				AddReportEntry("results", dir)
				Expect(err).NotTo(HaveOccurred(), "the harness or its machine failed; what was collected is in %s", dir)
				var verdict strings.Builder
				Expect(v.WriteText(&verdict)).To(Succeed())
				AddReportEntry("verdict", verdict.String())
				Expect(v.ExitCode).To(BeZero(), "%s: %s", v.Judgement.Outcome, v.Judgement.Reason)
			}, SpecTimeout(scenarioLimit), GracePeriod(cleanUpLimit))
		}
	}
})
