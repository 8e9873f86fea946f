package longhorn

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
)

const (
	// maxPods and maxEvents keep an error readable on one screen.
	maxPods   = 8
	maxEvents = 5
	maxText   = 200 // bytes of one event's or container's message
)

// explain adds to an error what the cluster says about Longhorn's pods, which
// the error's own context may no longer have time for.
func (s *System) explain(ctx context.Context, err error, limit string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeouts.APICall)
	defer cancel()
	var pods corev1.PodList
	if listing := s.list(ctx, "pods", &pods); listing != nil {
		return fmt.Errorf("%w; the pods could not be asked: %w", err, listing)
	}
	var events corev1.EventList
	if listing := s.list(ctx, "events", &events, resources.WithFieldSelector("type="+corev1.EventTypeWarning)); listing != nil {
		events.Items = nil // the pods say most of it
	}
	return fmt.Errorf("%w\npods: %s\nlast warnings: %s\nread the logs of the pods named here; if they only were slow, raise %s",
		err, describePods(pods.Items), describeEvents(events.Items), limit)
}

// describePods lists the pods that are not ready, or says that all are.
func describePods(pods []corev1.Pod) string {
	var lines []string
	for i := range pods {
		if pod := &pods[i]; !isReady(pod) {
			lines = append(lines, fmt.Sprintf("%s on %s: %s", pod.Name, pod.Spec.NodeName, podState(pod)))
		}
	}
	switch {
	case len(pods) == 0:
		return "none exists"
	case len(lines) == 0:
		return fmt.Sprintf("all %d are ready", len(pods))
	}
	slices.Sort(lines)
	if hidden := len(lines) - maxPods; hidden > 0 {
		lines = append(lines[:maxPods], fmt.Sprintf("and %d more", hidden))
	}
	return strings.Join(lines, "; ")
}

// podState says in a few words how a pod is.
func podState(pod *corev1.Pod) string {
	words := []string{string(pod.Status.Phase)}
	if pod.Status.Reason != "" {
		words = append(words, pod.Status.Reason)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			words = append(words, short(c.Message))
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		if waiting := status.State.Waiting; waiting != nil {
			words = append(words, fmt.Sprintf("%s waits: %s %s", status.Name, waiting.Reason, short(waiting.Message)))
		}
		if ended := status.LastTerminationState.Terminated; ended != nil {
			words = append(words, fmt.Sprintf("%s ended %d times, last with %s (exit %d) %s",
				status.Name, status.RestartCount, ended.Reason, ended.ExitCode, short(ended.Message)))
		}
	}
	return strings.TrimSpace(strings.Join(words, ", "))
}

// describeEvents gives the newest warnings, newest first.
func describeEvents(events []corev1.Event) string {
	slices.SortFunc(events, func(a, b corev1.Event) int { return eventTime(b).Compare(eventTime(a)) })
	var lines []string
	for _, event := range events[:min(len(events), maxEvents)] {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s", event.InvolvedObject.Kind, event.InvolvedObject.Name, event.Reason, short(event.Message)))
	}
	if len(lines) == 0 {
		return "none"
	}
	return strings.Join(lines, "; ")
}

// eventTime is when an event last happened; which field says so depends on who
// reported it.
func eventTime(event corev1.Event) time.Time {
	if event.LastTimestamp.IsZero() {
		return event.EventTime.Time
	}
	return event.LastTimestamp.Time
}

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxText {
		return strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}
