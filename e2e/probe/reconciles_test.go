package probe

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"blackout/e2e/history"
)

const (
	managerPod  = "longhorn-manager-a"
	logPath     = podsPath + "/" + managerPod + "/log"
	waitingLine = `time="2025-01-02T03:04:05Z" level=warning msg="Waiting to enable the backup monitor for backup backup-1" func="controller.(*BackupController).reconcile"`
	failedLine  = `time="2025-01-02T03:04:05Z" level=warning msg="Failed to enable the backup monitor for backup backup-2" func="controller.(*BackupController).reconcile"`
	imageLine   = `time="2025-01-02T03:04:05Z" level=warning msg="Failed to enable the backup monitor for backup backing image parrot"`
	otherLine   = `time="2025-01-02T03:04:05Z" level=info msg="Starting Longhorn Backup controller"`
)

// podLog is the newest file of one container's log, and answers as a kubelet
// does.
type podLog struct {
	mu    sync.Mutex
	times []time.Time
	lines []string
}

// logBegan has a fraction, as every line's time has.
var logBegan = startedAt.Add(123456789 * time.Nanosecond)

func (p *podLog) write(after time.Duration, lines ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, line := range lines { // one nanosecond apart
		p.times = append(p.times, logBegan.Add(after+time.Duration(i)))
		p.lines = append(p.lines, line)
	}
}

func (p *podLog) rotate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times, p.lines = nil, nil
}

