package existing

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"blackout/e2e/workspace"
)

const (
	namespacePrefix = "blackout-power-"
	containerName   = "sysrq"
	orderVolume     = "order"
	orderPath       = "/" + orderVolume + "/at"
)

// script waits to be told a second, then acts at it. A container that starts
// again after the reboot, or is told too late, does not.
const script = `at=
while [ -z "$at" ]; do sleep 1; read -r at < ` + orderPath + `; done 2>/dev/null
left=$((at - $(date +%%s) - 1))
[ "$left" -le 0 ] || sleep "$left"
while [ "$(date +%%s)" -lt "$at" ]; do :; done
[ "$(date +%%s)" -lt $((at + %d)) ] || exit 1
echo %s > %s
`

func podName(t target) string { return containerName + "-" + t.Name }

func namespaceOf(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		workspace.LabelManaged: "true", "pod-security.kubernetes.io/enforce": "privileged",
	}}}
}

func (s *sysrqSwitch) podOn(t target) *corev1.Pod {
	yes, no, never := true, false, int64(0)
	longest := int64((s.Timeout.Duration + lead + late) / time.Second) // an orphan ends by itself
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName(t), Labels: map[string]string{workspace.LabelManaged: "true"}},
		Spec: corev1.PodSpec{
			NodeName:                      t.Name,
			HostPID:                       true,
			RestartPolicy:                 corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         &longest,
			TerminationGracePeriodSeconds: &never,
			AutomountServiceAccountToken:  &no,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name:            containerName,
				Image:           s.Image,
				ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{"sh", "-c", fmt.Sprintf(script, late/time.Second, s.letter(), s.triggerPath)},
				SecurityContext: &corev1.SecurityContext{Privileged: &yes},
				VolumeMounts:    []corev1.VolumeMount{{Name: orderVolume, MountPath: "/" + orderVolume}},
			}},
			Volumes: []corev1.Volume{{Name: orderVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
}
