package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"blackout/e2e/history"
)

var managerLife = life{
	subject: history.ManagerSubject, running: true,
	incarnation: history.Incarnation{Pod: "longhorn-manager-a", UID: "u", Container: history.ManagerSubject, Node: "n"},
}

// static is a source without a cluster.
type static struct {
	lives     []life
	base      func() string
	listErr   error
	confirmed error
	dials     atomic.Int32
}

func (s *static) list(context.Context) ([]life, error)    { return s.lives, s.listErr }
func (s *static) confirm(_ context.Context, _ life) error { return s.confirmed }
func (s *static) dial(context.Context, string) (*tunnel, error) {
	s.dials.Add(1)
	return &tunnel{base: s.base(), done: make(chan struct{}), close: func() {}}, nil
}

func quickOptions() PprofOptions {
	return PprofOptions{HeapEvery: time.Hour, PodTimeout: 5 * time.Second, TopRoots: 3, Doubt: 10 * time.Millisecond}
}

// A test process lives on so little that the sampled heap may be empty.
func init() { runtime.MemProfileRate = 1 }

// own serves this test's own profiles.
func own() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	return mux
}

func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// gapOf returns the reason for which a pod was missed, or "".
func gapOf(err error, subject string) string {
	for _, m := range missed(err) {
		if m.Subject == subject {
			return m.Err.Error()
		}
	}
	return ""
}

func TestPprofNeverInventsASample(t *testing.T) {
	goroutine, err := os.ReadFile("testdata/longhorn-manager-v1.7.2-goroutine.pb.gz")
	if err != nil {
		t.Fatal(err)
	}
	heapProfile, err := os.ReadFile("testdata/longhorn-manager-v1.7.2-heap.pb.gz")
	if err != nil {
		t.Fatal(err)
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
	}
	answers := map[string]struct {
		handler http.HandlerFunc
		reason  string
	}{
		"nothing":         {text(""), "empty"},
		"a page":          {text("<html>not a profile</html>"), "not a usable profile"},
		"noise":           {text("\x1f\x8b\x08\x00\x00\x00\x00\x00garbage"), "not a usable profile"},
		"a cut profile":   {text(string(goroutine[:len(goroutine)/2])), "not a usable profile"},
		"another profile": {text(string(heapProfile)), "no samples of goroutine"},
		"an error":        {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }, "500"},
		"an end":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"a promise": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "short")
		}, "EOF"},
		"silence": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer within"},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			server := serve(t, answer.handler)
			options := quickOptions()
			options.PodTimeout = time.Minute // a loaded machine is no silence
			if name == "silence" {
				options.PodTimeout = 10 * time.Second // for the other pod, too
			}
			healthy := serve(t, own())
			other := managerLife
			other.incarnation.Pod = "longhorn-manager-b"
			from := &byPod{static: static{lives: []life{managerLife, other}}, bases: map[string]string{
				managerLife.incarnation.Pod: server.URL, other.incarnation.Pod: healthy.URL,
			}}
			p := newPprof(from, (&memory{}).Event, options)
			defer p.Close()
			samples, err := p.Sample(t.Context())
			if got := gapOf(err, managerLife.gapSubject()); !strings.Contains(got, answer.reason) {
				t.Errorf("reason %q", got)
			}
			if len(samples) == 0 {
				t.Error("one pod's failure took the other's samples")
			}
			for _, s := range samples {
				if s.Incarnation.Pod == managerLife.incarnation.Pod {
					t.Fatalf("invented %+v", s)
				}
			}
			if got := gapOf(err, other.gapSubject()); got != "" {
				t.Errorf("the other pod has a gap: %s", got)
			}
		})
	}
}

// byPod is a static source with a server for each pod.
type byPod struct {
	static
	bases map[string]string
}

func (b *byPod) dial(_ context.Context, pod string) (*tunnel, error) {
	return &tunnel{base: b.bases[pod], done: make(chan struct{}), close: func() {}}, nil
}

