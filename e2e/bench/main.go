// Command bench measures what the harness itself costs and what it can see, and
// prints it as ratios to what it is measured against: make bench. It fails when
// something could not be measured as it should be, never because something was
// slow. What needs the API server that was built for nodes says so where there
// is none.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"blackout/e2e/backlog"
	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/images"
	"blackout/e2e/longhorn"
	"blackout/e2e/report"
	"blackout/e2e/workspace"
)

func main() { os.Exit(exitCode()) }

func exitCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	klog.SetLogger(logr.Discard()) // client-go logs what it returns as well
	if err := start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func start(ctx context.Context) error {
	if task := os.Getenv(envTask); task != "" {
		return watchAlone(ctx, task)
	}
	sizes := flag.String("sizes", "1000 4000 10000", "numbers of backups that the census counts")
	count := flag.Int("queue", 2000, "backups in each turn of the queue")
	turns := flag.Int("turns", 6, "turns of the queue and the bare client, and judgements of a day")
	flag.Parse()
	b := bench{queue: *count, turns: *turns}
	for text := range strings.FieldsSeq(*sizes) {
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 {
			return fmt.Errorf("--sizes %q: %q is no number of backups", *sizes, text)
		}
		b.sizes = append(b.sizes, size)
	}
	if b.queue < 1 || b.turns < 1 {
		return errors.New("--queue and --turns must be 1 at least")
	}
	source, err := workspace.Source()
	if err != nil {
		return err
	}
	b.recorded = filepath.Join(source, "fixtures", "demo", "issue-9978-v1.7.2")
	return b.run(ctx)
}

type bench struct {
	sizes        []int
	queue, turns int
	recorded     string // directory of a real run
	table        table
}

func (b *bench) run(ctx context.Context) error {
	steps := []func(context.Context) error{b.trends, b.judging, b.queueing}
	for _, size := range b.sizes {
		steps = append(steps, func(ctx context.Context) error { return b.counting(ctx, size) })
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return errors.Join(err, b.table.print(os.Stdout)) // what there is
		}
	}
	return b.table.print(os.Stdout)
}

// inDirectory gives the work a directory of its own.
func inDirectory(work func(dir string) error) error {
	dir, err := os.MkdirTemp("", "blackout-bench-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	return errors.Join(work(dir), os.RemoveAll(dir))
}

// withLab runs the work, unless there is no API server to be had: that is a row.
func (b *bench) withLab(ctx context.Context, what string, work func(l *lab, dir string) error) error {
	return inDirectory(func(dir string) error {
		note("%s: an API server", what)
		l, err := startLab(ctx, dir)
		if errors.Is(err, images.ErrNotBuilt) {
			b.table.notRun(what, err)
			return nil
		}
		if err != nil {
			return err
		}
		return errors.Join(work(l, dir), l.close())
	})
}

// note says on the standard error what is going on.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) queueing(ctx context.Context) error {
	what := fmt.Sprintf("queue %d backups", b.queue)
	return b.withLab(ctx, what, func(l *lab, _ string) error {
		// The first calls of an API server are slower than all others.
		if _, _, err := l.queueRates(ctx, "first", max(1, b.queue/10), 1); err != nil {
			return err
		}
		note("%s, %d times in turn with a bare client", what, b.turns)
		queued, raw, err := l.queueRates(ctx, "turn", b.queue, b.turns)
		if err != nil {
			return err
		}
		b.table.add(what, fmt.Sprintf("%.0f/s", bound.Median(queued)), fmt.Sprintf("bare client %.0f/s", bound.Median(raw)), medianRatio(queued, raw), atLeast(0.9))
		return nil
	})
}

const memoryGoal = 200 * mebi

func (b *bench) counting(ctx context.Context, size int) error {
	what := fmt.Sprintf("census of %d backups", size)
	return b.withLab(ctx, what, func(l *lab, dir string) error {
		spec := backlogOf("count", size)
		items, err := backlog.Plan(spec)
		if err != nil {
			return err
		}
		note("%s: queueing them", what)
		totals, err := backlog.Queue(ctx, spec, l.system, nowhere{})
		if err != nil {
			return err
		}
		note("%s: %.0f/s; giving them states", what, totals.Rate())
		if err := l.dress(ctx, items); err != nil {
			return err
		}
		note("%s: watching for %s at least", what, watched)
		seen, err := l.watch(ctx, dir)
		if err != nil {
			return err
		}
		if err := seen.check(size); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		b.table.add(what+": memory", fmt.Sprintf("%d MiB", seen.Memory/mebi), "goal 200 MiB", float64(seen.Memory)/memoryGoal, atMost(1))
		b.table.add(what+": processor", fmt.Sprintf("%.3f cores", seen.Cores), "one core", seen.Cores, anything)
		b.table.add(what+": a look", fmt.Sprintf("%.2f s, %d in %.0f s", seen.List, seen.Looks, seen.For), "every 5 s", seen.List/interval.Seconds(), anything)
		return nil
	})
}

// check that every backup was seen in the state that it was given.
func (r watchResult) check(size int) error {
	if r.Looks == 0 {
		return fmt.Errorf("no look was whole: %s", strings.Join(r.Gaps, "; "))
	}
	want := map[string]float64{}
	for i := range size {
		state := dressed(i)
		if state == longhorn.BackupNew {
			state = history.StateNew
		}
		want[state]++
	}
	want[history.Waiting] = want[history.StateNew] + want[history.StatePending]
	want[history.AttachmentTickets] = want[history.StatePending]
	for name, n := range want {
		if r.Last[name] != n {
			return fmt.Errorf("%g %s were counted, and there are %g", r.Last[name], name, n)
		}
	}
	return nil
}

func (b *bench) judging(context.Context) error {
	return inDirectory(func(dir string) error {
		note("judge a day: writing its history")
		samples, err := recordDay(b.recorded, dir)
		if err != nil {
			return err
		}
		info, err := os.Stat(filepath.Join(dir, report.HistoryFile))
		if err != nil {
			return fmt.Errorf("look at the history: %w", err)
		}
		var took, used []float64
		for range b.turns {
			began := time.Now()
			before, err := processorTime()
			if err != nil {
				return err
			}
			if _, err := report.Judge(dir); err != nil {
				return err
			}
			after, err := processorTime()
			if err != nil {
				return err
			}
			took, used = append(took, time.Since(began).Seconds()), append(used, (after-before).Seconds())
		}
		seconds := bound.Median(took)
		b.table.add(fmt.Sprintf("judge 24 h, %.1f million samples, %d MiB", float64(samples)/1e6, info.Size()/mebi),
			fmt.Sprintf("%.2f s, %.2f s of processor", seconds, bound.Median(used)), "goal 1 s", seconds, atMost(1))
		b.table.add("judge 24 h: times as fast as the run", fmt.Sprintf("%.0f", day.Seconds()/seconds), "", 0, anything)
		return nil
	})
}

func (b *bench) trends(context.Context) error {
	for _, l := range leaks {
		r, err := l.power()
		if err != nil {
			return err
		}
		b.table.curve(r)
		found := "none surely"
		if r.smallest > 0 {
			found = l.slope(r.smallest)
		}
		b.table.add("smallest leak found in 10 min: "+l.series, found, "v1.7.2 "+l.slope(l.known), r.smallest/l.known, anything)
	}
	return nil
}

// slope in words.
func (l leak) slope(v float64) string {
	if history.Series[l.series] == history.Bytes {
		return fmt.Sprintf("%.3g MiB/min", v/mebi)
	}
	return fmt.Sprintf("%.3g/min", v)
}
