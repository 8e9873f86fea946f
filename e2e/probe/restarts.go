package probe

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"blackout/e2e/history"
)

const oomKilled = "OOMKilled"

// ooms holds, for each container of each pod, the ended containers that ran out
// of memory. Kubernetes shows the last end only; of two between two looks one is
// missed, so the count is the least there were.
type ooms map[container]map[string]bool

type container struct{ uid, name string }

// samples gives restarts and OOM kills of every container of Longhorn's pods.
// The incarnation has the restarts that it stands for.
func (o ooms) samples(pods []corev1.Pod, at time.Time) []history.Sample {
	var samples []history.Sample
	current := map[container]bool{}
	for _, pod := range pods {
		subject := subjectOf(pod.Labels)
		for _, status := range pod.Status.ContainerStatuses {
			key := container{string(pod.UID), status.Name}
			current[key] = true
			o.note(key, status.State.Terminated)
			o.note(key, status.LastTerminationState.Terminated)
			who := history.Incarnation{
				Pod: pod.Name, UID: key.uid, Container: status.Name, Restarts: int(status.RestartCount), Node: pod.Spec.NodeName,
			}
			for series, value := range map[string]int{history.RestartCount: who.Restarts, history.OOMKills: len(o[key])} {
				s := census(at, series, subject, float64(value))
				s.Incarnation = who
				samples = append(samples, s)
			}
		}
	}
	maps.DeleteFunc(o, func(key container, _ map[string]bool) bool { return !current[key] })
	return samples
}

func (o ooms) note(key container, end *corev1.ContainerStateTerminated) {
	if end == nil || end.Reason != oomKilled {
		return
	}
	if o[key] == nil {
		o[key] = map[string]bool{}
	}
	o[key][end.ContainerID] = true
}

// tally counts by name. Names that are known beforehand are counted as zero when
// a whole list has none of them: that was seen.
type tally map[string]int

func newTally(known []string) tally {
	t := tally{}
	for _, name := range known {
		t[name] = 0
	}
	return t
}

func (t tally) add(name string) { t[name]++ }

func (t tally) samples(at time.Time, series string) []history.Sample {
	var samples []history.Sample
	for _, name := range slices.Sorted(maps.Keys(t)) {
		samples = append(samples, census(at, series, name, float64(t[name])))
	}
	return samples
}
