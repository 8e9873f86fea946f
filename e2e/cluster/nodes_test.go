package cluster

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func address(kind corev1.NodeAddressType, value string) corev1.NodeAddress {
	return corev1.NodeAddress{Type: kind, Address: value}
}

func condition(kind corev1.NodeConditionType, status corev1.ConditionStatus) corev1.NodeCondition {
	return corev1.NodeCondition{Type: kind, Status: status}
}

func TestFromAPI(t *testing.T) {
	g := NewWithT(t)
	g.Expect(fromAPI(corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{controlPlaneLabel: ""}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{
				address(corev1.NodeHostName, "a"), address(corev1.NodeInternalIP, "10.0.0.1"), address(corev1.NodeInternalIP, "fd00::1"),
			},
			Conditions: []corev1.NodeCondition{
				condition(corev1.NodeReady, corev1.ConditionTrue), condition(corev1.NodeDiskPressure, corev1.ConditionFalse),
			},
		},
	})).To(Equal(Node{Name: "a", Role: ControlPlane, Address: "10.0.0.1", Ready: true}))

	// A node that has just registered, or whose kubelet went silent, is not Ready.
	g.Expect(fromAPI(corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "b"}})).To(Equal(Node{Name: "b", Role: Worker}))
	for _, status := range []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionUnknown} {
		node := corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			condition(corev1.NodeReady, status), condition(corev1.NodeMemoryPressure, corev1.ConditionTrue),
		}}}
		g.Expect(fromAPI(node).Ready).To(BeFalse(), string(status))
	}
}
