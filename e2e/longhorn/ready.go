package longhorn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/e2e-framework/klient/k8s"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
)

const (
	// PprofPort is where a manager serves net/http/pprof, on 127.0.0.1 only. It
	// is the last thing that a manager starts.
	PprofPort = 6060

	pprofPath         = "/debug/pprof/cmdline" // the cheapest of its pages
	validatingWebhook = "longhorn-webhook-validator"
	mutatingWebhook   = "longhorn-webhook-mutator"
	dryRunVolume      = "blackout-dry-run"

	labelApp         = "app"
	labelComponent   = "longhorn.io/component"
	labelEngineImage = "longhorn.io/engine-image"
	instanceManager  = "instance-manager"
)

// Restores says when each node was last given its power. One that is not in it
// kept its power: its kubelet went on reporting, and its processes need not be new.
type Restores map[string]time.Time

// WaitReady returns once Longhorn really works on every eligible node: managers
// of the release's image that finished starting, an admission webhook that
// answers, the engine binary in place, an instance manager running and a disk
// that takes replicas. On a node that was restored only containers that started
// since then count: what Longhorn's objects say just after a blackout is what was
// true before it.
func (s *System) WaitReady(ctx context.Context, since Restores) error {
	if err := s.WaitManagers(ctx, since); err != nil {
		return err
	}
	return s.awaitDataPlane(ctx, since, s.settingsMissing, s.engineImageMissing, s.instanceManagersMissing, s.nodesMissing, s.volumeAdmissionMissing)
}

// WaitManagers is the first part of WaitReady: managers that finished starting,
// and an admission webhook that answers.
func (s *System) WaitManagers(ctx context.Context, since Restores) error {
	if err := s.until(ctx, s.timeouts.ManagersReady, "Longhorn's managers", func(ctx context.Context) (string, error) {
		return firstMissing(ctx, since, s.managersMissing, s.webhookMissing, s.startUpMissing)
	}); err != nil {
		return s.explain(ctx, err, "Timeouts.ManagersReady")
	}
	return nil
}

// WaitInstanceManagers returns once every eligible node has the engine binary and
// an instance manager that runs.
func (s *System) WaitInstanceManagers(ctx context.Context, since Restores) error {
	return s.awaitDataPlane(ctx, since, s.engineImageMissing, s.instanceManagersMissing)
}

// look says what is missing, or "".
type look = func(context.Context, Restores) (string, error)

func (s *System) awaitDataPlane(ctx context.Context, since Restores, looks ...look) error {
	if err := s.until(ctx, s.timeouts.DataPlaneReady, "Longhorn's data plane", func(ctx context.Context) (string, error) {
		return firstMissing(ctx, since, looks...)
	}); err != nil {
		return s.explain(ctx, err, "Timeouts.DataPlaneReady")
	}
	return nil
}

// firstMissing asks in order and stops at the first answer that is not "nothing".
func firstMissing(ctx context.Context, since Restores, looks ...look) (string, error) {
	for _, ask := range looks {
		if missing, err := ask(ctx, since); missing != "" || err != nil {
			return missing, err
		}
	}
	return "", nil
}

func (s *System) managersMissing(ctx context.Context, since Restores) (string, error) {
	names, _, err := s.eligible(ctx)
	if err != nil {
		return "", err
	}
	var ds appsv1.DaemonSet
	if err := s.api.Get(ctx, ManagerName, Namespace, &ds); apierrors.IsNotFound(err) {
		return "", fmt.Errorf("longhorn is not installed: %w; call Install first", err)
	} else if err != nil {
		return "", fmt.Errorf("get DaemonSet %s: %w", ManagerName, err)
	}
	pods, err := s.pods(ctx, labelApp+"="+ManagerName)
	if err != nil {
		return "", err
	}
	return managersMissing(ds, pods, names, s.release.Manager, since), nil
}

// webhookMissing lets the API server call the admission webhook for an object
// that is not stored. That it is not stored would prove nothing if no webhook
// were registered, so that is looked at first.
func (s *System) webhookMissing(ctx context.Context, _ Restores) (string, error) {
	var validating admissionv1.ValidatingWebhookConfiguration
	var mutating admissionv1.MutatingWebhookConfiguration
	for name, config := range map[string]k8s.Object{validatingWebhook: &validating, mutatingWebhook: &mutating} {
		if err := s.api.Get(ctx, name, "", config); apierrors.IsNotFound(err) {
			return "no manager has registered " + name, nil
		} else if err != nil {
			return "", fmt.Errorf("get webhook configuration %s: %w", name, err)
		}
	}
	setting := &Setting{ObjectMeta: named(minimalSetting), Value: minimalAvailable}
	err := s.api.Create(ctx, setting, dryRun)
	if err == nil || apierrors.IsAlreadyExists(err) { // storage is asked after admission
		return "", nil
	}
	return "the admission webhook does not let a valid setting pass: " + err.Error(), nil
}