func TestPprofReconnectsAndDoubts(t *testing.T) {
	server := serve(t, own())
	from := &static{lives: []life{managerLife}, base: func() string { return server.URL }}
	p := newPprof(from, (&memory{}).Event, quickOptions())
	defer p.Close()
	look := func() (int, string) {
		samples, err := p.Sample(t.Context())
		return len(samples), gapOf(err, managerLife.gapSubject())
	}
	for range 3 {
		if n, gap := look(); n == 0 || gap != "" {
			t.Fatalf("%d samples, gap %q", n, gap)
		}
	}
	if got := from.dials.Load(); got != 1 {
		t.Errorf("%d tunnels to one pod", got)
	}
	server.CloseClientConnections()
	server.Close()
	if n, gap := look(); n != 0 || gap == "" {
		t.Fatalf("gone: %d samples, gap %q", n, gap)
	}
	server = serve(t, own())
	// It answers again, but may be another process by now.
	if n, gap := look(); n != 0 || !strings.Contains(gap, "not known yet") {
		t.Fatalf("back: %d samples, gap %q", n, gap)
	}
	from.confirmed = errors.New("restarted")
	eventually(t, "doubt to end", func() bool { _, gap := look(); return gap == "restarted" })
	from.confirmed = nil
	if n, gap := look(); n == 0 || gap != "" {
		t.Fatalf("confirmed: %d samples, gap %q", n, gap)
	}
	// A new incarnation has a tunnel of its own, and none of the old samples.
	restarted := managerLife
	restarted.incarnation.Restarts = 1
	from.lives = []life{restarted}
	before := from.dials.Load()
	samples, _ := p.Sample(t.Context())
	if len(samples) == 0 || from.dials.Load() != before+1 {
		t.Fatalf("%d samples after a restart over %d new tunnels", len(samples), from.dials.Load()-before)
	}
	for _, s := range samples {
		if s.Incarnation.Restarts != 1 {
			t.Errorf("sample of the old life: %+v", s)
		}
	}
}

func TestPprofReconnectsWhenTheTunnelEnds(t *testing.T) {
	server := serve(t, own())
	done := make(chan struct{})
	from := &ending{static: static{lives: []life{managerLife}}, base: server.URL, done: done}
	p := newPprof(from, (&memory{}).Event, quickOptions())
	defer p.Close()
	if samples, err := p.Sample(t.Context()); len(samples) == 0 {
		t.Fatal(err)
	}
	close(done)
	from.done = make(chan struct{})
	eventually(t, "samples over a new tunnel", func() bool { samples, _ := p.Sample(t.Context()); return len(samples) > 0 })
	if from.dials.Load() != 2 {
		t.Errorf("%d tunnels", from.dials.Load())
	}
}

type ending struct {
	static
	base string
	done chan struct{}
}

func (e *ending) dial(context.Context, string) (*tunnel, error) {
	e.dials.Add(1)
	return &tunnel{base: e.base, done: e.done, close: func() {}}, nil
}

func TestPprofTellsWhatDoesNotRun(t *testing.T) {
	waiting := managerLife
	waiting.running, waiting.state = false, "container waits: CrashLoopBackOff"
	p := newPprof(&static{lives: []life{waiting}}, (&memory{}).Event, quickOptions())
	samples, err := p.Sample(t.Context())
	if len(samples) != 0 || !strings.Contains(gapOf(err, waiting.gapSubject()), "CrashLoopBackOff") || gapOf(err, history.InstanceManagerSubject) == "" {
		t.Errorf("%d samples, %v", len(samples), err)
	}
	p = newPprof(&static{listErr: errors.New("refused")}, (&memory{}).Event, quickOptions())
	if _, err := p.Sample(t.Context()); gapOf(err, "") != "refused" {
		t.Errorf("no list: %v", err)
	}
}

