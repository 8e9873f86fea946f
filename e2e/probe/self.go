package probe

import (
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"

	"blackout/e2e/history"
)

// Self samples what the harness itself takes of the machine, which on kind is
// taken from the cluster.
type Self struct {
	at   time.Time
	used time.Duration
}

// NewSelf makes the probe.
func NewSelf() *Self { return &Self{} }

// Name implements Probe.
func (s *Self) Name() string { return SelfName }

// What the process holds: all that the runtime has mapped but for what it has
// given back.
const (
	memoryTotal    = "/memory/classes/total:bytes"
	memoryReleased = "/memory/classes/heap/released:bytes"
)

// Sample implements Probe. CPU is in cores, since the last look; the first look
// gives none.
func (s *Self) Sample(context.Context) ([]history.Sample, error) {
	now := time.Now()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return nil, fmt.Errorf("read the process's own use of CPU: %w", err)
	}
	used := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	one := func(series string, value float64) history.Sample {
		return history.Sample{Time: now, Probe: SelfName, Series: series, Subject: history.ProberSubject, Value: value}
	}
	var samples []history.Sample
	if elapsed := now.Sub(s.at); !s.at.IsZero() && elapsed > 0 {
		samples = append(samples, one(history.ProberCPU, (used-s.used).Seconds()/elapsed.Seconds()))
	}
	s.at, s.used = now, used
	memory := []metrics.Sample{{Name: memoryTotal}, {Name: memoryReleased}}
	metrics.Read(memory)
	for _, m := range memory {
		if m.Value.Kind() != metrics.KindUint64 {
			return samples, errors.New("the Go runtime does not know " + m.Name)
		}
	}
	return append(samples, one(history.ProberMemory, float64(memory[0].Value.Uint64()-memory[1].Value.Uint64()))), nil
}
