package power

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func TestAPIServer(t *testing.T) {
	g := NewWithT(t)
	reported := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	renewed := reported.Add(1500 * time.Microsecond)
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "wa"}, Status: corev1.NodeStatus{
		NodeInfo:  corev1.NodeSystemInfo{BootID: "b1"},
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "wa"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.3"}},
		Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue},
			{Type: corev1.NodeReady, Status: corev1.ConditionFalse, LastHeartbeatTime: metav1.NewTime(reported), Reason: "KubeletNotReady", Message: "no CNI"},
		},
	}}
	lease := coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "wa"}}
	lease.Spec.RenewTime = &metav1.MicroTime{Time: renewed}
	answers := map[string]any{
		"/api/v1/nodes": corev1.NodeList{Items: []corev1.Node{node, {ObjectMeta: metav1.ObjectMeta{Name: "wb"}}}},
		"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases": coordinationv1.LeaseList{Items: []coordinationv1.Lease{lease}},
	}
	ready, connections := true, atomic.Int32{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && !ready {
			http.Error(w, "etcd failed", http.StatusInternalServerError)
			return
		}
		if answer, ok := answers[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()

	api, err := NewAPI(&rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(api.Ready(t.Context())).To(Succeed())
	g.Expect(api.Ready(t.Context())).To(Succeed())
	g.Expect(connections.Load()).To(BeEquivalentTo(2), "a connection from before a cut is never asked")
	ready = false
	g.Expect(api.Ready(t.Context())).To(MatchError(ContainSubstring("etcd failed")))

	statuses, err := api.Nodes(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(statuses).To(HaveLen(2))
	g.Expect(statuses[0].Heartbeat).To(BeTemporally("==", reported))
	g.Expect(statuses[0].Renewed).To(BeTemporally("==", renewed.Truncate(time.Microsecond)))
	statuses[0].Heartbeat, statuses[0].Renewed = time.Time{}, time.Time{}
	g.Expect(statuses[0]).To(Equal(NodeStatus{Name: "wa", Address: "10.0.0.3", Reason: "KubeletNotReady: no CNI", BootID: "b1"}))
	g.Expect(statuses[1]).To(Equal(NodeStatus{Name: "wb", Reason: "it has no Ready condition"}), "no lease is no evidence")

	server.Close()
	g.Expect(api.Ready(t.Context())).NotTo(Succeed())
}
