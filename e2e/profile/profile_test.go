package profile

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"blackout/e2e/history"
)

// Functions of longhorn-manager v1.7.2 and of what it calls, outermost first.
const (
	manager  = "github.com/longhorn/longhorn-manager/"
	instance = "github.com/longhorn/longhorn-instance-manager/pkg/"
	grpcLib  = "google.golang.org/grpc"
	backups  = manager + "controller.(*BackupController)."
)

var (
	reconcile  = []string{"runtime.goexit", "k8s.io/apimachinery/pkg/util/wait.JitterUntil", backups + "worker", backups + "processNextWorkItem", backups + "syncHandler", backups + "reconcile"}
	leak       = path(reconcile, backups+"checkMonitor", manager+"controller.getBackupTarget", manager+"engineapi.NewEngineClientProxy", instance+"client.NewProxyClient", instance+"client.NewProxyClient.func1", instance+"util.Connect")
	leakClient = path(leak, grpcLib+".NewClient", "runtime.newobject", "runtime.mallocgc")
	leakParse  = path(leak, grpcLib+".NewClient", grpcLib+".(*ClientConn).initParsedTargetAndResolverBuilder")
	transport  = []string{"runtime.goexit", grpcLib + ".(*addrConn).connect", grpcLib + ".(*addrConn).resetTransportAndUnlock", grpcLib + "/internal/transport.NewHTTP2Client", grpcLib + "/internal/transport.newFramer"}
	reader     = path(transport, "bufio.NewReaderSize")
	writer     = path(transport, grpcLib+"/internal/transport.newBufWriter")
	informer   = []string{"runtime.goexit", "k8s.io/client-go/tools/cache.(*Reflector).Run", "encoding/json.Unmarshal"}
	deepCopy   = path(reconcile, manager+"k8s/pkg/apis/longhorn/v1beta2.(*VolumeAttachment).DeepCopy")
)

func path(above []string, below ...string) []string {
	return append(append([]string{}, above...), below...)
}

// weights of a synthetic profile by stack.
type weight struct {
	stack []string
	value int64
}

func synthetic(kind string, all ...weight) *profile.Profile {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: kind, Unit: "bytes"}}}
	functions := map[string]*profile.Function{}
	for _, w := range all {
		sample := &profile.Sample{Value: []int64{w.value}}
		for i := len(w.stack) - 1; i >= 0; i-- {
			f := functions[w.stack[i]]
			if f == nil {
				f = &profile.Function{ID: uint64(len(p.Function) + 1), Name: w.stack[i]}
				functions[w.stack[i]] = f
				p.Function = append(p.Function, f)
			}
			l := &profile.Location{ID: uint64(len(p.Location) + 1), Line: []profile.Line{{Function: f}}}
			p.Location = append(p.Location, l)
			sample.Location = append(sample.Location, l)
		}
		p.Sample = append(p.Sample, sample)
	}
	return p
}

var (
	life  = history.Incarnation{Pod: "longhorn-manager-a", UID: "1", Container: "longhorn-manager"}
	began = time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
)

func pair(before, after *profile.Profile) (Capture, Capture) {
	return Capture{Profile: before, Incarnation: life, Time: began, File: "profiles/baseline.pb.gz"},
		Capture{Profile: after, Incarnation: life, Time: began.Add(time.Minute), File: "profiles/steady.pb.gz"}
}

