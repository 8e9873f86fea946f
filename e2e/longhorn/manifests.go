package longhorn

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/e2e-framework/klient/decoder"
	"sigs.k8s.io/e2e-framework/klient/k8s"

	"blackout/fixtures/manifests"
)

const (
	// Namespace is where Longhorn lives. Its CRDs and its certificates name it,
	// so no other will do.
	Namespace = "longhorn-system"
	// LabelManaged is on every object that the harness applied.
	LabelManaged = "blackout.managed"
	// LabelVersion is the Longhorn version that an object was applied for.
	LabelVersion = "blackout.longhorn-version"
	// ManagerName is the DaemonSet, its container and its pods' label "app".
	ManagerName = "longhorn-manager"

	priorityClass  = "longhorn-critical"
	serviceAccount = "longhorn-service-account"

	// kind's disks are small and shared with the host: with the defaults (25 and
	// 30 percent) a full host makes every disk unschedulable.
	minimalAvailable  = "1" // percent
	reserved          = "0" // percent
	minimalSetting    = "storage-minimal-available-percentage"
	instanceCPU       = "5" // percent of a node's CPU asked for by an instance manager
	conversionService = "longhorn-conversion-webhook"
	conversionPort    = int64(9501)
	conversionPath    = "/v1/webhook/conversion"
)

// webhook is a server inside the manager that a Service leads to.
type webhook struct {
	Service, Label, PortName string
	Port                     int64
}

var webhooks = []webhook{
	{conversionService, "longhorn.io/conversion-webhook", "conversion-wh", conversionPort},
	{"longhorn-admission-webhook", "longhorn.io/admission-webhook", "admission-wh", 9502},
	{"longhorn-recovery-backend", "longhorn.io/recovery-backend", "recov-backend", 9503},
}

// installValues is what the templates below longhorn/ may use.
type installValues struct {
	Release                                        Release
	Namespace, PriorityClass, ServiceAccount       string
	MinimalAvailable, Reserved, InstanceManagerCPU string
	PodLabels, DefaultResource, ControlPlaneToo    bool
	Webhooks                                       []webhook
}

// renderInstall makes the objects of one release, in the order to apply them.
func renderInstall(r Release, f features, controlPlaneToo bool) ([]*unstructured.Unstructured, error) {
	return render("longhorn", installValues{
		Release: r, Namespace: Namespace, PriorityClass: priorityClass, ServiceAccount: serviceAccount,
		MinimalAvailable: minimalAvailable, Reserved: reserved, InstanceManagerCPU: instanceCPU,
		PodLabels: f.podLabels, DefaultResource: f.defaultResource, ControlPlaneToo: controlPlaneToo,
		Webhooks: webhooks,
	}, managedLabels(r.Version))
}

func managedLabels(version string) map[string]string {
	return map[string]string{LabelManaged: "true", LabelVersion: version}
}

// render fills every template of one directory, in order of their names.
func render(dir string, values any, labels map[string]string) ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(manifests.FS, dir+"/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("find manifests in %s: %w", dir, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("find manifests in %s: there are none; rebuild with fixtures/manifests complete", dir)
	}
	var all []*unstructured.Unstructured
	for _, name := range names {
		text, err := fs.ReadFile(manifests.FS, name)
		if err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", name, err)
		}
		parsed, err := template.New(name).Option("missingkey=error").
			Funcs(template.FuncMap{"quote": quote}).Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("parse manifest %s: %w", name, err)
		}
		var filled bytes.Buffer
		if err := parsed.Execute(&filled, values); err != nil {
			return nil, fmt.Errorf("fill in manifest %s: %w", name, err)
		}
		objects, err := decodeAll(&filled, labels)
		if err != nil {
			return nil, fmt.Errorf("decode manifest %s: %w", name, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// quote writes a YAML string that cannot be read as anything else.
func quote(value string) (string, error) {
	data, err := json.Marshal(value)
	return string(data), err
}

// decodeAll splits a stream of YAML documents. They stay unstructured: a typed
// object would claim, under server-side apply, fields that the YAML leaves open.
func decodeAll(stream io.Reader, labels map[string]string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	documents := yaml.NewYAMLReader(bufio.NewReader(stream))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) == 0 { // comments only
			continue
		}
		if err := decoder.Decode(bytes.NewReader(document), object, decoder.MutateOption(addLabels(labels))); err != nil {
			return nil, err
		}
		all = append(all, object)
	}
}

// addLabels does what decoder.MutateLabels means to: that one changes the copy
// of its labels which an unstructured object hands out.
func addLabels(labels map[string]string) decoder.MutateFunc {
	return func(object k8s.Object) error {
		all := object.GetLabels()
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, labels)
		object.SetLabels(all)
		return nil
	}
}

// prepareCRDs reads k8s/crds.yaml and makes it apply as it is: the conversion
// webhook there is a placeholder (1.6 and one CRD of 1.7 name port 9443, where
// nothing listens), and no CA is known before the manager has made one.
func prepareCRDs(data []byte, labels map[string]string) ([]*unstructured.Unstructured, error) {
	all, err := decodeAll(bytes.NewReader(data), labels)
	if err != nil {
		return nil, fmt.Errorf("decode the CRDs: %w; take k8s/crds.yaml of that version's longhorn-manager", err)
	}
	found := map[string]bool{}
	for _, crd := range all {
		if crd.GetKind() != "CustomResourceDefinition" {
			return nil, fmt.Errorf("the CRDs hold a %s %q; take k8s/crds.yaml of that version's longhorn-manager", crd.GetKind(), crd.GetName())
		}
		found[crd.GetName()] = true
		unstructured.RemoveNestedField(crd.Object, "status")
		unstructured.RemoveNestedField(crd.Object, "metadata", "creationTimestamp")
		if err := setConversion(crd); err != nil {
			return nil, fmt.Errorf("set the conversion webhook of %s: %w", crd.GetName(), err)
		}
	}
	for _, plural := range usedPlurals {
		if name := plural + "." + GroupVersion.Group; !found[name] {
			return nil, fmt.Errorf("the CRDs lack %s; take k8s/crds.yaml of that version's longhorn-manager", name)
		}
	}
	return all, nil
}

// usedPlurals are the kinds that types.go has.
var usedPlurals = []string{
	"volumes", "volumeattachments", "engines", "replicas", "snapshots", "backups",
	"backuptargets", "instancemanagers", "engineimages", "nodes", "settings",
}

func setConversion(crd *unstructured.Unstructured) error {
	strategy, _, err := unstructured.NestedString(crd.Object, "spec", "conversion", "strategy")
	if err != nil || strategy != "Webhook" {
		return err
	}
	// Replaced as a whole, and without caBundle: under server-side apply a field
	// left out stays as the manager has set it.
	return unstructured.SetNestedMap(crd.Object, map[string]any{
		"service": map[string]any{
			"namespace": Namespace, "name": conversionService,
			"path": conversionPath, "port": conversionPort,
		},
	}, "spec", "conversion", "webhook", "clientConfig")
}
