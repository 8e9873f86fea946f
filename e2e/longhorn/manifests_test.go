package longhorn

import (
	"errors"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var versions = []string{"v1.6.0", "v1.7.1", "v1.7.2", "v1.8.1"}

func release(version string) Release {
	return Release{
		Version: version, Manager: "blackout/longhorn-manager:" + version + "-abc",
		InstanceManager: "blackout/longhorn-instance-manager:abc", Engine: "blackout/longhorn-engine:abc",
		Placeholder: "blackout/none:none",
	}
}

// rendered decodes strictly: a field that a kind does not have is an error.
func rendered(t *testing.T, version string, controlPlaneToo bool) []runtime.Object {
	t.Helper()
	objects, err := renderInstall(release(version), mustFeatures(t, version), controlPlaneToo)
	if err != nil {
		t.Fatal(err)
	}
	return strict(t, objects)
}

func strict(t *testing.T, objects []*unstructured.Unstructured) []runtime.Object {
	t.Helper()
	decode := serializer.NewCodecFactory(clientscheme.Scheme, serializer.EnableStrict).UniversalDeserializer().Decode
	var typed []runtime.Object
	for _, object := range objects {
		data, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "{{") || strings.Contains(string(data), "<no value>") {
			t.Errorf("%s %s has an unreplaced placeholder: %s", object.GetKind(), object.GetName(), data)
		}
		if object.GetLabels()[LabelManaged] != "true" {
			t.Errorf("%s %s is not labelled as ours", object.GetKind(), object.GetName())
		}
		decoded, _, err := decode(data, nil, nil)
		if err != nil {
			t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
			continue
		}
		typed = append(typed, decoded)
	}
	return typed
}

func find[T any](t *testing.T, objects []runtime.Object, name string) *T {
	t.Helper()
	for _, object := range objects {
		if typed, ok := any(object).(*T); ok && object.(interface{ GetName() string }).GetName() == name {
			return typed
		}
	}
	t.Fatalf("no %T named %s", *new(T), name)
	return nil
}

func TestManagerDaemonSet(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			r := release(version)
			ds := find[appsv1.DaemonSet](t, rendered(t, version, false), ManagerName)
			manager := ds.Spec.Template.Spec.Containers[0]
			if manager.Name != ManagerName || manager.Image != r.Manager || manager.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("container is %s of %s, pulled %s", manager.Name, manager.Image, manager.ImagePullPolicy)
			}
			for flag, want := range map[string]string{
				"--manager-image": r.Manager, "--engine-image": r.Engine, "--instance-manager-image": r.InstanceManager,
				"--share-manager-image": r.Placeholder, "--backing-image-manager-image": r.Placeholder,
				"--support-bundle-manager-image": r.Placeholder, "--service-account": serviceAccount,
			} {
				at := slices.Index(manager.Command, flag)
				if at < 0 || manager.Command[at+1] != want {
					t.Errorf("%s is not %s in %q", flag, want, manager.Command)
				}
			}
			var env []string
			for _, e := range manager.Env {
				env = append(env, e.Name)
			}
			if want := []string{"POD_NAME", "POD_NAMESPACE", "POD_IP", "NODE_NAME"}; !slices.Equal(env, want) {
				t.Errorf("environment is %q", env)
			}
			if !*manager.SecurityContext.Privileged || manager.ReadinessProbe.HTTPGet.Port.IntValue() != 9501 {
				t.Error("manager is not privileged or is probed elsewhere")
			}
			at := slices.IndexFunc(manager.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "longhorn" })
			if at < 0 || *manager.VolumeMounts[at].MountPropagation != corev1.MountPropagationBidirectional {
				t.Error("mount longhorn is not bidirectional")
			}
		})
	}
}

func TestControlPlaneOnlyWithoutWorkers(t *testing.T) {
	workers := find[appsv1.DaemonSet](t, rendered(t, "v1.7.2", false), ManagerName).Spec.Template.Spec
	if len(workers.Tolerations) != 0 || workers.Affinity == nil {
		t.Error("managers would run on a control plane beside workers")
	}
	objects := rendered(t, "v1.7.2", true)
	alone := find[appsv1.DaemonSet](t, objects, ManagerName).Spec.Template.Spec
	if len(alone.Tolerations) != 1 || alone.Affinity != nil {
		t.Error("managers would not run on a lone control plane")
	}
	if settings := defaults(t, objects); settings["taint-toleration"] == "" {
		t.Error("engine image and instance managers would not run on a lone control plane")
	}
}

func defaults(t *testing.T, objects []runtime.Object) map[string]string {
	t.Helper()
	settings := map[string]string{} // what the manager decodes into
	data := find[corev1.ConfigMap](t, objects, "longhorn-default-setting").Data["default-setting.yaml"]
	if err := yaml.UnmarshalStrict([]byte(data), &settings); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return settings
}