func diff(t *testing.T, kind Kind, before, after *profile.Profile) Growth {
	t.Helper()
	a, b := pair(before, after)
	g, err := Diff(kind, a, b, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestDiffNamesTheLeakOf9978(t *testing.T) {
	before := synthetic("inuse_space", weight{reader, 1 << 20}, weight{informer, 40 << 20}, weight{deepCopy, 6 << 20})
	after := synthetic("inuse_space",
		weight{reader, 33 << 20}, weight{writer, 32 << 20}, weight{leakClient, 3 << 20}, weight{leakParse, 1 << 20},
		weight{informer, 45 << 20}, weight{deepCopy, 11 << 20}) // DeepCopy outgrows the creator: a snapshot of garbage in use
	g := diff(t, Heap, before, after)
	if g.Net() != 78<<20 || g.Gross != g.Net() || g.Unit != history.Bytes {
		t.Errorf("net %d, gross %d, unit %s", g.Net(), g.Gross, g.Unit)
	}
	if first := g.Paths[0]; !strings.HasSuffix(first.String(), "bufio.NewReaderSize") && !strings.HasSuffix(first.String(), "newBufWriter") || first.Share < 0.4 {
		t.Errorf("most grown: %s with share %v", first, first.Share)
	}
	cause, found := g.Cause()
	want := "controller.(*BackupController).worker -> processNextWorkItem -> syncHandler -> reconcile -> checkMonitor -> " +
		"controller.getBackupTarget -> engineapi.NewEngineClientProxy -> client.NewProxyClient -> util.Connect"
	if !found || cause.String() != want || cause.Growth != 4<<20 {
		t.Errorf("cause is\n%s\nby %d, want\n%s", cause, cause.Growth, want)
	}
	if want := "go tool pprof -sample_index=inuse_space -diff_base profiles/baseline.pb.gz profiles/steady.pb.gz"; g.Command != want {
		t.Errorf("command %q", g.Command)
	}
	per, err := PerUnit(g.Net(), 1000)
	if err != nil || math.Abs(per-float64(78<<20)/1000) > 1e-9 {
		t.Errorf("per reconcile %v, %v", per, err)
	}
}

func TestWhatElseGrewIsNoCause(t *testing.T) {
	before := synthetic("inuse_space", weight{informer, 40 << 20})
	after := synthetic("inuse_space", weight{reader, 33 << 20}, weight{informer, 45 << 20}, weight{deepCopy, 11 << 20}) // nobody was seen to ask for it
	g := diff(t, Heap, before, after)
	if cause, found := g.Cause(); !found || cause.Own || !strings.HasSuffix(cause.String(), "bufio.NewReaderSize") {
		t.Errorf("cause is %s", cause)
	}
}

func TestDiffCountsGoroutines(t *testing.T) {
	run := []string{grpcLib + "/internal/grpcsync.(*CallbackSerializer).run", "runtime.selectgo", "runtime.gopark"}
	idle := []string{"net/http.(*conn).serve", "runtime.gopark"}
	g := diff(t, Goroutines, synthetic("goroutine", weight{run, 3}, weight{idle, 100}), synthetic("goroutine", weight{run, 3003}, weight{idle, 50}))
	if g.Net() != 2950 || g.Gross != 3000 || g.Unit != history.Count {
		t.Errorf("net %d, gross %d", g.Net(), g.Gross)
	}
	if len(g.Paths) != 1 || g.Paths[0].Growth != 3000 || g.Paths[0].Share != 1 || !strings.HasSuffix(g.Paths[0].String(), "(*CallbackSerializer).run") {
		t.Errorf("paths %+v", g.Paths)
	}
}

func TestDiffStopsWhereTheGrowthParts(t *testing.T) {
	var after []weight
	for _, f := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") { // each below a worthy share
		after = append(after, weight{path(reconcile, manager+"controller."+f), 1 << 20})
	}
	g := diff(t, Heap, synthetic("inuse_space"), synthetic("inuse_space", after...))
	if len(g.Paths) != 1 || !strings.HasSuffix(g.Paths[0].String(), "reconcile") || g.Paths[0].Growth != 26<<20 {
		t.Errorf("paths %+v", g.Paths)
	}
}

func TestDiffWithoutGrowth(t *testing.T) {
	g := diff(t, Heap, synthetic("inuse_space", weight{reader, 5}), synthetic("inuse_space", weight{reader, 4}))
	if _, found := g.Cause(); found || len(g.Paths) != 0 || g.Gross != 0 || g.Net() != -1 {
		t.Errorf("growth %+v", g)
	}
}

func TestDiffRefuses(t *testing.T) {
	p := synthetic("inuse_space", weight{reader, 1})
	restarted := life
	restarted.Restarts = 1
	tests := map[string]func(a, b *Capture){
		"a restart between":  func(_, b *Capture) { b.Incarnation = restarted },
		"another pod":        func(_, b *Capture) { b.Incarnation.UID = "2" },
		"nobody's profiles":  func(a, b *Capture) { a.Incarnation, b.Incarnation = history.Incarnation{}, history.Incarnation{} },
		"the wrong order":    func(a, b *Capture) { a.Time, b.Time = b.Time, a.Time },
		"a missing profile":  func(a, _ *Capture) { a.Profile = nil },
		"another type":       func(_, b *Capture) { b.Profile = synthetic("goroutine", weight{reader, 1}) },
		"another type first": func(a, _ *Capture) { a.Profile = synthetic("goroutine", weight{reader, 1}) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := pair(p, p)
			spoil(&a, &b)
			_, err := Diff(Heap, a, b, DefaultOptions())
			if err == nil {
				t.Fatal("accepted")
			}
			if a.Incarnation != b.Incarnation && !errors.Is(err, ErrIncarnation) {
				t.Errorf("error %v", err)
			}
		})
	}
	a, b := pair(p, p)
	if _, err := Diff("allocs", a, b, DefaultOptions()); err == nil {
		t.Error("a profile of what was ever allocated was compared")
	}
}

