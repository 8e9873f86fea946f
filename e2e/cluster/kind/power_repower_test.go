package kind

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/scenario"
)

func TestRepowerMendsWhateverWasInterrupted(t *testing.T) {
	for name, half := range map[string]func(*fake){
		"nothing":             func(*fake) {},
		"policies changed":    func(f *fake) { f.write("fail-pause", "3") },
		"some frozen":         func(f *fake) { f.write("fail-pause", "1") },
		"frozen":              func(f *fake) { f.write("fail-kill", "3") },
		"dead":                func(*fake) {},
		"start fails, once":   func(f *fake) { f.write("fail-start", "1") },
		"unpause fails, once": func(f *fake) { f.write("fail-kill", "3"); f.write("fail-unpause", "1") },
		"journal lost":        func(*fake) {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, fixedLabel)
			half(f)
			if name != "nothing" {
				_ = f.cutAll()
				f.g.Expect(f.of("policy")).To(Equal(three(noRestart)), "the cut has begun")
			}
			if name == "journal lost" {
				f.g.Expect(os.Remove(f.journal())).To(Succeed())
			}
			f.mended(name != "journal lost")
		})
	}
}

// mended fails unless a harness that knows nothing of the cut brings everything
// back, and again.
func (f *fake) mended(addresses bool) {
	f.t.Helper()
	another := *f.Provider
	for range 2 {
		f.g.Expect(another.Repower(f.t.Context())).To(Succeed())
		f.g.Expect(f.of("status")).To(Equal(three(statusRunning)))
		f.g.Expect(f.of("policy")).To(Equal(three(kindRestart)))
		f.g.Expect(f.journal()).NotTo(BeAnExistingFile())
	}
	if addresses {
		f.g.Expect(f.of("ip")).To(Equal([]string{"172.30.0.2", "172.30.0.3", "172.30.0.4"}))
	}
}

func TestRepowerMendsACutThatDiedAtAnyStep(t *testing.T) {
	withoutJournal := []string{"one disk shut down", "other processes", "one disk unmounted", "one disk is mounted", "some started"}
	at := func(s step) func(*fake, *seen) { return func(f *fake, _ *seen) { f.dieAt(s) } }
	for name, test := range map[string]struct {
		spoil func(*fake, *seen)
		dies  bool // the nodes must, too
	}{
		"forbid restarts":     {at(stepPolicy), false},
		"freeze":              {at(stepFreeze), false},
		"shut down":           {at(stepShutdown), true},
		"one disk shut down":  {func(f *fake, _ *seen) { f.write("fail-disk-shutdown", "") }, true},
		"kill":                {at(stepKill), true},
		"a first process":     {func(_ *fake, s *seen) { s.dieWith = 200 }, true},
		"other processes":     {func(_ *fake, s *seen) { s.dieWith = 202 }, true},
		"engine's kill":       {func(f *fake, _ *seen) { f.write("fail-kill", "3") }, true},
		"unmount":             {at(stepUnmount), true},
		"one disk unmounted":  {func(f *fake, _ *seen) { f.write("fail-disk-unmount", "") }, true},
		"off":                 {at(stepOff), true},
		"check and mount":     {at(stepDisks), true},
		"one disk is mounted": {func(f *fake, _ *seen) { f.write("fail-disk-return", "") }, true},
		"give address":        {at(stepAddress), true},
		"addresses taken":     {func(f *fake, _ *seen) { f.write("fail-network-connect", "1") }, true},
		"start":               {at(stepStart), true},
		"some started":        {func(f *fake, _ *seen) { f.write("fail-start", "1") }, true},
		"allow restarts":      {at(stepSettle), true},
	} {
		for _, journal := range []bool{true, false} {
			if !journal && !slices.Contains(withoutJournal, name) {
				continue
			}
			if !journal {
				name += ", journal lost"
			}
			t.Run(name, func(t *testing.T) {
				f := newFake(t, fixedLabel)
				f.giveDisks()
				test.spoil(f, f.see(processes, v1))
				err := dying(func() error {
					if _, err := f.Cut(t.Context(), scenario.Drop, f.all()...); err != nil {
						return err
					}
					_, err := f.Restore(t.Context(), f.all()...)
					return err
				})
				f.g.Expect(err).To(HaveOccurred())
				if !journal {
					f.g.Expect(os.Remove(f.journal())).To(Succeed())
				}
				broken := f.disks()
				f.mended(journal)
				f.g.Expect(f.disks()).To(HaveEach(wellMounted), "from %v", broken)
				f.g.Expect(f.freezers()).To(Equal(three("THAWED")))
				if journal {
					lived := f.of("started")[1] == "2026-01-01T00:00:00Z"
					f.g.Expect(lived).To(Equal(!test.dies), "a node may run on only if it has lost nothing")
				}
			})
		}
	}
}

// Frozen by a cut that died between freezing and losing anything.
func TestRepowerThawsWhatHasLostNothing(t *testing.T) {
	f := newFake(t, fixedLabel)
	f.giveDisks()
	s := f.see(processes, v1)
	for i := range 2 {
		f.put(f.freezerFile(i), "FROZEN\n")
	}
	f.mended(true)
	f.g.Expect(f.freezers()).To(Equal(three("THAWED")))
	f.g.Expect(s.killed).To(BeEmpty())
	f.g.Expect(f.did()).To(BeEmpty())
}

func TestRepowerGivesUp(t *testing.T) {
	f := newFake(t, "")
	f.g.Expect(f.cutAll()).To(Succeed())
	f.write("fail-start", "100000")
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	f.g.Expect(f.Repower(ctx)).To(MatchError(And(ContainSubstring("cannot start"), ContainSubstring("destroy the cluster"))))
	f.g.Expect(f.journal()).To(BeAnExistingFile(), "for the next try")
	f.g.Expect(os.RemoveAll(filepath.Join(f.dir, "nodes"))).To(Succeed())
	f.g.Expect(os.Mkdir(filepath.Join(f.dir, "nodes"), 0o755)).To(Succeed())
	f.g.Expect(f.Repower(t.Context())).To(Succeed(), "a cluster that is gone has nothing to repower")
}