func TestConfigMaps(t *testing.T) {
	for _, version := range versions {
		objects := rendered(t, version, false)
		settings := defaults(t, objects)
		if settings[minimalSetting] != minimalAvailable || settings["storage-reserved-percentage-for-default-disk"] != reserved {
			t.Errorf("%s: settings are %v", version, settings)
		}
		// Names that 1.8 does not know would void the file there.
		for name := range settings {
			if strings.HasPrefix(name, "backup") {
				t.Errorf("%s: setting %s", version, name)
			}
		}
		find[corev1.ConfigMap](t, objects, "longhorn-storageclass")
		has := slices.ContainsFunc(objects, func(o runtime.Object) bool {
			cm, ok := o.(*corev1.ConfigMap)
			return ok && cm.Name == "longhorn-default-resource"
		})
		if want := version == "v1.8.1"; has != want {
			t.Errorf("%s: has longhorn-default-resource: %v", version, has)
		}
	}
}

func TestServices(t *testing.T) {
	for _, version := range versions {
		objects := rendered(t, version, false)
		ports := find[appsv1.DaemonSet](t, objects, ManagerName).Spec.Template.Spec.Containers[0].Ports
		for name, port := range map[string]int32{
			"longhorn-backend": 9500, "longhorn-conversion-webhook": 9501,
			"longhorn-admission-webhook": 9502, "longhorn-recovery-backend": 9503,
		} {
			service := find[corev1.Service](t, objects, name)
			if service.Spec.Ports[0].Port != port {
				t.Errorf("%s: %s is at %d", version, name, service.Spec.Ports[0].Port)
			}
			target := service.Spec.Ports[0].TargetPort.String()
			if !slices.ContainsFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == target && p.ContainerPort == port }) {
				t.Errorf("%s: %s leads to %s, which no container has", version, name, target)
			}
			want := "app"
			if version != "v1.6.0" && name != "longhorn-backend" {
				want = "longhorn.io/" + strings.TrimPrefix(name, "longhorn-")
			}
			if len(service.Spec.Selector) != 1 || service.Spec.Selector[want] == "" {
				t.Errorf("%s: %s selects %v, not by %s", version, name, service.Spec.Selector, want)
			}
		}
	}
}

func TestImagesAreQuoted(t *testing.T) {
	r := release("v1.7.2")
	r.Placeholder = `a: "b"`
	objects, err := renderInstall(r, mustFeatures(t, r.Version), false)
	if err != nil {
		t.Fatal(err)
	}
	command := find[appsv1.DaemonSet](t, strict(t, objects), ManagerName).Spec.Template.Spec.Containers[0].Command
	if !slices.Contains(command, r.Placeholder) {
		t.Errorf("%q", command)
	}
}

func TestRenderStore(t *testing.T) {
	objects, err := renderStore("blackout/versitygw:abc", "access", "0123")
	if err != nil {
		t.Fatal(err)
	}
	typed := strict(t, objects)
	secret := find[corev1.Secret](t, typed, StoreNamespace)
	if secret.StringData[keyAccess] != "access" || secret.StringData[keySecret] != "0123" {
		t.Errorf("secret is %v", secret.StringData)
	}
	container := find[appsv1.Deployment](t, typed, StoreNamespace).Spec.Template.Spec.Containers[0]
	if container.Image != "blackout/versitygw:abc" || container.Ports[0].ContainerPort != storePort {
		t.Errorf("container is %+v", container)
	}
	if strings.Contains(strings.Join(container.Args, " "), "0123") {
		t.Error("the secret key is on the command line")
	}
	if port := find[corev1.Service](t, typed, StoreNamespace).Spec.Ports[0].Port; port != storePort {
		t.Errorf("service is at %d", port)
	}
}

func TestFeatures(t *testing.T) {
	for version, want := range map[string]features{
		"v1.6.0":     {},
		"v1.6.4-abc": {},
		"v1.7.0-rc1": {podLabels: true, backupMode: true},
		"v1.7.2":     {podLabels: true, backupMode: true},
		"v1.8.1":     {podLabels: true, backupMode: true, defaultResource: true, targetByName: true},
		"v1.10.0":    {podLabels: true, backupMode: true, defaultResource: true, targetByName: true},
	} {
		if got := mustFeatures(t, version); got != want {
			t.Errorf("%s: %+v, want %+v", version, got, want)
		}
	}
	for _, version := range []string{"", "1.7.2", "v1.5.0", "main"} {
		_, err := featuresOf(version)
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "v1.6, v1.7, v1.8") {
			t.Errorf("%q: error is %v", version, err)
		}
	}
}

func TestReleaseCheck(t *testing.T) {
	if err := release("v1.7.2").check(); err != nil {
		t.Error(err)
	}
	r := release("v1.7.2")
	r.Placeholder = ""
	if err := r.check(); err == nil || !strings.Contains(err.Error(), "Placeholder") {
		t.Errorf("error is %v", err)
	}
}

func TestUntried(t *testing.T) {
	for version, want := range map[string]bool{"v1.6.0": false, "v1.8.1": false, "v1.9.0": true, "v1.10.0": true} {
		if got := (Release{Version: version}).Untried(); got != want {
			t.Errorf("%s: untried is %t, want %t", version, got, want)
		}
	}
}
