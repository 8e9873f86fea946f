package probe

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"blackout/e2e/history"
)

const secondPage = "page-2"

func backupJSON(name, state, message, more string) string {
	return fmt.Sprintf(`{"apiVersion":"longhorn.io/v1beta2","kind":"Backup","metadata":{"name":%q,"creationTimestamp":%q,"labels":{"backup-volume":"vol-001"}%s},
		"spec":{"snapshotName":"lost-%s"},"status":{"ownerID":"worker","state":%q,"messages":{"info":%q}}}`,
		name, startedAt.UTC().Format(time.RFC3339), more, name, state, message)
}

func listJSON(next string, all ...string) string {
	return fmt.Sprintf(`{"kind":"List","metadata":{"resourceVersion":"1","continue":%q},"items":[%s]}`, next, strings.Join(all, ","))
}

// pages answers with two pages of backups, in every state.
func pages(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("continue") == secondPage {
		body(listJSON("",
			backupJSON("b5", "Error", "", ""), backupJSON("b6", "Completed", "", ""),
			backupJSON("b7", "Pending", "", `,"deletionTimestamp":"2025-01-02T03:04:05Z"`)))(w, r)
		return
	}
	body(listJSON(secondPage,
		backupJSON("b1", "", "", ""), backupJSON("b2", "Pending", "Failed to get the Snapshot lost-b2", ""),
		backupJSON("b3", "Pending", "Failed to get the Snapshot lost-b3", ""), backupJSON("b4", "InProgress", "", "")))(w, r)
}

func fullAPI(t *testing.T) *fakeAPI {
	t.Helper()
	api := newFakeAPI(t)
	killed := pod("longhorn-manager-a", history.ManagerSubject, 2)
	killed.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: oomKilled, ContainerID: "c1"}
	api.on(podsPath, object(t, podList(killed, pod("im-a", history.InstanceManagerSubject, 0), pod("ei-a", "engine-image", 0))))
	api.on(nodesPath, object(t, nodeList(true, false, true)))
	api.on(longhornAPI+"backups", pages)
	api.on(longhornAPI+"volumes", body(listJSON("", `{"status":{"robustness":"healthy"}}`, `{"status":{"robustness":""}}`, `{"status":{"robustness":"healthy"}}`)))
	api.on(longhornAPI+"volumeattachments", body(listJSON("",
		`{"spec":{"attachmentTickets":{"a":{},"b":{}}}}`, `{"spec":{"attachmentTickets":{"c":{"id":"c"}},"volume":"longer-than-the-other"}}`, `{"spec":{}}`)))
	return api
}

