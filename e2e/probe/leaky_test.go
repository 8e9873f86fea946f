package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"blackout/e2e/history"
)

const (
	leakyPackage = "blackout/fixtures/leakyserver"
	leakLimit    = 20 * time.Second // for a condition; a leak takes a second
	leakPoll     = 20 * time.Millisecond
)

// leakyBinary is built once for all tests.
var leakyBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "leakyserver-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "leakyserver")
	if out, err := exec.Command("go", "build", "-o", binary, leakyPackage).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", leakyPackage, err, out)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built {
		if binary, err := leakyBinary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(binary))
		}
	}
	os.Exit(code)
}

// built keeps TestMain from building only to remove.
var built bool

// leaky is a running leakyserver.
type leaky struct{ base string }

func startLeaky(t *testing.T) leaky {
	t.Helper()
	built = true
	binary, err := leakyBinary()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary)
	command.Stderr = os.Stderr
	if _, err := command.StdinPipe(); err != nil { // it ends with us, however we end
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // killed by its context
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return leaky{base: strings.TrimSpace(line)}
}

type leakCounts struct {
	Goroutines, Connections int
	Heap, Garbage           int64
}

func (l leaky) ask(t *testing.T, path string) (counts leakCounts) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // only read from
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&counts); err != nil {
		t.Fatal(err)
	}
	return counts
}

// leak leaks until enough is leaked and stops: what it returns stays.
func (l leaky) leak(t *testing.T, kind string, rate int, enough func(leakCounts) bool) leakCounts {
	t.Helper()
	l.ask(t, fmt.Sprintf("/leak?kind=%s&rate=%d", kind, rate))
	eventually(t, kind+" to leak", func() bool { return enough(l.ask(t, "/leaked")) })
	return l.ask(t, "/stop")
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), leakLimit)
	defer cancel()
	ticker := time.NewTicker(leakPoll)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("gave up waiting for %s", what)
		case <-ticker.C:
		}
	}
}

// values of one look by series; those by root are left out.
func values(t *testing.T, p *Pprof) map[string]float64 {
	t.Helper()
	samples, err := p.Sample(t.Context())
	if err != nil && !onlyAbsent(err) {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, s := range samples {
		if s.Series != history.GoroutinesByRoot {
			found[s.Series] = s.Value
		} else {
			found[s.Subject] = s.Value
		}
	}
	return found
}

// onlyAbsent tells whether nothing but the other subject's pods is missing.
func onlyAbsent(err error) bool {
	for _, m := range missed(err) {
		if m.Subject != history.InstanceManagerSubject {
			return false
		}
	}
	return true
}

func leakyProbe(l leaky, heapEvery time.Duration) *Pprof {
	options := DefaultPprofOptions()
	options.HeapEvery = heapEvery
	return newPprof(&static{lives: []life{managerLife}, base: func() string { return l.base }}, (&memory{}).Event, options)
}

const parkedRoot = history.ManagerSubject + ":main.(*leaker).parked"

func TestPprofSeesGoroutinesLeak(t *testing.T) {
	server := startLeaky(t)
	p := leakyProbe(server, time.Hour)
	defer p.Close()
	before := values(t, p)
	const many = 200
	leaked := server.leak(t, "goroutines", 2000, func(c leakCounts) bool { return c.Goroutines >= many })
	after, later := values(t, p), values(t, p)
	if grown := after[history.Goroutines] - before[history.Goroutines]; grown < float64(leaked.Goroutines) {
		t.Errorf("%d goroutines leaked, %v seen", leaked.Goroutines, grown)
	}
	if got := after[parkedRoot]; got != float64(leaked.Goroutines) {
		t.Errorf("%d goroutines leaked, %v seen at their root: %v", leaked.Goroutines, got, after)
	}
	flat(t, after, later, 2, history.Goroutines)
	flat(t, before, later, 0, history.GRPCConnections, history.CallbackSerializers)
}

func TestPprofSeesConnectionsLeak(t *testing.T) {
	server := startLeaky(t)
	p := leakyProbe(server, time.Hour)
	defer p.Close()
	before := values(t, p)
	const many = 100
	leaked := server.leak(t, "connections", 1000, func(c leakCounts) bool { return c.Connections >= many })
	after, later := values(t, p), values(t, p)
	if got := after[history.GRPCConnections] - before[history.GRPCConnections]; got != float64(leaked.Connections) {
		t.Errorf("%d connections leaked, %v seen", leaked.Connections, got)
	}
	const serializers = 3 // for each client, as in Longhorn
	if got := after[history.CallbackSerializers] - before[history.CallbackSerializers]; got != float64(serializers*leaked.Connections) {
		t.Errorf("%d connections leaked, %v serializers seen", leaked.Connections, got)
	}
	flat(t, after, later, 0, history.GRPCConnections, history.CallbackSerializers)
}

func TestPprofSeesHeapLeakAndGarbage(t *testing.T) {
	server := startLeaky(t)
	p := leakyProbe(server, 0)
	defer p.Close()
	const many, slack = 64 << 20, 8 << 20 // two chunks
	before := values(t, p)
	if _, found := before[history.AllocationRate]; found {
		t.Error("a rate from a single look")
	}
	leaked := server.leak(t, "heap", 50, func(c leakCounts) bool { return c.Heap >= many })
	after := values(t, p)
	if grown := after[history.LiveHeap] - before[history.LiveHeap]; grown < float64(leaked.Heap-slack) || grown > float64(leaked.Heap+slack) {
		t.Errorf("%d bytes leaked, %v seen", leaked.Heap, grown)
	}
	for series := range after {
		_, named := history.Series[series] // by functions there are others
		if _, every := before[series]; named && !every && !slices.Contains(history.HeapSeries, series) {
			t.Errorf("%s is read from the heap and not among history.HeapSeries", series)
		}
	}
	if after[history.AllocationRate] <= 0 || after[history.DeepCopyShare] > 0.1 {
		t.Errorf("allocations %v", after)
	}
	server.leak(t, "garbage", 50, func(c leakCounts) bool { return c.Garbage >= many })
	later := values(t, p)
	flat(t, after, later, slack, history.LiveHeap)
	if share := later[history.DeepCopyShare]; share < 0.35 || share > 0.65 {
		t.Errorf("half of the garbage is of DeepCopy, seen: %v", share)
	}
	if later[history.AllocationRate] <= 0 {
		t.Errorf("allocations %v", later)
	}
}

// flat fails when a series moved by more than the slack.
func flat(t *testing.T, before, after map[string]float64, slack float64, series ...string) {
	t.Helper()
	for _, s := range series {
		if moved := after[s] - before[s]; moved > slack || moved < -slack {
			t.Errorf("nothing leaked, but %s went from %v to %v", s, before[s], after[s])
		}
	}
}