func dryRun(o *metav1.CreateOptions) { o.DryRun = []string{metav1.DryRunAll} }

// startUpMissing asks every manager for a page of the server that it starts
// last: the pod's own readiness probe answers long before the controllers run.
func (s *System) startUpMissing(ctx context.Context, _ Restores) (string, error) {
	pods, err := s.pods(ctx, labelApp+"="+ManagerName)
	if err != nil {
		return "", err
	}
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil || s.absent[pod.Spec.NodeName] {
			continue
		}
		if err := s.askPprof(ctx, pod.Name); err != nil {
			return fmt.Sprintf("manager %s on %s has not finished starting: %v", pod.Name, pod.Spec.NodeName, err), nil
		}
	}
	return "", nil
}

func (s *System) askPprof(ctx context.Context, pod string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeouts.APICall)
	defer cancel()
	tunnel, err := Forward(ctx, s.config, Namespace, pod, PprofPort)
	if err != nil {
		return err
	}
	defer tunnel.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+tunnel.Addr+pprofPath, nil)
	if err != nil {
		return err
	}
	// A client of its own: a pooled connection would belong to a dead tunnel.
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

func (s *System) settingsMissing(ctx context.Context, _ Restores) (string, error) {
	var setting Setting
	if err := s.api.Get(ctx, minimalSetting, Namespace, &setting); apierrors.IsNotFound(err) {
		return "setting " + minimalSetting + " does not exist", nil
	} else if err != nil {
		return "", fmt.Errorf("get setting %s: %w", minimalSetting, err)
	}
	return settingsMissing(setting), nil
}

func (s *System) engineImageMissing(ctx context.Context, since Restores) (string, error) {
	names, _, err := s.eligible(ctx)
	if err != nil {
		return "", err
	}
	var images EngineImageList
	if err := s.list(ctx, "engine images", &images); err != nil {
		return "", err
	}
	pods, err := s.pods(ctx, labelEngineImage)
	if err != nil {
		return "", err
	}
	return engineImageMissing(images.Items, pods, names, s.release.Engine, since), nil
}

func (s *System) instanceManagersMissing(ctx context.Context, since Restores) (string, error) {
	names, _, err := s.eligible(ctx)
	if err != nil {
		return "", err
	}
	all, pods, err := s.instanceManagers(ctx)
	if err != nil {
		return "", err
	}
	return instanceManagersMissing(all, pods, names, s.release.InstanceManager, since), nil
}

func (s *System) instanceManagers(ctx context.Context) ([]InstanceManager, []corev1.Pod, error) {
	var all InstanceManagerList
	if err := s.list(ctx, "instance managers", &all); err != nil {
		return nil, nil, err
	}
	pods, err := s.pods(ctx, labelComponent+"="+instanceManager)
	return all.Items, pods, err
}

func (s *System) nodesMissing(ctx context.Context, _ Restores) (string, error) {
	names, _, err := s.eligible(ctx)
	if err != nil {
		return "", err
	}
	var nodes NodeList
	if err := s.list(ctx, "Longhorn nodes", &nodes); err != nil {
		return "", err
	}
	return nodesMissing(nodes.Items, names), nil
}

// volumeAdmissionMissing proves that a volume would be accepted now: the webhook
// refuses one while the engine image's version is unknown.
func (s *System) volumeAdmissionMissing(ctx context.Context, _ Restores) (string, error) {
	volume := newVolume(dryRunVolume, VolumeSet{Size: dryRunSize, Replicas: 1}, s.features)
	if err := s.api.Create(ctx, volume, dryRun); err != nil && !apierrors.IsAlreadyExists(err) {
		return "a volume would be refused: " + err.Error(), nil
	}
	return "", nil
}

// list fills a list of Longhorn's namespace.
func (s *System) list(ctx context.Context, what string, into k8s.ObjectList, options ...resources.ListOption) error {
	if err := s.api.List(ctx, into, options...); err != nil {
		return fmt.Errorf("list %s: %w", what, err)
	}
	return nil
}

func (s *System) pods(ctx context.Context, selector string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := s.list(ctx, "pods with "+selector, &pods, resources.WithLabelSelector(selector)); err != nil {
		return nil, err
	}
	return pods.Items, nil
}
