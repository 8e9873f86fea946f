package existing

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

const uid = "0b1c2d3e-0000-4000-8000-000000000001"

// fakeAPI is a fake API server that knows one namespace and three nodes, and
// remembers what it was asked.
type fakeAPI struct {
	mu    sync.Mutex
	asked []string
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	answers := map[string]string{
		"/api":                           `{"kind":"APIVersions","versions":["v1"]}`,
		"/apis":                          `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`,
		"/api/v1":                        `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"namespaces","namespaced":false,"kind":"Namespace","verbs":["get"]},{"name":"nodes","namespaced":false,"kind":"Node","verbs":["list"]}]}`,
		"/api/v1/namespaces/kube-system": `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"` + uid + `"}}`,
		"/api/v1/nodes":                  `{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"b"},"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.2"}]}},{"metadata":{"name":"c"}},{"metadata":{"name":"a","labels":{"node-role.kubernetes.io/control-plane":""}}}]}`,
	}
	answer, ok := answers[r.URL.Path]
	if !ok || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNotFound)
		answer = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
	}
	_, _ = w.Write([]byte(answer))
}

func (f *fakeAPI) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// kubeconfig has two contexts: "lab" leads to the server, the current one to
// nowhere.
func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `apiVersion: v1
kind: Config
current-context: production
clusters:
- {name: lab, cluster: {server: "` + server + `"}}
- {name: production, cluster: {server: "http://127.0.0.1:1"}}
users:
- {name: nobody, user: {}}
contexts:
- {name: lab, context: {cluster: lab, user: nobody}}
- {name: production, context: {cluster: production, user: nobody}}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNewRefusesWhatIsNotNamed(t *testing.T) {
	g := NewWithT(t)
	_, err := New(Spec{SystemUID: uid}, scenario.Timeouts{})
	g.Expect(err).To(MatchError(ContainSubstring("give one")))
	_, err = New(Spec{Context: "lab"}, scenario.Timeouts{})
	g.Expect(err).To(MatchError(ContainSubstring("kubectl --context lab get namespace kube-system")))
	_, err = New(Spec{Context: "lab", SystemUID: uid}, scenario.Timeouts{})
	g.Expect(err).NotTo(HaveOccurred())
}

func provider(t *testing.T, spec Spec) *Provider {
	t.Helper()
	p, err := New(spec, scenario.Timeouts{APICall: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCreateAdoptsTheClusterOfThatUID(t *testing.T) {
	g := NewWithT(t)
	api := &fakeAPI{}
	server := httptest.NewServer(api)
	defer server.Close()
	p := provider(t, Spec{Kubeconfig: kubeconfig(t, server.URL), Context: "lab", SystemUID: uid})
	c, err := p.Create(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Name()).To(Equal("lab"))
	g.Expect(c.Capabilities()).To(Equal(cluster.Capabilities{}), "the API and nothing below it")
	g.Expect(c.Nodes(t.Context())).To(Equal([]cluster.Node{{Name: "a", Role: cluster.ControlPlane}, {Name: "b", Role: cluster.Worker, Address: "192.0.2.2"}, {Name: "c", Role: cluster.Worker}}))
	g.Expect(api.asked).To(HaveEach(HavePrefix("GET ")), "adopting changes nothing")

	before := api.count()
	g.Expect(p.Destroy(t.Context())).To(Succeed())
	dir := t.TempDir()
	g.Expect(p.ExportLogs(t.Context(), dir)).To(Succeed())
	g.Expect(os.ReadDir(dir)).To(BeEmpty())
	g.Expect(api.count()).To(Equal(before), "Destroy asks nothing of a cluster that is not ours")
}

func TestCreateRefusesAnotherCluster(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(&fakeAPI{})
	defer server.Close()
	p := provider(t, Spec{Kubeconfig: kubeconfig(t, server.URL), Context: "lab", SystemUID: "another"})
	c, err := p.Create(t.Context())
	g.Expect(err).To(MatchError(And(ContainSubstring("leads to another cluster"), ContainSubstring("nothing was done"))))
	g.Expect(c).To(BeNil())
	// The UID that would pass must not be told: it is the user's proof.
	g.Expect(err.Error()).NotTo(ContainSubstring(uid))
}

func TestCreateNeverTakesAnotherContext(t *testing.T) {
	g := NewWithT(t)
	api := &fakeAPI{}
	server := httptest.NewServer(api)
	defer server.Close()
	p := provider(t, Spec{Kubeconfig: kubeconfig(t, server.URL), Context: "gone", SystemUID: uid})
	_, err := p.Create(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring(`"gone"`)))
	p = provider(t, Spec{Kubeconfig: filepath.Join(t.TempDir(), "none"), Context: "lab", SystemUID: uid})
	_, err = p.Create(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring(`"lab"`)))
	g.Expect(api.count()).To(BeZero())
}

func TestCreateSaysThatTheClusterDoesNotAnswer(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	p := provider(t, Spec{Kubeconfig: kubeconfig(t, server.URL), Context: "lab", SystemUID: uid})
	_, err := p.Create(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring(`context "lab"`)))
}

func TestOpenReadsTheKubeconfigAnew(t *testing.T) {
	g := NewWithT(t)
	first, second := &fakeAPI{}, &fakeAPI{}
	server := httptest.NewServer(first)
	path := kubeconfig(t, server.URL)
	p := provider(t, Spec{Kubeconfig: path, Context: "lab", SystemUID: uid})
	_, err := p.Create(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	server.Close()
	_, err = p.Open()
	g.Expect(err).To(MatchError(ContainSubstring(`context "lab"`)), "nobody answers")

	moved := httptest.NewServer(second)
	defer moved.Close()
	before := first.count()
	g.Expect(os.Rename(kubeconfig(t, moved.URL), path)).To(Succeed())
	c, err := p.Open()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Nodes(t.Context())).To(HaveLen(3))
	g.Expect(first.count()).To(Equal(before))
	g.Expect(second.count()).To(BeNumerically(">", 0))

	p.spec.SystemUID = "another"
	_, err = p.Open()
	g.Expect(err).To(MatchError(ContainSubstring("leads to another cluster")), "the kubeconfig may have come to lead elsewhere")
}

func TestConnectionsAreNotShared(t *testing.T) {
	g := NewWithT(t)
	p := provider(t, Spec{Kubeconfig: kubeconfig(t, "https://192.0.2.1"), Context: "lab", SystemUID: uid})
	config, err := p.config()
	g.Expect(err).NotTo(HaveOccurred())
	one, err := rest.TransportFor(config)
	g.Expect(err).NotTo(HaveOccurred())
	other, err := rest.TransportFor(config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(one).NotTo(BeIdenticalTo(other), "after a blackout the old ones are dead and not known to be")
}
