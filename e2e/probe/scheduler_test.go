package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"blackout/e2e/history"
)

// memory is a sink that keeps everything.
type memory struct {
	mu      sync.Mutex
	samples []history.Sample
	gaps    []history.Gap
	events  []history.Event
	full    error
}

func (m *memory) Sample(s history.Sample) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, s)
	return m.full
}

func (m *memory) Gap(g history.Gap) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gaps = append(m.gaps, g)
	return m.full
}

func (m *memory) Event(e history.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	return m.full
}

func (m *memory) of(probe string) (found []history.Sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.samples {
		if s.Probe == probe {
			found = append(found, s)
		}
	}
	return found
}

// scripted is a probe whose looks are functions of their number.
type scripted struct {
	name  string
	looks int
	look  func(ctx context.Context, n int) error
}

func (p *scripted) Name() string { return p.name }

func (p *scripted) Sample(ctx context.Context) ([]history.Sample, error) {
	p.looks++
	at := time.Now()
	if err := p.look(ctx, p.looks); err != nil {
		return nil, err
	}
	return []history.Sample{{Time: at, Probe: p.name, Series: "n", Value: float64(p.looks)}}, nil
}

func fine(context.Context, int) error { return nil }

// sampled runs a scheduler for a span of fake time and a moment.
func sampled(t *testing.T, span time.Duration, add func(*Scheduler)) (*memory, time.Time) {
	t.Helper()
	sink := &memory{}
	scheduler := NewScheduler(sink)
	add(scheduler)
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), span+time.Millisecond)
	defer cancel()
	if err := scheduler.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return sink, began
}

func mustAdd(t *testing.T, s *Scheduler, p Probe, interval, timeout time.Duration) {
	t.Helper()
	if err := s.Add(p, interval, timeout); err != nil {
		t.Fatal(err)
	}
}

func TestSchedulerKeepsItsTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, n int) error {
			if n == 2 { // longer than two intervals, but within its timeout
				wait(ctx, 11*time.Second)
			}
			return ctx.Err()
		}
		sink, began := sampled(t, 30*time.Second, func(s *Scheduler) {
			mustAdd(t, s, &scripted{name: "slow", look: slow}, 5*time.Second, 20*time.Second)
			mustAdd(t, s, &scripted{name: "quick", look: fine}, 5*time.Second, time.Second)
		})
		var at []time.Duration
		for _, s := range sink.of("slow") {
			at = append(at, s.Time.Sub(began))
		}
		if got, want := fmt.Sprint(at), "[0s 5s 20s 25s 30s]"; got != want {
			t.Errorf("the slow probe looked at %s, want %s", got, want)
		}
		if got := len(sink.of("quick")); got != 7 {
			t.Errorf("the quick probe was delayed: %d looks", got)
		}
		if len(sink.gaps) != 0 {
			t.Errorf("a tick that was left out is no gap: %+v", sink.gaps)
		}
		if got := len(sink.of(SelfName)); got != 12 {
			t.Errorf("%d costs of 12 looks", got)
		}
	})
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func TestSchedulerTurnsErrorsIntoGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := func(_ context.Context, n int) error {
			switch n {
			case 2:
				return errors.Join(&Missed{Subject: "m/a", Err: errors.New("EOF")}, &Missed{Subject: "m/b", Err: errors.New("timeout")})
			case 3:
				return &Missed{Subject: "m/a", Err: errors.New("refused")}
			case 5:
				return errors.New("no API server")
			case 6:
				return fmt.Errorf("list: %w", errors.New("still none"))
			case 8:
				panic("garbage")
			case 10:
				return &Missed{Subject: "m/a", Err: errors.New("last")}
			}
			return nil
		}
		sink, began := sampled(t, 9*time.Second, func(s *Scheduler) {
			mustAdd(t, s, &scripted{name: "p", look: look}, time.Second, time.Second)
		})
		want := []string{
			"1s-2s m/b timeout", "1s-3s m/a EOF", "4s-6s  no API server", "7s-8s  probe p panicked: garbage", "9s-9.001s m/a last",
		}
		var got []string
		for _, g := range sink.gaps {
			got = append(got, fmt.Sprintf("%s-%s %s %s", g.From.Sub(began), g.To.Sub(began), g.Subject, g.Reason))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("gaps\n%q, want\n%q", got, want)
		}
	})
}

func TestWholeGapKeepsTheOpenOnes(t *testing.T) {
	g := newGaps("p")
	at := time.Unix(0, 0)
	second := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	g.note(second(1), &Missed{Subject: "a", Err: errors.New("x")})
	if closed := g.note(second(2), errors.New("whole")); len(closed) != 0 {
		t.Errorf("closed without knowing: %+v", closed)
	}
	closed := g.note(second(3), nil)
	if len(closed) != 2 || closed[0].Subject != "a" || closed[1].From != second(2) || closed[1].To != second(3) {
		t.Errorf("closed %+v", closed)
	}
}

func TestSchedulerOutlivesADeafProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		deaf := &scripted{name: "deaf", look: func(_ context.Context, n int) error {
			if n == 2 {
				<-release
			}
			return nil
		}}
		go func() {
			time.Sleep(20 * time.Second)
			close(release)
		}()
		sink, began := sampled(t, 30*time.Second, func(s *Scheduler) {
			mustAdd(t, s, deaf, 5*time.Second, time.Second)
			mustAdd(t, s, &scripted{name: "quick", look: fine}, 5*time.Second, time.Second)
		})
		if got := len(sink.of("quick")); got != 7 {
			t.Errorf("the quick probe was delayed: %d looks", got)
		}
		if len(sink.gaps) != 1 || sink.gaps[0].From.Sub(began) != 5*time.Second || sink.gaps[0].To.Sub(began) < 20*time.Second {
			t.Errorf("gaps %+v", sink.gaps)
		}
		for _, s := range sink.of("deaf") {
			if s.Value == 2 {
				t.Error("a sample that came too late was written")
			}
		}
	})
}

func TestSchedulerEndsWhenTheSinkIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		scheduler := NewScheduler(&memory{full: full})
		mustAdd(t, scheduler, &scripted{name: "a", look: fine}, time.Second, time.Second)
		mustAdd(t, scheduler, &scripted{name: "b", look: fine}, time.Second, time.Second)
		if err := scheduler.Run(t.Context()); !errors.Is(err, full) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestSchedulerRefuses(t *testing.T) {
	s := NewScheduler(&memory{})
	mustAdd(t, s, NewSelf(), time.Second, time.Second)
	if err := s.Add(NewSelf(), time.Second, time.Second); err == nil {
		t.Error("one name twice")
	}
	if err := s.Add(&scripted{name: "x", look: fine}, 0, time.Second); err == nil {
		t.Error("no interval")
	}
}

func TestSelf(t *testing.T) {
	self := NewSelf()
	first, err := self.Sample(t.Context())
	if err != nil || len(first) != 1 || first[0].Series != history.ProberMemory || first[0].Value <= 0 {
		t.Fatalf("first look: %+v, %v", first, err)
	}
	second, err := self.Sample(t.Context())
	if err != nil || len(second) != 2 || second[0].Series != history.ProberCPU || second[0].Value < 0 {
		t.Fatalf("second look: %+v, %v", second, err)
	}
}
