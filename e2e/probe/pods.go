package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"blackout/e2e/history"
	"blackout/e2e/longhorn"
)

const (
	labelApp       = "app"
	labelComponent = "longhorn.io/component"
	// fromCache lets the API server answer from its watch cache: no read of
	// etcd, whose disk is what a storm of writes is short of.
	fromCache = "0"
)

// errGone marks a pod that is not there any more.
var errGone = errors.New("the pod is gone")

// life is one container of interest in one incarnation.
type life struct {
	subject     string
	incarnation history.Incarnation
	started     time.Time
	running     bool
	state       string // in words, when it does not run
}

func (l life) gapSubject() string { return PodSubject(l.subject, l.incarnation.Pod) }

// subjectOf names what a Longhorn pod is one of.
func subjectOf(labels map[string]string) string {
	if labels[labelApp] == longhorn.ManagerName {
		return history.ManagerSubject
	}
	if component := labels[labelComponent]; component != "" {
		return component // "instance-manager" for what history calls so
	}
	if app := labels[labelApp]; app != "" {
		return app
	}
	return "other"
}

// lives lists the containers of interest of a list of pods: in each manager and
// instance manager the one container that bears its name. Pods on their way out
// are left out.
func lives(pods []corev1.Pod) []life {
	var all []life
	for i := range pods {
		subject := subjectOf(pods[i].Labels)
		if subject != history.ManagerSubject && subject != history.InstanceManagerSubject || pods[i].DeletionTimestamp != nil {
			continue
		}
		all = append(all, lifeOf(&pods[i], subject))
	}
	return all
}

func lifeOf(pod *corev1.Pod, subject string) life {
	l := life{subject: subject, state: "phase " + string(pod.Status.Phase), incarnation: history.Incarnation{
		Pod: pod.Name, UID: string(pod.UID), Container: subject, Node: pod.Spec.NodeName,
	}}
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name != subject {
			continue
		}
		l.incarnation.Restarts = int(status.RestartCount)
		switch state := status.State; {
		case state.Running != nil:
			l.running, l.started = true, state.Running.StartedAt.Time
		case state.Waiting != nil:
			l.state = "container waits: " + state.Waiting.Reason
		case state.Terminated != nil:
			l.state = "container ended: " + state.Terminated.Reason
		}
	}
	return l
}

// listPods lists Longhorn's pods.
func (c *connection) listPods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := c.core.CoreV1().Pods(longhorn.Namespace).List(ctx, metav1.ListOptions{ResourceVersion: fromCache})
	if err != nil {
		return nil, fmt.Errorf("list longhorn's pods: %w", err)
	}
	return list.Items, nil
}

// lives lists what there is of Longhorn's processes.
func (c *connection) lives(ctx context.Context) ([]life, error) {
	found, err := c.listPods(ctx)
	if err != nil {
		c.dropIfOver(ctx)
		return nil, err
	}
	return lives(found), nil
}

// livesWithin is lives with a limit, and an error that says so.
func (c *connection) livesWithin(ctx context.Context, limit time.Duration) ([]life, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	all, err := c.lives(ctx)
	return all, because(ctx, err)
}

// split sorts the lives of some subjects into those that run and, as misses,
// those that do not. A subject of which there is nothing at all is a miss of its
// own.
func split(all []life, into *harvest, subjects ...string) (running []life) {
	found := map[string]bool{}
	for _, l := range all {
		switch {
		case !slices.Contains(subjects, l.subject):
			continue
		case l.running:
			running = append(running, l)
		default:
			into.miss(l.gapSubject(), errors.New(l.state))
		}
		found[l.subject] = true
	}
	for _, subject := range subjects {
		if !found[subject] {
			into.miss(subject, errors.New("there is no pod"))
		}
	}
	return running
}

// shorten makes one line of a text, with a limit in bytes.
func shorten(text string, limit int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}
