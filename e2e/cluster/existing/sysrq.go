package existing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// sysrqSwitch lets each node's own kernel end itself, by a pod that waits there
// until all of them are ready.
type sysrqSwitch struct {
	Sysrq
	dial   dialer
	poll   time.Duration
	recall func() (record, error)
	change func(func(*record)) error
	// api connects to the confirmed cluster, exec runs a command in a pod.
	api  func(ctx context.Context) (kubernetes.Interface, error)
	exec func(ctx context.Context, namespace, pod string, command ...string) (string, error)
	// Tests set these two: no test may end the kernel it runs on.
	triggerPath string // in the pod
	bootIDPath  string // of this machine
}

const (
	// apiLook bounds a call that may find the API server without power.
	apiLook = 5 * time.Second
	// lead is from the order to the time at which all act. All orders must have
	// arrived by then.
	lead = 5 * time.Second
	// late is how long after that time a pod may still act: never after a reboot.
	late = 5 * time.Second
	// clockTolerance of what a node's clock, read by the second, may differ from
	// this machine's.
	clockTolerance = 2 * time.Second
)

func newSysrqSwitch(p *Provider) *sysrqSwitch {
	return &sysrqSwitch{
		Sysrq: p.spec.Power.Sysrq, dial: p.dial, poll: p.timeouts.Poll, recall: p.recall, change: p.change, api: p.session, exec: p.execIn,
		triggerPath: "/proc/sysrq-trigger", bootIDPath: "/proc/sys/kernel/random/boot_id",
	}
}

// session is a connection of its own to the cluster that was confirmed.
func (p *Provider) session(ctx context.Context) (kubernetes.Interface, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	api, err := cluster.Unpooled(config, config.Timeout)
	if err != nil {
		return nil, fmt.Errorf("connect to context %q: %w", p.spec.Context, err)
	}
	system, err := api.CoreV1().Namespaces().Get(ctx, systemNamespace, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read namespace %s of context %q: %w", systemNamespace, p.spec.Context, err)
	}
	return api, p.confirm(system)
}

func (p *Provider) execIn(ctx context.Context, namespace, pod string, command ...string) (string, error) {
	config, err := p.config()
	if err != nil {
		return "", err
	}
	r, err := resources.New(config)
	if err != nil {
		return "", fmt.Errorf("connect to context %q: %w", p.spec.Context, err)
	}
	var stdout, stderr bytes.Buffer
	if err := r.ExecInPod(ctx, namespace, pod, containerName, command, &stdout, &stderr); err != nil {
		return "", fmt.Errorf("run %s in pod %s: %w: %s", quoted(command), pod, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// admit refuses nodes that run on the kernel that this process runs on: it would
// end this machine.
func (s *sysrqSwitch) admit(ctx context.Context, targets []target) error {
	raw, err := os.ReadFile(s.bootIDPath)
	own := strings.TrimSpace(string(raw))
	if err != nil || own == "" {
		return fmt.Errorf("read this machine's boot id, so that its own kernel is spared: %q: %w", own, err)
	}
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	for i, t := range targets {
		node, err := api.CoreV1().Nodes().Get(ctx, t.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read the boot id of node %s: %w", t.Name, err)
		}
		switch targets[i].BootID = node.Status.NodeInfo.BootID; targets[i].BootID {
		case "":
			return fmt.Errorf("node %s tells no boot id, so it may run on this machine's kernel: use the command switch for it", t.Name)
		case own:
			return fmt.Errorf("node %s runs on the kernel of this machine (boot id %s, as nodes of kind do): sysrq would take this machine down; use the command switch for it", t.Name, own)
		}
	}
	return nil
}

// arm makes a pod on each node and returns when all are ready to be told the time.
func (s *sysrqSwitch) arm(ctx context.Context, targets []target) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout.Duration, fmt.Errorf("not within %s (sysrq.timeout)", s.Timeout))
	defer cancel()
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	const suffix = 5
	namespace := namespacePrefix + rand.String(suffix)
	if err := s.change(func(r *record) { r.Namespaces = append(r.Namespaces, namespace) }); err != nil {
		return err
	}
	if _, err := api.CoreV1().Namespaces().Create(ctx, namespaceOf(namespace), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make namespace %s: %w", namespace, err)
	}
	return cluster.All(targets, func(_ int, t target) error { return s.ready(ctx, api, namespace, t) })
}

// ready makes one pod and returns when commands run in it and its clock is right.
func (s *sysrqSwitch) ready(ctx context.Context, api kubernetes.Interface, namespace string, t target) error {
	pods := api.CoreV1().Pods(namespace)
	name, missing := podName(t), "it was not made yet"
	err := wait.PollUntilContextCancel(ctx, s.poll, true, func(ctx context.Context) (bool, error) {
		now, err := pods.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			now, err = pods.Create(ctx, s.podOn(t), metav1.CreateOptions{})
		}
		if apierrors.IsForbidden(err) { // also while the namespace has no service account yet
			missing = err.Error()
			return false, nil
		}
		if err != nil {
			return false, err
		}
		missing = notReady(now)
		return missing == "", nil
	})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("node %s: wait for pod %s/%s: %w: %s", t.Name, namespace, name, err, missing)
	}
	out, err := s.exec(ctx, namespace, name, "date", "+%s")
	if err != nil {
		return fmt.Errorf("node %s: %w", t.Name, err)
	}
	seconds, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		return fmt.Errorf("node %s: read its clock: %w", t.Name, err)
	}
	if off := time.Since(time.Unix(seconds, 0)); off.Abs() > clockTolerance {
		return fmt.Errorf("node %s: its clock is %s behind this machine's, and all nodes act at one time: set the clocks", t.Name, off.Round(time.Second))
	}
	return nil
}

