package longhorn

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Each function here decides from objects alone. It returns what is missing in
// words for a person, or "" when nothing is.

func managersMissing(ds appsv1.DaemonSet, pods []corev1.Pod, nodes []string, image string, since Restores) string {
	for _, container := range ds.Spec.Template.Spec.Containers {
		if container.Name == ManagerName && container.Image != image {
			return fmt.Sprintf("the DaemonSet runs image %s instead of %s", container.Image, image)
		}
	}
	if ds.Status.ObservedGeneration != ds.Generation {
		return fmt.Sprintf("the DaemonSet's generation %d is not rolled out", ds.Generation)
	}
	if ds.Status.UpdatedNumberScheduled < ds.Status.DesiredNumberScheduled {
		return fmt.Sprintf("%d of %d managers are of the current generation", ds.Status.UpdatedNumberScheduled, ds.Status.DesiredNumberScheduled)
	}
	for _, node := range nodes {
		if missing := onNode(pods, node, image, since); missing != "" {
			return "manager: " + missing
		}
	}
	return ""
}

// onNode looks for a pod on a node that is ready, of an image, and fresh.
func onNode(pods []corev1.Pod, node, image string, since Restores) string {
	missing := "no pod on node " + node
	for i := range pods {
		if pods[i].Spec.NodeName != node || pods[i].DeletionTimestamp != nil {
			continue
		}
		if missing = podMissing(&pods[i], image, since); missing == "" {
			return ""
		}
		missing += " on node " + node
	}
	return missing
}

func podMissing(pod *corev1.Pod, image string, since Restores) string {
	if got := pod.Spec.Containers[0].Image; got != image {
		return fmt.Sprintf("pod %s runs image %s instead of %s", pod.Name, got, image)
	}
	if !isReady(pod) {
		return fmt.Sprintf("pod %s is not ready (%s)", pod.Name, podState(pod))
	}
	if started, restored := startedAt(pod), since[pod.Spec.NodeName]; !fresh(started, restored) {
		return fmt.Sprintf("pod %s says it runs since %s, before %s: not yet updated", pod.Name,
			started.UTC().Format(time.TimeOnly), restored.UTC().Format(time.TimeOnly))
	}
	return ""
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// startedAt is when the pod's oldest running container started; the zero time
// when one does not run.
func startedAt(pod *corev1.Pod) time.Time {
	var oldest time.Time
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Running == nil {
			return time.Time{}
		}
		if started := status.State.Running.StartedAt.Time; oldest.IsZero() || started.Before(oldest) {
			oldest = started
		}
	}
	return oldest
}

// fresh compares by the second, as finely as the API tells times.
func fresh(at, since time.Time) bool {
	return since.IsZero() || !at.Before(since.Truncate(time.Second))
}

// settingsMissing finds out whether the ConfigMap of defaults was taken: one
// entry that a version dislikes and it is dropped as a whole, in silence.
func settingsMissing(setting Setting) string {
	if setting.Value != minimalAvailable {
		return fmt.Sprintf("setting %s is %s instead of %s: the manager did not accept ConfigMap longhorn-default-setting, its log says why",
			minimalSetting, setting.Value, minimalAvailable)
	}
	return ""
}

func engineImageMissing(images []EngineImage, pods []corev1.Pod, nodes []string, image string, since Restores) string {
	for _, found := range images {
		if found.Spec.Image != image {
			continue
		}
		switch status := found.Status; {
		case status.Incompatible:
			return fmt.Sprintf("engine image %s is incompatible with the manager: pair other versions", image)
		case status.State != ImageDeployed:
			return fmt.Sprintf("engine image %s is %q: %s", image, status.State, condition(status.Conditions, "ready").Message)
		}
		for _, node := range nodes {
			if !found.Status.NodeDeploymentMap[node] {
				return fmt.Sprintf("engine image %s is not on node %s", image, node)
			}
			if missing := onNode(carrying(pods, labelEngineImage, found.Name), node, image, since); missing != "" {
				return "engine image: " + missing
			}
		}
		return ""
	}
	return "no manager has created an engine image for " + image
}

func carrying(pods []corev1.Pod, label, value string) []corev1.Pod {
	var found []corev1.Pod
	for _, pod := range pods {
		if pod.Labels[label] == value {
			found = append(found, pod)
		}
	}
	return found
}

func instanceManagersMissing(all []InstanceManager, pods []corev1.Pod, nodes []string, image string, since Restores) string {
	for _, node := range nodes {
		missing := "node " + node + " has no instance manager of image " + image
		for _, im := range all {
			if im.Spec.NodeID != node || im.Spec.Image != image || im.Spec.Type != AllInOne || im.Spec.DataEngine == "v2" {
				continue
			}
			if missing = instanceManagerMissing(im, pods, since); missing == "" {
				break
			}
		}
		if missing != "" {
			return missing
		}
	}
	return ""
}

// instanceManagerMissing trusts the object only together with its pod of the
// same name: equal addresses show that a manager has seen this very pod.
func instanceManagerMissing(im InstanceManager, pods []corev1.Pod, since Restores) string {
	if im.Status.CurrentState != InstanceRunning {
		return fmt.Sprintf("instance manager %s on node %s is %q", im.Name, im.Spec.NodeID, im.Status.CurrentState)
	}
	for i := range pods {
		pod := &pods[i]
		if pod.Name != im.Name || pod.DeletionTimestamp != nil {
			continue
		}
		if missing := podMissing(pod, im.Spec.Image, since); missing != "" {
			return "instance manager: " + missing
		}
		if pod.Status.PodIP != im.Status.IP {
			return fmt.Sprintf("instance manager %s is said to be at %s but its pod is at %s", im.Name, im.Status.IP, pod.Status.PodIP)
		}
		return ""
	}
	return fmt.Sprintf("instance manager %s on node %s has no pod", im.Name, im.Spec.NodeID)
}

func nodesMissing(all []Node, names []string) string {
	byName := map[string]Node{}
	for _, node := range all {
		byName[node.Name] = node
	}
	for _, name := range names {
		node, found := byName[name]
		if !found {
			return "Longhorn does not know node " + name
		}
		for _, kind := range []string{"Ready", "Schedulable"} {
			if c := condition(node.Status.Conditions, kind); c.Status != conditionTrue {
				return fmt.Sprintf("Longhorn's node %s is not %s: %s %s", name, kind, c.Reason, c.Message)
			}
		}
		if missing := disksMissing(node); missing != "" {
			return missing
		}
	}
	return ""
}

func disksMissing(node Node) string {
	missing := []string{"no manager has looked at a disk"}
	if len(node.Status.DiskStatus) > 0 {
		missing = nil
	}
	for name, disk := range node.Status.DiskStatus {
		schedulable := condition(disk.Conditions, "Schedulable")
		if ready := condition(disk.Conditions, "Ready"); ready.Status != conditionTrue {
			missing = append(missing, fmt.Sprintf("%s is not ready: %s", name, ready.Message))
		} else if schedulable.Status != conditionTrue {
			missing = append(missing, fmt.Sprintf("%s is not schedulable: %s", name, schedulable.Message))
		} else {
			return "" // one is enough
		}
	}
	return fmt.Sprintf("node %s has no disk for replicas: %s", node.Name, strings.Join(missing, "; "))
}
