package images

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

const (
	// oldestLonghorn that the installer knows how to run.
	oldestLonghorn = "v1.6.0"
	managerModules = "longhorn-manager"
)

// ValidateVersion refuses what is no release of Longhorn that Blackout can run.
func ValidateVersion(version string) error {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return fmt.Errorf("longhorn version %q is not of the form v1.7.2", version)
	}
	if semver.Compare(version, oldestLonghorn) < 0 {
		return fmt.Errorf("longhorn %s is older than %s, the oldest that Blackout runs", version, oldestLonghorn)
	}
	return nil
}

// Buildable lists the versions that have a pinned module, oldest first.
func Buildable(fixtures string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(fixtures, managerModules))
	if err != nil {
		return nil, fmt.Errorf("list the pinned longhorn-manager modules: %w", err)
	}
	var versions []string
	for _, entry := range entries {
		if semver.IsValid(entry.Name()) {
			versions = append(versions, entry.Name())
		}
	}
	slices.SortFunc(versions, semver.Compare)
	return versions, nil
}

func buildable(version, fixtures string) error {
	versions, err := Buildable(fixtures)
	if err != nil {
		return err
	}
	if slices.Contains(versions, version) {
		return nil
	}
	return fmt.Errorf("longhorn %s cannot be built here: without an image registry only %s can (pinned in %s); "+
		"choose one of them, or run where the released images can be pulled",
		version, strings.Join(versions, ", "), filepath.Join("fixtures", managerModules))
}