func TestSaveProfile(t *testing.T) {
	server := serve(t, own())
	sink := &memory{}
	p := newPprof(&static{lives: []life{managerLife}, base: func() string { return server.URL }}, sink.Event, quickOptions())
	defer p.Close()
	dir := t.TempDir()
	if err := p.SaveProfile(t.Context(), dir, history.Steady); err != nil && !onlyAbsent(err) {
		t.Fatal(err)
	}
	var files []string
	for _, e := range sink.events {
		files = append(files, e.Fields["file"])
		data, err := os.ReadFile(filepath.Join(dir, e.Fields["file"]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(data); err != nil || e.Kind != history.ProfileSaved || e.Subject != managerLife.incarnation.Pod || e.Fields["uid"] != "u" {
			t.Errorf("event %+v, %v", e, err)
		}
	}
	const at = "profiles/steady-longhorn-manager-a-0-"
	if want := []string{at + "goroutine.pb.gz", at + "heap.pb.gz", at + "allocs.pb.gz"}; !slices.Equal(files, want) {
		t.Errorf("saved %v", files)
	}
}

func TestCountsOfARealManager(t *testing.T) {
	read := func(file string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	p, err := parse(read("longhorn-manager-v1.7.2-goroutine.pb.gz"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := countGoroutines(p)
	if err != nil || g.total != 1035 || g.serializers != 3 || g.connections != 1 {
		t.Errorf("goroutines %d, serializers %d, connections %d, %v", g.total, g.serializers, g.connections, err)
	}
	var sum int64
	for _, n := range g.byRoot {
		sum += n
	}
	if top := g.top(2, map[string]bool{"kept": true}); sum != g.total || len(top) != 3 || top[2] != "kept" || g.byRoot[top[0]] < g.byRoot[top[1]] {
		t.Errorf("roots %v, sum %d", top, sum)
	}
	p, err = parse(read("longhorn-manager-v1.7.2-heap.pb.gz"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := countHeap(p)
	if err != nil || h.live <= 0 || h.deepCopy <= 0 || h.deepCopy >= h.alloc || h.when == 0 {
		t.Errorf("heap %+v, %v", h, err)
	}
}

func TestIsDeepCopy(t *testing.T) {
	for function, want := range map[string]bool{
		"github.com/longhorn/longhorn-manager/k8s/pkg/apis/longhorn/v1beta2.(*VolumeAttachment).DeepCopy": true,
		"k8s.io/apimachinery/pkg/apis/meta/v1.(*FieldsV1).DeepCopyInto":                                   true,
		"k8s.io/apimachinery/pkg/apis/meta/v1.Time.DeepCopyInto":                                          true,
		"main.(*object).DeepCopy":          true,
		"k8s.io/x.DeepCopyJSON":            true,
		"github.com/DeepCopy/DeepCopy.Run": false,
		"runtime.mallocgc":                 false,
		"github.com/longhorn/longhorn-manager/controller.(*BackupController).checkMonitor": false,
	} {
		if got := isDeepCopy(function); got != want {
			t.Errorf("%s: %v", function, got)
		}
	}
}

func TestHeapIsReadByTheNearestLook(t *testing.T) {
	for name, tc := range map[string]struct {
		heap, interval time.Duration
		want           int // heaps in twelve looks, which come a little late and a little early
	}{
		"every second look": {10 * time.Second, 5 * time.Second, 6},
		"every third":       {15 * time.Second, 5 * time.Second, 4},
		"each":              {5 * time.Second, 5 * time.Second, 12},
		"between two looks": {12 * time.Second, 5 * time.Second, 6},
	} {
		t.Run(name, func(t *testing.T) {
			options := PprofOptions{HeapEvery: tc.heap, Interval: tc.interval}
			began := time.Unix(1e9, 0)
			var last time.Time
			read := 0
			for i := range 12 {
				now := began.Add(time.Duration(i)*tc.interval + time.Duration(i%3-1)*300*time.Millisecond)
				if options.heapDue(last, now) {
					last, read = now, read+1
				}
			}
			if read != tc.want {
				t.Errorf("%d heaps, want %d", read, tc.want)
			}
		})
	}
}
