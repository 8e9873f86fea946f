package probe

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"blackout/e2e/history"
)

// fakeAPI answers paths with canned JSON, or as told.
type fakeAPI struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]http.HandlerFunc
	asked   map[string][]string // queries by path
}

const (
	longhornAPI = "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/"
	podsPath    = "/api/v1/namespaces/longhorn-system/pods"
	nodesPath   = "/api/v1/nodes"
	statsPath   = "/api/v1/nodes/worker/proxy/stats/summary"
)

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := &fakeAPI{answers: map[string]http.HandlerFunc{}, asked: map[string][]string{}}
	f.Server = serve(t, f)
	return f
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	answer := f.answers[r.URL.Path]
	f.asked[r.URL.Path] = append(f.asked[r.URL.Path], r.URL.RawQuery)
	f.mu.Unlock()
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

func (f *fakeAPI) on(path string, answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = answer
}

func (f *fakeAPI) queries(path string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}
}

func object(t *testing.T, value any) http.HandlerFunc {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return body(string(data))
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func broken(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "etcdserver: request timed out", http.StatusInternalServerError)
}

func (f *fakeAPI) link(t *testing.T) *link {
	t.Helper()
	l, err := newLink(&rest.Config{Host: f.URL})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var startedAt = time.Now().Add(-10 * time.Minute).Truncate(time.Second)

// pod of Longhorn whose one container runs.
func pod(name, subject string, restarts int32) corev1.Pod {
	labels := map[string]string{labelComponent: subject}
	if subject == history.ManagerSubject {
		labels = map[string]string{labelApp: subject}
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "worker"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: subject, RestartCount: restarts,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(startedAt)}},
		}}},
	}
}

func podList(pods ...corev1.Pod) corev1.PodList {
	return corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: pods}
}

func nodeList(ready ...bool) corev1.NodeList {
	list := corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}}
	for _, r := range ready {
		status := corev1.ConditionUnknown
		if r {
			status = corev1.ConditionTrue
		}
		list.Items = append(list.Items, corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}}})
	}
	return list
}

func TestConnectionsAreNewAfterAReset(t *testing.T) {
	api := newFakeAPI(t)
	answer := object(t, podList())
	var callers []string // by the address of their connection
	api.on(podsPath, func(w http.ResponseWriter, r *http.Request) {
		callers = append(callers, r.RemoteAddr)
		answer(w, r)
	})
	l := api.link(t)
	ask := func() {
		if _, err := l.get().listPods(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	ask()
	if err := l.replace(&rest.Config{Host: api.URL}); err != nil {
		t.Fatal(err)
	}
	ask()
	if callers[0] != callers[1] {
		t.Error("connections are not kept: this shows nothing")
	}
	if callers[1] == callers[2] {
		t.Error("the connection of before the blackout is used again")
	}
}

func TestCensusGoesOnWhenTheServerComesBack(t *testing.T) {
	api := newFakeAPI(t)
	api.on(podsPath, object(t, podList()))
	l := api.link(t)
	if _, err := l.get().listPods(t.Context()); err != nil {
		t.Fatal(err)
	}
	address := api.Listener.Addr().String()
	api.CloseClientConnections()
	api.Close()
	if _, err := l.get().listPods(t.Context()); err == nil {
		t.Fatal("an answer from nobody")
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("somebody took %s meanwhile: %v", address, err)
	}
	again := &httptest.Server{Listener: listener, Config: &http.Server{Handler: api, ReadHeaderTimeout: time.Second}}
	again.Start()
	defer again.Close()
	if _, err := l.get().listPods(t.Context()); err != nil {
		t.Errorf("not after it came back: %v", err)
	}
}