func (p *podLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, err := time.Parse(time.RFC3339, r.FormValue("sinceTime"))
	if err != nil && r.FormValue("sinceTime") != "" {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var text strings.Builder
	for i, at := range p.times {
		if !at.Before(since) {
			fmt.Fprintf(&text, "%s %s\n", at.UTC().Format("2006-01-02T15:04:05.000000000Z07:00"), p.lines[i])
		}
	}
	limit, err := strconv.Atoi(r.FormValue("limitBytes"))
	if err != nil || r.FormValue("timestamps") != "true" || r.FormValue("container") != history.ManagerSubject {
		http.Error(w, "asked "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	fmt.Fprint(w, text.String()[:min(limit, text.Len())])
}

// looker is a probe of one manager's log.
type looker struct {
	*Reconciles
	t   *testing.T
	api *fakeAPI
	log *podLog
}

func lookerOf(t *testing.T) looker {
	t.Helper()
	l := looker{t: t, api: newFakeAPI(t), log: &podLog{}}
	l.api.on(podsPath, object(t, podList(pod(managerPod, history.ManagerSubject, 0), pod("im-a", history.InstanceManagerSubject, 0))))
	l.api.on(logPath, l.log.ServeHTTP)
	l.Reconciles = &Reconciles{link: l.api.link(t), limit: 2 * time.Second, maxBytes: maxLogBytes, marks: map[history.Incarnation]*mark{}}
	return l
}

// sees looks once and wants one count of a life.
func (l looker) sees(restarts int, want float64) {
	l.t.Helper()
	began := time.Now()
	samples, err := l.Sample(l.t.Context())
	if err != nil || len(samples) == 0 {
		l.t.Fatalf("%d samples, %v", len(samples), err)
	}
	s := samples[len(samples)-1] // before it are the seconds in which some failed
	if s.Value != want || s.Incarnation.Restarts != restarts {
		l.t.Fatalf("%v failed reconciles of restart %d, want %v of %d", s.Value, s.Incarnation.Restarts, want, restarts)
	}
	if s.Series != history.FailedReconciles || s.Probe != LogsName || s.Subject != history.ManagerSubject || s.Incarnation.Pod != managerPod || s.Time.Before(began) {
		l.t.Errorf("sample %+v", s)
	}
}

// misses looks once and wants a gap of the pod and nothing else.
func (l looker) misses(reason string) {
	l.t.Helper()
	samples, err := l.Sample(l.t.Context())
	if got := gapOf(err, PodSubject(history.ManagerSubject, managerPod)); len(samples) != 0 || !strings.Contains(got, reason) || got == "" {
		l.t.Fatalf("%d samples, %v, want a gap with %q", len(samples), err, reason)
	}
}

var _ Resetter = &Reconciles{}

func TestReconcilesAreCountedOnce(t *testing.T) {
	l := lookerOf(t)
	l.sees(0, 0)
	l.log.write(0, otherLine, waitingLine, imageLine, failedLine)
	l.sees(0, 2)
	l.sees(0, 2)
	l.log.write(time.Millisecond, waitingLine, otherLine) // in the same second
	l.sees(0, 3)
	l.log.write(time.Minute, strings.Repeat("x", 1<<20), failedLine)
	l.sees(0, 4)
	if err := l.replace(l.get().config); err != nil {
		t.Fatal(err)
	}
	l.sees(0, 4)
	queries := l.api.queries(logPath)
	if since := "sinceTime="; strings.Contains(queries[0], since) || !strings.Contains(queries[2], since) {
		t.Errorf("asked %q", queries)
	}
	// stderr may come a little before stdout.
	l.log.write(2*time.Minute, waitingLine)
	l.log.write(2*time.Minute-time.Microsecond, waitingLine)
	l.sees(0, 6)
	l.sees(0, 6)
}

// Growth is divided by what failed between two profiles, which lie anywhere
// between two looks.
func TestReconcilesAreCountedAtTheirTimes(t *testing.T) {
	l := lookerOf(t)
	for burst := range 3 {
		l.log.write(time.Duration(burst)*30*time.Second, waitingLine, waitingLine, waitingLine)
	}
	samples, err := l.Sample(t.Context())
	if err != nil || len(samples) != 4 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for burst, s := range samples[:3] {
		want := logBegan.Add(time.Duration(burst) * 30 * time.Second)
		if s.Value != float64(3*(burst+1)) || s.Time.Sub(want).Abs() > time.Second {
			t.Errorf("%v at %s, want %d at %s", s.Value, s.Time, 3*(burst+1), want)
		}
	}
	if samples, err = l.Sample(t.Context()); err != nil || len(samples) != 1 {
		t.Errorf("%d samples when nothing new was said, %v", len(samples), err)
	}
}

func TestReconcilesOfANewLifeBeginAtZero(t *testing.T) {
	l := lookerOf(t)
	l.log.write(0, waitingLine, waitingLine)
	l.sees(0, 2)
	l.log.rotate()
	l.log.write(time.Minute, waitingLine)
	l.api.on(podsPath, object(t, podList(pod(managerPod, history.ManagerSubject, 1))))
	l.sees(1, 1)
	if len(l.marks) != 1 {
		t.Errorf("%d lives are remembered", len(l.marks))
	}
	waiting := pod(managerPod, history.ManagerSubject, 1)
	waiting.Status.ContainerStatuses[0].State.Running = nil
	l.api.on(podsPath, object(t, podList(waiting)))
	l.misses("phase Running")
	l.api.on(podsPath, object(t, podList(pod(managerPod, history.ManagerSubject, 1))))
	l.log.write(2*time.Minute, waitingLine)
	l.sees(1, 2)
	l.api.on(podsPath, object(t, podList()))
	if samples, err := l.Sample(t.Context()); len(samples) != 0 || gapOf(err, history.ManagerSubject) == "" || len(missed(err)) != 1 || len(l.marks) != 0 {
		t.Errorf("%d samples, %v, %d lives are remembered", len(samples), err, len(l.marks))
	}
}

func TestReconcilesGoOnAfterTheByteLimit(t *testing.T) {
	l := lookerOf(t)
	const all, atOnce = 7, 3
	for i := range all {
		l.log.write(time.Duration(i)*time.Second, waitingLine)
	}
	l.maxBytes = atOnce*int64(len("2025-01-02T03:04:05.123456789Z ")+len(waitingLine)+1) + 20 // the next line's time is cut
	l.misses("more of it")                                                                    // lines 1 to 3
	l.misses("more of it")                                                                    // 3 to 5: the line at the mark comes again
	l.sees(0, all)                                                                            // 5 to 7
	l.sees(0, all)
}

func TestReconcilesGaps(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		reason string
	}{
		"broken": {broken, "etcdserver"},
		"silent": {hang, "no answer within"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprintf(w, "%s %s\n2025-01", logBegan.Add(time.Second).UTC().Format(time.RFC3339Nano), waitingLine)
		}, "EOF"},
		"an error for a log": {body("failed to try resolving symlinks in path"), "resolving symlinks"},
	} {
		t.Run(name, func(t *testing.T) {
			l := lookerOf(t)
			l.log.write(0, waitingLine, waitingLine)
			l.sees(0, 2)
			l.log.write(time.Second, waitingLine)
			l.api.on(logPath, test.answer)
			l.misses(test.reason)
			l.api.on(logPath, l.log.ServeHTTP)
			l.log.write(2*time.Second, failedLine)
			l.sees(0, 4)
		})
	}
	t.Run("an error for the first log", func(t *testing.T) {
		l := lookerOf(t)
		l.api.on(logPath, body("unable to retrieve container logs for containerd://1"))
		l.misses("unable to retrieve")
	})
	t.Run("no server", func(t *testing.T) {
		l := lookerOf(t)
		l.api.on(podsPath, broken)
		if samples, err := l.Sample(t.Context()); len(samples) != 0 || gapOf(err, "") == "" {
			t.Errorf("%d samples, %v", len(samples), err)
		}
	})
}

func TestReconcilesTellARotation(t *testing.T) {
	l := lookerOf(t)
	l.log.write(0, waitingLine)
	l.sees(0, 1)
	l.log.rotate()
	l.misses("rotated") // nothing new yet
	l.log.write(time.Minute, waitingLine, otherLine)
	l.misses("rotated")
	l.sees(0, 2)
}

func TestReconcilesLeaveUnfinishedLines(t *testing.T) {
	l := lookerOf(t)
	stamp := logBegan.UTC().Format(time.RFC3339Nano)
	whole := "the rest of a long line\n" + stamp + " " + waitingLine + "\n"
	l.api.on(logPath, body(stamp+" "+waitingLine))
	l.sees(0, 0)
	l.api.on(logPath, body(whole))
	l.sees(0, 1)
	l.sees(0, 1)
}
