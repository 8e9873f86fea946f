package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"

	"blackout/e2e/controlplane"
	"blackout/e2e/history"
	"blackout/e2e/longhorn"
	"blackout/e2e/probe"
)

const (
	// watched is how long the census is measured at least: until so many looks were
	// whole, for so long at most. It looks every interval.
	watched      = 40 * time.Second
	wholeLooks   = 2
	watchedLimit = 10 * time.Minute
	interval     = 5 * time.Second
)

// watchTask is what the process that is measured is told.
type watchTask struct {
	Host, Token, CAFile, Dir string
	Least, Most              time.Duration
}

// watchResult is what it says of itself.
type watchResult struct {
	Memory int64   // bytes that it had resident at most
	Cores  float64 // that it used on average
	Looks  int     // lists of all backups that were whole
	For    float64 // seconds that it watched
	List   float64 // seconds that one of them took at most
	Last   map[string]float64
	Gaps   []string
}

// watch runs the census in a process of its own, so that nothing else is counted.
func (l *lab) watch(ctx context.Context, dir string) (watchResult, error) {
	config := l.server.Config()
	task, err := json.Marshal(watchTask{Host: config.Host, Token: config.BearerToken, CAFile: config.CAFile, Dir: dir, Least: watched, Most: watchedLimit})
	if err != nil {
		return watchResult{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return watchResult{}, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), envTask+"="+string(task))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return watchResult{}, fmt.Errorf("watch in a process of its own: %w", err)
	}
	var result watchResult
	if err := json.Unmarshal(out, &result); err != nil {
		return watchResult{}, fmt.Errorf("read what the process that watched says: %w", err)
	}
	return result, nil
}

// envTask makes a process the one that watches.
const envTask = "BLACKOUT_BENCH_WATCH"

// watchAlone is that process: the census as a run has it, with a history.
func watchAlone(ctx context.Context, raw string) error {
	var task watchTask
	if err := json.Unmarshal([]byte(raw), &task); err != nil {
		return fmt.Errorf("read %s: %w", envTask, err)
	}
	c, err := controlplane.Cluster(&rest.Config{Host: task.Host, BearerToken: task.Token, TLSClientConfig: rest.TLSClientConfig{CAFile: task.CAFile}})
	if err != nil {
		return err
	}
	path := filepath.Join(task.Dir, "history.jsonl")
	w, err := history.Create(path, history.Header{Run: "bench", Started: time.Now()})
	if err != nil {
		return err
	}
	options := probe.DefaultCensusOptions()
	options.BackupSelector = longhorn.LabelManaged + "=true"
	census, err := probe.NewCensus(c, w.Event, options)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, task.Most)
	defer stop()
	whole := make(chan struct{})
	s := probe.NewScheduler(&sink{Writer: w, whole: whole})
	if err := errors.Join(s.Add(census, interval, options.LookLimit+interval), s.Add(probe.NewSelf(), interval, interval)); err != nil {
		return err
	}
	began := time.Now()
	go func() {
		select {
		case <-whole:
			time.AfterFunc(task.Least-time.Since(began), stop)
		case <-ctx.Done():
		}
	}()
	if err := errors.Join(s.Run(ctx), w.Close()); err != nil {
		return err
	}
	result, err := measure(time.Since(began))
	if err != nil {
		return err
	}
	run, err := history.Load(path)
	if err != nil {
		return err
	}
	result.read(run)
	return json.NewEncoder(os.Stdout).Encode(result)
}

// sink is a history that takes one sample at a time, and tells when enough looks
// were whole.
type sink struct {
	*history.Writer
	looks atomic.Int32
	whole chan struct{}
}

func (s *sink) Sample(one history.Sample) error {
	if one.Series == history.Waiting && s.looks.Add(1) == wholeLooks {
		close(s.whole)
	}
	return s.Writer.Sample(one)
}

// measure this process.
func measure(elapsed time.Duration) (watchResult, error) {
	used, err := processorTime()
	if err != nil {
		return watchResult{}, err
	}
	memory, err := highWater("/proc/self/status")
	if err != nil {
		return watchResult{}, err
	}
	return watchResult{Memory: memory, For: elapsed.Seconds(), Cores: used.Seconds() / elapsed.Seconds()}, nil
}

// processorTime that this process has used.
func processorTime() (time.Duration, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("read the process's own use of CPU: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// highWater reads the most that a process had resident, in bytes.
func highWater(status string) (int64, error) {
	text, err := os.ReadFile(status)
	if err != nil {
		return 0, fmt.Errorf("read the process's memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			const kibi = 1024
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s says VmHWM %q: %w", status, value, err)
			}
			return n * kibi, nil
		}
	}
	return 0, fmt.Errorf("%s has no VmHWM", status)
}

// read takes the looks out of the history.
func (r *watchResult) read(run history.Run) {
	r.Last = map[string]float64{}
	for s := range run.Of(history.Waiting) {
		r.Looks++
		r.Last[history.Waiting] = s.Value
	}
	for s := range run.Of(history.Backups) {
		r.Last[s.Subject] = s.Value
	}
	for s := range run.Of(history.AttachmentTickets) {
		r.Last[history.AttachmentTickets] = s.Value
	}
	for s := range run.Of(history.SampleCost) {
		if s.Subject == probe.CensusName {
			r.List = max(r.List, s.Value)
		}
	}
	for _, g := range run.Gaps {
		if g.Probe == probe.CensusName {
			r.Gaps = append(r.Gaps, g.Subject+": "+g.Reason)
		}
	}
}