func censusOf(t *testing.T, api *fakeAPI, sink *memory) *Census {
	t.Helper()
	options := DefaultCensusOptions()
	options.MaxShare = 1
	options.PartTimeout = 2 * time.Second
	c, err := newCensus(api.link(t), sink.Event, options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bySeries(samples []history.Sample) map[string]float64 {
	found := map[string]float64{}
	for _, s := range samples {
		found[s.Series+"/"+s.Subject] = s.Value
	}
	return found
}

func TestCensusCounts(t *testing.T) {
	api, sink := fullAPI(t), &memory{}
	samples, err := censusOf(t, api, sink).Sample(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := bySeries(samples)
	for key, want := range map[string]float64{
		"backups/New": 1, "backups/Pending": 2, "backups/InProgress": 1, "backups/Completed": 1, "backups/Error": 1, "backups/Deleting": 1,
		"waiting/cluster": 3, "attachment-tickets/cluster": 3,
		"largest-attachment/cluster": float64(len(`{"spec":{"attachmentTickets":{"c":{"id":"c"}},"volume":"longer-than-the-other"}}`)),
		"volumes/healthy":            2, "volumes/unknown": 1, "volumes/degraded": 0, "volumes/faulted": 0, "nodes-ready/cluster": 2,
		"restarts/longhorn-manager": 2, "oom-kills/longhorn-manager": 1, "oom-kills/instance-manager": 0, "restarts/engine-image": 0,
	} {
		if value, found := got[key]; !found || value != want {
			t.Errorf("%s is %v (%v), want %v", key, value, found, want)
		}
	}
	if age := got["oldest-waiting/cluster"]; age < 600 || age > 660 {
		t.Errorf("the oldest waits since %v s", age)
	}
	for _, s := range samples {
		if _, known := history.Series[s.Series]; !known || s.Time.IsZero() || s.Probe != CensusName {
			t.Errorf("sample %+v", s)
		}
	}
	if len(sink.events) != 1 || sink.events[0].Fields["message"] != "Failed to get the Snapshot <snapshot>" || sink.events[0].Fields["count"] != "2" || sink.events[0].Subject != "Pending" {
		t.Errorf("messages %+v", sink.events)
	}
	queries := api.queries(longhornAPI + "backups")
	if len(queries) != 2 || !strings.Contains(queries[0], "resourceVersion=0") || strings.Contains(queries[1], "resourceVersion") {
		t.Errorf("asked %q", queries)
	}
}

// The backups of recurring jobs are counted apart, among those that the backlog's
// selector leaves out.
func TestCensusCountsTheBackupsOfJobs(t *testing.T) {
	const ofJob = `"spec":{"labels":{"RecurringJob":"nightly"}}`
	api := fullAPI(t)
	api.on(longhornAPI+"backups", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("labelSelector") == "ours!=true" {
			body(listJSON("", `{`+ofJob+`}`, `{`+ofJob+`,"status":{"state":"Pending"}}`, `{`+ofJob+`,"status":{"state":"Completed"}}`,
				`{"status":{"state":"Completed"}}`))(w, r)
			return
		}
		body(listJSON("", `{"status":{"state":"Pending"}}`))(w, r)
	})
	c := censusOf(t, api, &memory{})
	c.options.BackupSelector, c.options.JobSelector = "ours=true", "ours!=true"
	samples, err := c.Sample(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := bySeries(samples)
	for key, want := range map[string]float64{
		"job-backups/New": 1, "job-backups/Pending": 1, "job-backups/Completed": 1, "job-backups/Error": 0, "job-waiting/cluster": 2,
		"backups/Pending": 1, "backups/Completed": 0, "waiting/cluster": 1,
	} {
		if value, found := got[key]; !found || value != want {
			t.Errorf("%s is %v (%v), want %v", key, value, found, want)
		}
	}
	c.options.JobSelector = ""
	if samples, err = c.Sample(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, found := bySeries(samples)["job-waiting/cluster"]; found {
		t.Error("counted unasked")
	}
}

func TestCensusPartsFailAlone(t *testing.T) {
	half := listJSON("", backupJSON("b1", "", "", ""), backupJSON("b2", "", "", ""))
	for name, answer := range map[string]http.HandlerFunc{
		"hangs":              hang,
		"is broken":          broken,
		"is cut short":       body(half[:len(half)-2]),
		"is no list":         body(`{"kind":"Status"}`),
		"is no JSON":         body("<html>"),
		"fails on a page":    func(w http.ResponseWriter, r *http.Request) { failSecond(w, r) },
		"counts no strings":  body(listJSON("", `{"status":{"state":7}}`)),
		"ends without a say": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			api, sink := fullAPI(t), &memory{}
			api.on(longhornAPI+"backups", answer)
			samples, err := censusOf(t, api, sink).Sample(t.Context())
			if gapOf(err, BackupsPart) == "" {
				t.Errorf("no gap: %v", err)
			}
			if len(missed(err)) != 1 {
				t.Errorf("gaps of others: %v", err)
			}
			for _, s := range samples {
				if s.Series == history.Backups || s.Series == history.Waiting || s.Series == history.OldestWaiting {
					t.Errorf("a count of half the backups: %+v", s)
				}
			}
			if bySeries(samples)["nodes-ready/cluster"] != 2 || len(sink.events) != 0 {
				t.Errorf("the other parts: %v, events %v", samples, sink.events)
			}
		})
	}
}

func failSecond(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("continue") != "" {
		broken(w, r)
		return
	}
	pages(w, r)
}

func TestCensusWithoutAServer(t *testing.T) {
	api := newFakeAPI(t)
	c := censusOf(t, api, &memory{})
	api.Close()
	samples, err := c.Sample(t.Context())
	if len(samples) != 0 || gapOf(err, "") == "" || len(missed(err)) != 1 {
		t.Errorf("%d samples, %v", len(samples), err)
	}
}

func TestCensusKeepsToItsShare(t *testing.T) {
	p := &pace{}
	began := time.Unix(100, 0)
	p.took(began, 2*time.Second, 0.2)
	if p.due(began.Add(9*time.Second)) || !p.due(began.Add(10*time.Second)) {
		t.Errorf("next at %s", p.next)
	}
	var none *pace
	none.took(began, time.Hour, 0.2)
	if !none.due(began) {
		t.Error("a list without a pace waits")
	}
}

func TestOOMKillsAreCountedOnce(t *testing.T) {
	o := ooms{}
	p := pod("longhorn-manager-a", history.ManagerSubject, 0)
	status := &p.Status.ContainerStatuses[0]
	count := func() float64 {
		return bySeries(o.samples([]corev1.Pod{p}, time.Now()))[history.OOMKills+"/"+history.ManagerSubject]
	}
	steps := []struct {
		id   string
		want float64
	}{{"", 0}, {"c1", 1}, {"c1", 1}, {"c2", 2}}
	for _, step := range steps {
		if step.id != "" {
			status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: oomKilled, ContainerID: step.id}
		}
		if got := count(); got != step.want {
			t.Errorf("%q: %v kills, want %v", step.id, got, step.want)
		}
	}
	status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Error", ContainerID: "c3"}
	if got := count(); got != 2 {
		t.Errorf("a failure counted as out of memory: %v", got)
	}
	if o.samples(nil, time.Now()); len(o) != 0 {
		t.Error("a gone pod is remembered")
	}
}

func TestMessagesTellNews(t *testing.T) {
	m := newMessages(1)
	at := time.Unix(1, 0)
	say := func(counts said) string {
		var all []string
		for _, e := range m.changed(counts, at) {
			all = append(all, e.Subject+":"+e.Fields["message"]+"="+e.Fields["count"])
		}
		return strings.Join(all, " ")
	}
	a, b := message{"Pending", "a"}, message{"Error", "b"}
	for i, step := range []struct {
		now  said
		want string
	}{
		{said{a: 100, b: 1}, "Pending:a=100"},
		{said{a: 105, b: 1}, ""},
		{said{a: 111, b: 50}, "Pending:a=111"},
		{said{a: 10, b: 101}, "Error:b=101"},
		{said{b: 112}, "Error:b=112 Pending:a=0"}, // nobody says a any more
		{said{b: 112}, ""},
	} {
		if got := say(step.now); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

func TestNormal(t *testing.T) {
	b := &backup{}
	b.Metadata.Name, b.Spec.SnapshotName, b.Status.OwnerID = "backup-1", "backup-1-snap", "worker2"
	b.Metadata.Labels = map[string]string{labelBackupVolume: "vol-001"}
	for text, want := range map[string]string{
		"Failed to get the Snapshot backup-1-snap":                             "Failed to get the Snapshot <snapshot>",
		"Waiting for the engine vol-001-e-0 to be running":                     "Waiting for the engine <volume>-e-N to be running",
		"dial tcp 10.244.1.4:8501: connection refused on worker2":              "dial tcp <address>: connection refused on <node>",
		"dial tcp [fd00::1]:8501":                                              "dial tcp <address>",
		"proxy instance-manager-220ab30b617fb41543440b5dd75deb01 is gone":      "proxy <name> is gone",
		"uid c45ea284-1eb2-4e08-92a2-b0c305216095 of\n backup-1 after 3 tries": "uid <uid> of <backup> after N tries",
	} {
		if got := b.normal(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestReadListTakesNull(t *testing.T) {
	next, err := readList(strings.NewReader(`{"items":null,"metadata":{"continue":"x"},"kind":"L"}`), func(backup) { t.Error("an item") })
	if err != nil || next != "x" {
		t.Errorf("%q, %v", next, err)
	}
}

// BenchmarkReadBackups measures what the prober pays for a list at the
// incident's size.
func BenchmarkReadBackups(b *testing.B) {
	const incident = 4422
	var all []string
	for i := range incident {
		all = append(all, realBackup(i))
	}
	text := listJSON("", all...)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		seen := said{}
		if _, err := readList(io.Reader(strings.NewReader(text)), func(item backup) { seen.add(item.state(), &item) }); err != nil {
			b.Fatal(err)
		}
	}
}

// realBackup is as large as a Pending one of v1.7.2, managed fields included.
func realBackup(i int) string {
	const padding = 900 // bytes of managedFields and empty status fields
	return fmt.Sprintf(`{"apiVersion":"longhorn.io/v1beta2","kind":"Backup","metadata":{"name":"backup-%d","creationTimestamp":"2025-01-02T03:04:05Z","finalizers":["longhorn.io"],"generation":1,
		"labels":{"backup-volume":"vol-001","blackout.managed":"true"},"managedFields":[{"fieldsV1":{"f:x":%q}}],"namespace":"longhorn-system","resourceVersion":"1","uid":"c45ea284-1eb2-4e08-92a2-b0c305216095"},
		"spec":{"snapshotName":"lost-%d","labels":null,"backupMode":"incremental"},"status":{"ownerID":"worker","state":"Pending","messages":{"info":"Failed to get the Snapshot lost-%d"}}}`,
		i, strings.Repeat("x", padding), i, i)
}
