package longhorn

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/semver"
)

// Release is one version of Longhorn together with the images that run it.
type Release struct {
	// Version is a semantic version with its "v"; whatever follows the patch
	// (v1.7.2-mine) is taken as that minor line.
	Version string
	// Manager, InstanceManager and Engine are image references as the nodes'
	// container runtime knows them.
	Manager, InstanceManager, Engine string
	// Placeholder is an image reference for components that never start here
	// but whose flags must not be empty. It is not pulled.
	Placeholder string
	// ManagerMemory is the memory limit of each manager's container, such as 256Mi;
	// none if empty.
	ManagerMemory string
	// CRDs is k8s/crds.yaml of that version's longhorn-manager module.
	CRDs []byte
}

// TriedLines are the minor lines that the manifests and the objects created here
// were tried with. Newer ones are installed like the newest of them.
var TriedLines = []string{"v1.6", "v1.7", "v1.8"}

// ErrUnsupported marks a version that nothing here knows how to install.
var ErrUnsupported = errors.New("longhorn version is not supported")

// features says how a version differs from its predecessors.
type features struct {
	podLabels       bool // managers label their pods when a webhook is up (1.7)
	backupMode      bool // a backup has a mode (1.7)
	defaultResource bool // ConfigMap longhorn-default-resource is read (1.8)
	targetByName    bool // several backup targets; no Settings for one (1.8)
}

func featuresOf(version string) (features, error) {
	line := semver.MajorMinor(version)
	if line == "" || semver.Compare(line, TriedLines[0]) < 0 {
		return features{}, fmt.Errorf("%w: %q; choose one of the lines %s or a newer one, written like v1.7.2",
			ErrUnsupported, version, strings.Join(TriedLines, ", "))
	}
	atLeast := func(first string) bool { return semver.Compare(line, first) >= 0 }
	return features{
		podLabels:       atLeast("v1.7"),
		backupMode:      atLeast("v1.7"),
		defaultResource: atLeast("v1.8"),
		targetByName:    atLeast("v1.8"),
	}, nil
}

// check says what a release lacks before anything is sent to a cluster.
func (r Release) check() error {
	for _, field := range []struct{ name, value string }{
		{"Manager", r.Manager}, {"InstanceManager", r.InstanceManager},
		{"Engine", r.Engine}, {"Placeholder", r.Placeholder},
	} {
		if field.value == "" {
			return fmt.Errorf("release %s names no %s image; the manager refuses to start with an empty one", r.Version, field.name)
		}
	}
	return nil
}

// Untried tells whether the release is of a line newer than any that the harness
// was tried with, which a report must say.
func (r Release) Untried() bool {
	return semver.Compare(semver.MajorMinor(r.Version), TriedLines[len(TriedLines)-1]) > 0
}
