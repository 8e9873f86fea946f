package main

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/backlog"
	"blackout/e2e/history"
	"blackout/e2e/images"
	"blackout/e2e/longhorn"
	"blackout/e2e/probe"
)

// envBackups is how many backups the test queues: 100000 take a quarter of an hour.
const envBackups = "BLACKOUT_TEST_BACKUPS"

// TestBacklogAndCensus queues a backlog against a real API server, does to it what
// managers do, and counts it.
func TestBacklogAndCensus(t *testing.T) {
	g := NewWithT(t)
	count := 2000
	if text := os.Getenv(envBackups); text != "" {
		var err error
		count, err = strconv.Atoi(text)
		g.Expect(err).NotTo(HaveOccurred(), envBackups)
	}
	l, err := startLab(t.Context(), t.TempDir())
	if errors.Is(err, images.ErrNotBuilt) {
		t.Skipf("NOT TESTED against a real API server: %v", err)
	}
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
		for _, pid := range l.server.PIDs() {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("process %d outlives its test: %v", pid, err)
			}
		}
	})
	g.Expect(l.server.PIDs()).To(HaveLen(2))

	spec := backlogOf("scale", count)
	totals, err := backlog.Queue(t.Context(), spec, l.system, nowhere{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(totals.Submitted).To(Equal(count))
	g.Expect(totals.Lost).To(Equal(count))
	t.Logf("%d backups queued, %.0f a second", count, totals.Rate())

	options := probe.DefaultCensusOptions()
	options.MaxShare, options.BackupSelector = 1, longhorn.LabelManaged+"=true"
	census, err := probe.NewCensus(l.server, func(history.Event) error { return nil }, options)
	g.Expect(err).NotTo(HaveOccurred())
	look := func() map[string]float64 {
		samples, err := census.Sample(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		seen := map[string]float64{}
		for _, s := range samples {
			if s.Series == history.Backups {
				seen[s.Subject] += s.Value
			} else {
				seen[s.Series] += s.Value
			}
		}
		return seen
	}
	// The watch cache may be a moment behind.
	g.Eventually(look).WithTimeout(options.LookLimit).Should(HaveKeyWithValue(history.StateNew, float64(count)))

	items, err := backlog.Plan(spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(l.dress(t.Context(), items)).To(Succeed())
	want := map[string]float64{}
	for i := range items {
		state := dressed(i)
		if state == longhorn.BackupNew {
			state = history.StateNew
		}
		want[state]++
	}
	waiting := want[history.StateNew] + want[history.StatePending]
	g.Eventually(look).WithTimeout(options.LookLimit).Should(And(
		HaveKeyWithValue(history.StateNew, want[history.StateNew]),
		HaveKeyWithValue(history.StatePending, want[history.StatePending]),
		HaveKeyWithValue(history.StateError, want[history.StateError]),
		HaveKeyWithValue(history.StateCompleted, want[history.StateCompleted]),
		HaveKeyWithValue(history.StateInProgress, 0.0),
		HaveKeyWithValue(history.StateDeleting, 0.0),
		HaveKeyWithValue(history.Waiting, waiting),
		HaveKeyWithValue(history.AttachmentTickets, want[history.StatePending]),
	))
	g.Expect(want[history.StateNew] + want[history.StatePending] + want[history.StateError] + want[history.StateCompleted]).To(BeEquivalentTo(count))
}
