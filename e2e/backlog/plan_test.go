package backlog

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/scenario"
)

func specOf(count, volumes int, share float64) Spec {
	spec := Spec{
		Prefix: "run1", Count: count, LostShare: share, Lost: scenario.NeverExisted, Concurrency: 8, Seed: 7,
		Snapshots: map[string]Snapshots{},
	}
	for i := range volumes {
		volume := fmt.Sprintf("vol-%03d", i)
		spec.Volumes = append(spec.Volumes, volume)
		spec.Snapshots[volume] = Snapshots{Kept: []string{volume + "-k0", volume + "-k1"}, Doomed: []string{volume + "-d0"}}
	}
	return spec
}

func TestPlanIsPure(t *testing.T) {
	g := NewWithT(t)
	spec := specOf(500, 12, 0.5)
	first, err := Plan(spec)
	g.Expect(err).NotTo(HaveOccurred())
	again, err := Plan(spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(first))
	spec.Seed++
	other, err := Plan(spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other).NotTo(Equal(first))
}

func TestPlanIsExact(t *testing.T) {
	for _, test := range []struct {
		count, volumes int
		share          float64
		lost           int
	}{
		{240, 12, 0.8, 192}, {240, 12, 0, 0}, {240, 12, 1, 240}, {7, 3, 0.5, 4}, {4422, 20, 0.841, 3719}, {1, 1, 0.4, 0}, {250, 1, 1, 250}, {100_000, 400, 0.9, 90_000},
	} {
		t.Run(fmt.Sprintf("%d over %d, %v lost", test.count, test.volumes, test.share), func(t *testing.T) {
			g := NewWithT(t)
			spec := specOf(test.count, test.volumes, test.share)
			items, err := Plan(spec)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(items).To(HaveLen(test.count))
			lost, names, perVolume, lostSnapshots := 0, map[string]bool{}, map[string]int{}, map[string]bool{}
			for _, item := range items {
				names[item.Name] = true
				perVolume[item.Volume]++
				if item.Lost {
					lost++
					lostSnapshots[item.Snapshot] = true
					continue
				}
				g.Expect(spec.Snapshots[item.Volume].Kept).To(ContainElement(item.Snapshot))
			}
			g.Expect(lost).To(Equal(test.lost))
			g.Expect(lostSnapshots).To(HaveLen(test.lost), "each names another one that never was")
			g.Expect(names).To(HaveLen(test.count))
			counts := slices.Sorted(maps.Values(perVolume))
			g.Expect(counts[len(counts)-1] - counts[0]).To(BeNumerically("<=", 1))
			g.Expect(counts[len(counts)-1]).To(BeNumerically("<=", MaxPerVolume))
		})
	}
}

func TestPlanLosesOnlyDoomedSnapshots(t *testing.T) {
	g := NewWithT(t)
	spec := specOf(100, 4, 0.5)
	spec.Lost = scenario.DeletedDuringOutage
	items, err := Plan(spec)
	g.Expect(err).NotTo(HaveOccurred())
	for _, item := range items {
		have := spec.Snapshots[item.Volume]
		if item.Lost {
			g.Expect(have.Doomed).To(ContainElement(item.Snapshot))
		} else {
			g.Expect(have.Kept).To(ContainElement(item.Snapshot))
		}
	}
}

func TestPlanLeavesTheRolledBackToChurn(t *testing.T) {
	g := NewWithT(t)
	spec := specOf(100, 4, 0.75)
	spec.Lost = scenario.RolledBack
	items, err := Plan(spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(items).To(HaveLen(25))
	for i, item := range items {
		g.Expect(item.Name).To(Equal(spec.name(i)))
		g.Expect(item.Lost).To(BeFalse())
		g.Expect(spec.Snapshots[item.Volume].Kept).To(ContainElement(item.Snapshot))
	}
}

func TestPlanRefuses(t *testing.T) {
	for says, spoil := range map[string]func(*Spec){
		"no prefix":                             func(s *Spec) { s.Prefix = "" },
		`prefix "Run_1" makes no valid name`:    func(s *Spec) { s.Prefix = "Run_1" },
		"count is 0":                            func(s *Spec) { s.Count = 0 },
		"lost share is 1.5":                     func(s *Spec) { s.LostShare = 1.5 },
		"lost share is NaN":                     func(s *Spec) { s.LostShare = math.NaN() },
		"rate is -1":                            func(s *Spec) { s.Rate = -1 },
		"rate is +Inf":                          func(s *Spec) { s.Rate = math.Inf(1) },
		"concurrency is 0":                      func(s *Spec) { s.Concurrency = 0 },
		"at most 250 a volume, so make 3 volum": func(s *Spec) { s.Count = 501 },
		"over 0 volumes":                        func(s *Spec) { s.Volumes = nil },
		`lost is "mislaid"`:                     func(s *Spec) { s.Lost = "mislaid" },
		"call Prepare":                          func(s *Spec) { s.Snapshots = nil },
	} {
		spec := specOf(10, 2, 0.5)
		spoil(&spec)
		_, err := Plan(spec)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(says)))
	}
}
