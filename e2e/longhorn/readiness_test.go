package longhorn

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	managerImage  = "blackout/longhorn-manager:v1.7.2-abc"
	instanceImage = "blackout/longhorn-instance-manager:abc"
	engineImage   = "blackout/longhorn-engine:abc"
)

var (
	cut    = time.Date(2025, 1, 2, 3, 4, 5, int(700*time.Millisecond), time.UTC)
	before = cut.Add(-time.Minute)
	// sameSecond is at or after the cut, but the API tells times by the second.
	sameSecond = cut.Truncate(time.Second)
)

func pod(name, node, image string, started time.Time) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Image: image}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.0.0." + node[1:],
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}},
			}},
		},
	}
}

// says fails unless an answer holds a text; "" stands for nothing missing.
func says(t *testing.T, got, want string) {
	t.Helper()
	if (want == "") != (got == "") || !strings.Contains(got, want) {
		t.Errorf("missing is %q, want %q", got, want)
	}
}

// both nodes were restored at the moment of the cut.
var both = Restores{"n1": cut, "n2": cut}

func TestManagersMissing(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*appsv1.DaemonSet, []corev1.Pod)
		since  Restores
		want   string
	}{
		"ready":            {want: ""},
		"fresh enough":     {since: both, change: func(_ *appsv1.DaemonSet, p []corev1.Pod) { p[0] = pod("a", "n1", managerImage, sameSecond) }, want: ""},
		"from before":      {since: both, change: func(_ *appsv1.DaemonSet, p []corev1.Pod) { p[0] = pod("a", "n1", managerImage, before) }, want: "not yet updated on node n1"},
		"kept its power":   {since: Restores{"n2": cut}, change: func(_ *appsv1.DaemonSet, p []corev1.Pod) { p[0] = pod("a", "n1", managerImage, before) }, want: ""},
		"only it did not":  {since: Restores{"n1": cut}, change: func(_ *appsv1.DaemonSet, p []corev1.Pod) { p[0] = pod("a", "n1", managerImage, before) }, want: "not yet updated on node n1"},
		"another image":    {change: func(d *appsv1.DaemonSet, _ []corev1.Pod) { d.Spec.Template.Spec.Containers[0].Image = "x" }, want: "image x instead of"},
		"pod of old image": {change: func(_ *appsv1.DaemonSet, p []corev1.Pod) { p[1] = pod("b", "n2", "x", cut) }, want: "pod b runs image x"},
		"not observed":     {change: func(d *appsv1.DaemonSet, _ []corev1.Pod) { d.Generation = 2 }, want: "generation 2"},
		"rolling":          {change: func(d *appsv1.DaemonSet, _ []corev1.Pod) { d.Status.UpdatedNumberScheduled = 1 }, want: "1 of 2"},
		"node without":     {change: func(_ *appsv1.DaemonSet, p []corev1.Pod) { p[1].Spec.NodeName = "n9" }, want: "no pod on node n2"},
		"going":            {change: func(_ *appsv1.DaemonSet, p []corev1.Pod) { p[1].DeletionTimestamp = &metav1.Time{} }, want: "no pod on node n2"},
		"not ready":        {change: func(_ *appsv1.DaemonSet, p []corev1.Pod) { p[1].Status.Conditions = nil }, want: "pod b is not ready"},
		"not running": {since: both, change: func(_ *appsv1.DaemonSet, p []corev1.Pod) {
			p[1].Status.ContainerStatuses[0].State = corev1.ContainerState{}
		}, want: "pod b"},
	} {
		t.Run(name, func(t *testing.T) {
			ds := appsv1.DaemonSet{
				ObjectMeta: metav1.ObjectMeta{Generation: 1},
				Status:     appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2},
			}
			ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: ManagerName, Image: managerImage}}
			pods := []corev1.Pod{pod("a", "n1", managerImage, cut), pod("b", "n2", managerImage, cut)}
			if test.change != nil {
				test.change(&ds, pods)
			}
			says(t, managersMissing(ds, pods, []string{"n1", "n2"}, managerImage, test.since), test.want)
		})
	}
}

func TestEngineImageMissing(t *testing.T) {
	ready := func() EngineImage {
		return EngineImage{
			ObjectMeta: metav1.ObjectMeta{Name: "ei-1"}, Spec: EngineImageSpec{Image: engineImage},
			Status: EngineImageStatus{State: "deployed", NodeDeploymentMap: map[string]bool{"n1": true}},
		}
	}
	for name, test := range map[string]struct {
		change func(*EngineImage, *corev1.Pod)
		want   string
	}{
		"ready":        {func(*EngineImage, *corev1.Pod) {}, ""},
		"none":         {func(e *EngineImage, _ *corev1.Pod) { e.Spec.Image = "x" }, "no manager has created"},
		"deploying":    {func(e *EngineImage, _ *corev1.Pod) { e.Status.State = "deploying" }, `is "deploying"`},
		"incompatible": {func(e *EngineImage, _ *corev1.Pod) { e.Status.Incompatible = true }, "incompatible"},
		"not on node":  {func(e *EngineImage, _ *corev1.Pod) { e.Status.NodeDeploymentMap = nil }, "not on node n1"},
		"stale":        {func(_ *EngineImage, p *corev1.Pod) { *p = pod("p", "n1", engineImage, before) }, "no pod on node n1"},
		"stale pod": {func(_ *EngineImage, p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(before)
		}, "not yet updated"},
	} {
		t.Run(name, func(t *testing.T) {
			image, p := ready(), pod("p", "n1", engineImage, cut)
			p.Labels = map[string]string{labelEngineImage: "ei-1"}
			test.change(&image, &p)
			says(t, engineImageMissing([]EngineImage{image}, []corev1.Pod{p}, []string{"n1"}, engineImage, both), test.want)
		})
	}
}