func captured(t *testing.T, file string) *profile.Profile {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The files are of fixtures/leakyserver: see testdata/README.md.
func TestDiffOfRealConnections(t *testing.T) {
	const leaked = 1091 - 50
	g := diff(t, Heap, captured(t, "connections-heap-before.pb.gz"), captured(t, "connections-heap-after.pb.gz"))
	if first := g.Paths[0].String(); !strings.Contains(first, "transport.newFramer") {
		t.Errorf("most grown: %s", first)
	}
	cause, found := g.Cause()
	if !found || !strings.Contains(cause.String(), "(*leaker).leak -> connect -> main.newEngineClientProxy") {
		t.Errorf("cause %s", cause)
	}
	per, err := PerUnit(g.Net(), leaked)
	if err != nil || per < 64<<10 || per > 256<<10 { // both ends of the connection are in this process
		t.Errorf("%v bytes a connection, %v", per, err)
	}
	g = diff(t, Goroutines, captured(t, "connections-goroutine-before.pb.gz"), captured(t, "connections-goroutine-after.pb.gz"))
	var serializers int64
	for _, p := range g.Paths {
		if strings.HasSuffix(p.String(), "(*CallbackSerializer).run") {
			serializers += p.Growth
		}
	}
	if serializers != 3*leaked {
		t.Errorf("%d serializers for %d connections: %+v", serializers, leaked, g.Paths)
	}
}

func TestDiffOfRealHeap(t *testing.T) {
	g := diff(t, Heap, captured(t, "connections-heap-after.pb.gz"), captured(t, "heap-after.pb.gz"))
	cause, found := g.Cause()
	if !found || !strings.HasSuffix(cause.String(), "keep") || cause.Share < 0.8 {
		t.Errorf("cause %s, share %v", cause, cause.Share)
	}
}

func TestPerUnitRefusesNoUnits(t *testing.T) {
	for _, units := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if got, err := PerUnit(1, units); err == nil {
			t.Errorf("%v units: %v", units, got)
		}
	}
}

func TestProjectToLimit(t *testing.T) {
	tests := map[string]struct {
		rate, current, limit float64
		want                 time.Duration
		reached              bool
	}{
		"growing":            {10, 100, 700, time.Minute, true},
		"there already":      {0, 700, 700, 0, true},
		"flat":               {0, 100, 700, 0, false},
		"shrinking":          {-1, 100, 700, 0, false},
		"no limit":           {10, 100, 0, 0, false},
		"not in a lifetime":  {1e-12, 0, 1e9, 0, false},
		"not a number":       {math.NaN(), 0, 1e9, 0, false},
		"current is unknown": {1, math.NaN(), 1e9, 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, reached := ProjectToLimit(test.rate, test.current, test.limit)
			if got != test.want || reached != test.reached {
				t.Errorf("%s, %v", got, reached)
			}
		})
	}
}

func TestCommandQuotes(t *testing.T) {
	if got := Command(Goroutines, "a b/it's", "-x"); got != `go tool pprof -sample_index=goroutine -diff_base 'a b/it'\''s' '-x'` {
		t.Error(got)
	}
}