// fire tells all pods the same second, at which each acts by its node's clock.
func (s *sysrqSwitch) fire(ctx context.Context, targets []target) error {
	r, err := s.recall()
	if err != nil {
		return err
	}
	namespace := r.Namespaces[len(r.Namespaces)-1]
	at := time.Now().Add(lead).Truncate(time.Second)
	if err := s.change(func(r *record) { r.Armed = at.Add(late) }); err != nil {
		return err
	}
	told, cancel := context.WithDeadlineCause(ctx, at, errors.New("not told in time; the others may act"))
	defer cancel()
	err = cluster.All(targets, func(_ int, t target) error {
		if _, err := s.exec(told, namespace, podName(t), "sh", "-c", fmt.Sprintf("echo %d > %s", at.Unix(), orderPath)); err != nil {
			return fmt.Errorf("tell node %s when to end: %w", t.Name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return scenario.Pass(ctx, time.Until(at))
}

func (s *sysrqSwitch) give(ctx context.Context, t target) error {
	if s.Trigger == TriggerReboot {
		return nil
	}
	return runFor(ctx, s.Timeout.Duration, s.On, t)
}

// look also asks for the boot id, where a node answers: it tells a kernel that
// has ended from one that was out of reach for a while.
func (s *sysrqSwitch) look(ctx context.Context, t target) sight {
	seen := lookAtPort(ctx, s.dial, t.Address)
	if seen.state != on || t.BootID == "" {
		return seen
	}
	ctx, cancel := context.WithTimeout(ctx, apiLook)
	defer cancel()
	id, err := s.bootID(ctx, t.Name)
	switch {
	case err != nil:
		seen.evidence += "; its boot id cannot be asked for: " + err.Error()
	case id == t.BootID:
		seen.boot = sameBoot
		seen.evidence += "; boot id " + id + " as before the cut"
	default:
		seen.boot = nextBoot
		seen.evidence += fmt.Sprintf("; boot id was %s, is %s", t.BootID, id)
	}
	return seen
}

func (s *sysrqSwitch) bootID(ctx context.Context, node string) (string, error) {
	api, err := s.api(ctx)
	if err != nil {
		return "", err
	}
	n, err := api.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return n.Status.NodeInfo.BootID, nil
}

// disarm removes the pods at once: nobody confirms the end of one whose node is
// dead.
func (s *sysrqSwitch) disarm(ctx context.Context) error {
	r, err := s.recall()
	if err != nil || len(r.Namespaces) == 0 {
		return err
	}
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	for _, namespace := range r.Namespaces {
		now := int64(0)
		err := api.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{LabelSelector: workspace.LabelManaged})
		if err == nil {
			err = api.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove namespace %s: %w", namespace, err)
		}
	}
	return s.change(func(r *record) { r.Namespaces = nil })
}

func (s *sysrqSwitch) tell(t target) string {
	what := fmt.Sprintf("a privileged pod of image %s writes %q to %s", s.Image, s.letter(), s.triggerPath)
	seen := "the silence of port " + kubeletPort + " of the node, or another boot id"
	if s.Trigger == TriggerReboot {
		return fmt.Sprintf("%s: its kernel reboots at once, without sync; it returns by itself, so that an outage lasts no longer than that takes; seen by: %s; each within %s", what, seen, s.Timeout)
	}
	return fmt.Sprintf("%s: it powers off at once, without sync; on: %s; seen by: %s; each within %s", what, quoted(fill(s.On, t)), seen, s.Timeout)
}

func (s *sysrqSwitch) letter() string {
	if s.Trigger == TriggerPowerOff {
		return "o"
	}
	return "b"
}

var _ source = (*sysrqSwitch)(nil)

func notReady(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil {
			return fmt.Sprintf("its container waits: %s %s", c.State.Waiting.Reason, c.State.Waiting.Message)
		}
		if c.State.Terminated != nil {
			return fmt.Sprintf("its container ended with %d: %s", c.State.Terminated.ExitCode, c.State.Terminated.Reason)
		}
		if c.Ready {
			return ""
		}
	}
	return fmt.Sprintf("it is %s %s %s", pod.Status.Phase, pod.Status.Reason, pod.Status.Message)
}