func runningManager(name, node string) InstanceManager {
	return InstanceManager{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       InstanceManagerSpec{Image: instanceImage, NodeID: node, Type: "aio", DataEngine: "v1"},
		Status:     InstanceManagerStatus{CurrentState: "running", IP: "10.0.0." + node[1:]},
	}
}

func TestInstanceManagersMissing(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*InstanceManager, *corev1.Pod)
		want   string
	}{
		"ready":         {func(*InstanceManager, *corev1.Pod) {}, ""},
		"old image":     {func(im *InstanceManager, _ *corev1.Pod) { im.Spec.Image = "x" }, "no instance manager"},
		"not all":       {func(im *InstanceManager, _ *corev1.Pod) { im.Spec.Type = "engine" }, "no instance manager"},
		"another node":  {func(im *InstanceManager, _ *corev1.Pod) { im.Spec.NodeID = "n2" }, "node n1 has no"},
		"error":         {func(im *InstanceManager, _ *corev1.Pod) { im.Status.CurrentState = "error" }, `is "error"`},
		"no pod":        {func(_ *InstanceManager, p *corev1.Pod) { p.Name = "x" }, "has no pod"},
		"stale address": {func(im *InstanceManager, _ *corev1.Pod) { im.Status.IP = "10.0.0.9" }, "said to be at 10.0.0.9 but its pod is at 10.0.0.1"},
		"stale pod": {func(_ *InstanceManager, p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(before)
		}, "not yet updated"},
	} {
		t.Run(name, func(t *testing.T) {
			im, p := runningManager("im", "n1"), pod("im", "n1", instanceImage, cut)
			test.change(&im, &p)
			says(t, instanceManagersMissing([]InstanceManager{im}, []corev1.Pod{p}, []string{"n1"}, instanceImage, both), test.want)
		})
	}
}

func TestNodesMissing(t *testing.T) {
	is := func(kind, status string) Condition { return Condition{Type: kind, Status: status, Reason: "because"} }
	good := map[string]*DiskStatus{"d": {Conditions: []Condition{is("Ready", "True"), is("Schedulable", "True")}}}
	full := map[string]*DiskStatus{"d": {Conditions: []Condition{is("Ready", "True"), is("Schedulable", "False")}}}
	for name, test := range map[string]struct {
		ready, schedulable string
		disks              map[string]*DiskStatus
		want               string
	}{
		"ready":       {"True", "True", good, ""},
		"not ready":   {"False", "True", good, "not Ready: because"},
		"cordoned":    {"True", "False", good, "not Schedulable"},
		"no disk yet": {"True", "True", nil, "no manager has looked at a disk"},
		"full disk":   {"True", "True", full, "d is not schedulable"},
	} {
		t.Run(name, func(t *testing.T) {
			node := Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: NodeStatus{
				Conditions: []Condition{is("Ready", test.ready), is("Schedulable", test.schedulable)}, DiskStatus: test.disks,
			}}
			says(t, nodesMissing([]Node{node}, []string{"n1"}), test.want)
		})
	}
	says(t, nodesMissing(nil, []string{"n1"}), "does not know node n1")
}

func TestSettingsMissing(t *testing.T) {
	says(t, settingsMissing(Setting{Value: minimalAvailable}), "")
	says(t, settingsMissing(Setting{Value: "25"}), "did not accept ConfigMap")
}

func TestDescribePods(t *testing.T) {
	says(t, describePods(nil), "none exists")
	says(t, describePods([]corev1.Pod{pod("a", "n1", "i", cut)}), "all 1 are ready")
	crashing := pod("a", "n1", "i", cut)
	crashing.Status.Conditions = nil
	crashing.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "m", RestartCount: 3,
		State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1}},
	}}
	got := describePods([]corev1.Pod{crashing})
	for _, want := range []string{"a on n1", "CrashLoopBackOff", "ended 3 times", "exit 1"} {
		says(t, got, want)
	}
	many := make([]corev1.Pod, maxPods+2)
	says(t, describePods(many), "and 2 more")
}

func TestDescribeEvents(t *testing.T) {
	at := func(minute int, reason string) corev1.Event {
		return corev1.Event{Reason: reason, LastTimestamp: metav1.NewTime(cut.Add(time.Duration(minute) * time.Minute))}
	}
	var events []corev1.Event
	for i := range maxEvents + 1 {
		events = append(events, at(i, "r"+string(rune('0'+i))))
	}
	got := describeEvents(events)
	if strings.Contains(got, "r0") || strings.Index(got, "r5") > strings.Index(got, "r1") {
		t.Errorf("not the newest first: %s", got)
	}
	says(t, describeEvents(nil), "none")
}
