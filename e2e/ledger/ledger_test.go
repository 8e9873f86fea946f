package ledger

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
)

// fakeAPI is a fake API server that knows ConfigMaps and can lose its power.
type fakeAPI struct {
	mu    sync.Mutex
	dark  bool
	names map[string]string // ConfigMap to writer
	last  string
	posts int
	// removed: the namespace is gone.
	removed bool
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dark {
		http.Error(w, "no power", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writer := strings.TrimPrefix(r.URL.Query().Get("labelSelector"), labelWriter+"=")
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/configmaps"):
		var object corev1.ConfigMap
		_ = json.NewDecoder(r.Body).Decode(&object)
		f.names[object.Name], f.last = object.Labels[labelWriter], object.Name
		f.posts++
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(object)
	case r.Method == http.MethodGet:
		list := corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{Kind: "ConfigMapList", APIVersion: "v1"}}
		for name, by := range f.names {
			if by == writer {
				list.Items = append(list.Items, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}})
			}
		}
		_ = json.NewEncoder(w).Encode(list)
	case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/configmaps"):
		for name, by := range f.names {
			if by == writer {
				delete(f.names, name)
			}
		}
		_ = json.NewEncoder(w).Encode(metav1.Status{Status: metav1.StatusSuccess})
	case r.Method == http.MethodDelete && f.removed:
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
	case r.Method == http.MethodDelete:
		f.removed = true
		_ = json.NewEncoder(w).Encode(metav1.Status{Status: metav1.StatusSuccess})
	default: // the namespace
		_ = json.NewEncoder(w).Encode(corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}})
	}
}

// written is how many ConfigMaps of each writer there are, of the writer with
// fewest.
func (f *fakeAPI) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	by := map[string]int{}
	for _, writer := range f.names {
		by[writer]++
	}
	least := by["0"]
	for i := range writers {
		least = min(least, by[strconv.Itoa(i)])
	}
	return least
}

func (f *fakeAPI) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.posts
}

func (f *fakeAPI) cut(lose bool) (lost string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dark = true
	if lose {
		lost = f.last
		delete(f.names, lost)
	}
	return lost
}

func (f *fakeAPI) restore() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dark = false
}

// jsonConfig leads to the fake, which reads no protobuf.
func jsonConfig(url string) *rest.Config {
	return &rest.Config{Host: url, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

type events struct {
	mu  sync.Mutex
	all []history.Event
}

func (e *events) Event(event history.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
	return nil
}

func (e *events) sum(field string) (sum int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		n, _ := strconv.Atoi(event.Fields[field])
		sum += n
	}
	return sum
}

func TestLedger(t *testing.T) {
	for name, lose := range map[string]bool{"keeps what it acknowledged": false, "loses an acknowledged write": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			api, sink := &fakeAPI{names: map[string]string{}}, &events{}
			server := httptest.NewServer(api)
			defer server.Close()
			l := New(jsonConfig(server.URL), "r1", sink, scenario.Timeouts{Poll: 10 * time.Millisecond})
			g.Expect(l.Begin(t.Context())).To(Succeed())
			g.Eventually(api.written).WithTimeout(10 * time.Second).Should(BeNumerically(">=", 3))
			lost := api.cut(lose)
			g.Consistently(func() int { return sink.sum(history.FieldAcknowledged) }).WithTimeout(300*time.Millisecond).Should(BeZero(), "nobody can look without power")
			api.restore()
			g.Eventually(func() int { return sink.sum(history.FieldAcknowledged) }).WithTimeout(10 * time.Second).Should(BeNumerically(">=", 3*writers))
			before, posts := sink.sum(history.FieldAcknowledged), api.count()
			g.Eventually(api.count).WithTimeout(10*time.Second).Should(BeNumerically(">", posts+2), "it goes on after it has looked")
			g.Expect(l.End()).To(Succeed())
			g.Expect(sink.sum(history.FieldAcknowledged)).To(BeNumerically(">", before), "and looks for the last ones in the end")
			if !lose {
				g.Expect(sink.sum(history.FieldLost)).To(BeZero())
				return
			}
			g.Expect(sink.sum(history.FieldLost)).To(Equal(1))
			g.Expect(sink.all).To(ContainElement(HaveField("Fields", HaveKeyWithValue(history.FieldFirst, lost))))
		})
	}
}

func TestLedgerGivesUpWithItsRun(t *testing.T) {
	g := NewWithT(t)
	api := &fakeAPI{names: map[string]string{}}
	server := httptest.NewServer(api)
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	l := New(jsonConfig(server.URL), "r1", &events{}, scenario.Timeouts{Poll: 10 * time.Millisecond})
	g.Expect(l.Begin(ctx)).To(Succeed())
	g.Eventually(api.written).WithTimeout(10 * time.Second).Should(BeNumerically(">=", 1))
	api.cut(false)
	stop()
	g.Expect(l.End()).To(MatchError(ContainSubstring("acknowledged writes")))
	g.Expect(l.End()).To(Succeed(), "twice is no error")
}

func TestRemoveWaitsForTheAPIServer(t *testing.T) {
	g := NewWithT(t)
	api := &fakeAPI{names: map[string]string{}, dark: true}
	server := httptest.NewServer(api)
	defer server.Close()
	l := New(jsonConfig(server.URL), "r1", &events{}, scenario.Timeouts{Poll: 10 * time.Millisecond})
	removed := make(chan error, 1)
	go func() { removed <- l.Remove(t.Context()) }()
	g.Consistently(removed).WithTimeout(200*time.Millisecond).ShouldNot(Receive(), "nobody can remove without power")
	api.restore()
	g.Eventually(removed).WithTimeout(10 * time.Second).Should(Receive(BeNil()))
	g.Expect(api.removed).To(BeTrue())
	g.Expect(l.Remove(t.Context())).To(Succeed(), "what is gone is no error")

	api.cut(false)
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	g.Expect(l.Remove(ctx)).To(MatchError(ContainSubstring("delete it by hand")))
}
