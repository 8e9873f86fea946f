package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"blackout/e2e/images"
	"blackout/e2e/workspace"
)

const (
	// moduleProbe bounds the question to the module proxy, fallbacks included.
	moduleProbe = 30 * time.Second
	// processGrace is what children of a killed command get to close its output.
	processGrace = time.Second

	mkfs       = "mkfs.ext4"
	firstBuild = "25-40 minutes the first time"
)

// causes turns what clients print into words of our own, the more specific
// first: their messages name servers, which a report that gets passed on should
// not.
var causes = []struct{ sign, says string }{
	{"goproxy=off", "GOPROXY is off"},
	{"no such host", "its name does not resolve"},
	{"server misbehaving", "its name does not resolve"},
	{"connection refused", "the connection is refused"},
	{"network is unreachable", "the network is unreachable"},
	{"no route to host", "the network is unreachable"},
	{"deadline exceeded", "no answer in time"},
	{"timeout", "no answer in time"},
	{"timed out", "no answer in time"},
	{"certificate", "its certificate is not trusted"},
	{"too many requests", "it refuses for now: too many requests"},
	{"unauthorized", "it refuses access"},
	{"forbidden", "it refuses access"},
	{"denied", "it refuses access"},
	{"not found", "it does not have what was asked for"},
	{"gone", "it does not have what was asked for"},
}

func cause(err error) string {
	text := strings.ToLower(err.Error())
	for _, c := range causes {
		if strings.Contains(text, c.sign) {
			return c.says
		}
	}
	return "the request failed"
}

func checkRegistry(s sources, by caller) Check {
	c := Check{Name: "registry"}
	switch {
	case s.registry == nil:
		c.Status, c.Found = OK, "an image registry answers"
		return c
	case errors.Is(s.registry, context.Canceled):
		c.Status, c.Found = Unknown, "the question was interrupted"
		c.Means, c.Do = "without a registry everything is compiled", "ask again"
		return c
	}
	c.Status, c.Found = Warn, "no image registry answers: "+cause(s.registry)
	c.Means = "everything is compiled from Go modules and Debian packages, " + firstBuild
	switch {
	case s.warm:
		c.Means = "everything is compiled from Go modules and Debian packages; the large parts were, already"
	case !by.installs():
		c.Means += ", which takes root on Debian or Ubuntu"
	}
	c.Do = "nothing needed; to pull released images instead, make the engine's default registry or a mirror reachable"
	return c
}

func checkModules(s sources) Check {
	c := Check{Name: "go modules"}
	switch {
	case s.modules == nil:
		c.Status, c.Found = OK, "the Go module proxy answers"
		return c
	case errors.Is(s.modules, exec.ErrNotFound):
		c.Status, c.Found = Fail, "there is no go command"
		c.Means, c.Do = "Blackout compiles parts of itself and reads Longhorn's CRDs through it", "install Go"
		return c
	case errors.Is(s.modules, context.Canceled), errors.Is(s.modules, errNotAsked):
		c.Status, c.Found = Unknown, "the question could not be asked: "+lastPart(s.modules)
		c.Means, c.Do = "without a proxy nothing can be compiled that is not cached", "ask again"
		return c
	}
	c.Found = "the Go module proxy is silent: " + cause(s.modules)
	c.Do = "set GOPROXY to a proxy that can be reached from here (go env -w GOPROXY=...)"
	switch {
	case s.registry != nil && !s.warm:
		c.Status, c.Means = Fail, "with no registry and nothing built before, there is nowhere to get images from"
	case s.registry != nil:
		c.Status, c.Means = Warn, "only what was built before can run: no other Longhorn version, no changed checkout"
	default:
		c.Status, c.Means = Warn, "images can be pulled, but Longhorn's CRDs come from its module: only versions in Go's cache can be installed"
	}
	return c
}

func lastPart(err error) string {
	parts := strings.Split(err.Error(), ": ")
	return parts[len(parts)-1]
}

// errNotAsked is a question that failed on this machine.
var errNotAsked = errors.New("the probe could not be set up")

// askModuleProxy asks for a module that every build needs, with an empty module
// cache, which could answer in the proxy's place, and outside any module, whose
// own dependencies would be asked for too.
func askModuleProxy(ctx context.Context, module string, limit time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "blackout-doctor-")
	if err != nil {
		return fmt.Errorf("%w: %w", errNotAsked, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-json", module)
	cmd.Dir = dir
	cmd.WaitDelay = processGrace
	cmd.Env = append(os.Environ(),
		// Writable, or the directory could not be removed.
		"GOMODCACHE="+dir+"/mod", "GOFLAGS=-modcacherw", "GOWORK=off",
		// No other server is asked: neither for a compiler nor for checksums.
		"GOTOOLCHAIN=local", "GOSUMDB=off", "GIT_TERMINAL_PROMPT=0")
	out, runErr := cmd.CombinedOutput()
	if runErr == nil {
		return nil
	}
	if ctx.Err() != nil {
		runErr = ctx.Err()
	}
	return fmt.Errorf("ask the module proxy: %w: %s", runErr, strings.TrimSpace(string(out)))
}

// probePackage stands for all of Debian's packages: the first that a build needs.
const probePackage = "mmdebstrap"

// askPackages returns what apt knows of the package.
func askPackages(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-cache", "policy", probePackage)
	// Its words are translated otherwise.
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache policy %s: %w", probePackage, err)
	}
	return string(out), nil
}

// checkPackages reads the output of apt-cache policy.
func checkPackages(by caller, policy string, err error) Check {
	c := Check{Name: "debian packages", Means: "images that are built here stand on Debian's packages"}
	if !by.debian {
		c.Status, c.Found = Unknown, "this is neither Debian nor Ubuntu"
		c.Do = "nothing while an image registry answers, else build the images on Debian or Ubuntu"
		return c
	}
	if err != nil {
		c.Status, c.Found, c.Do = Unknown, err.Error(), "check with: apt-cache policy "+probePackage
		return c
	}
	for line := range strings.Lines(policy) {
		candidate, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: ")
		if ok && candidate != "(none)" {
			// The lists are local: whether the server still answers, only
			// apt-get update would tell.
			return Check{Name: c.Name, Status: OK, Found: fmt.Sprintf("apt's lists offer %s %s", probePackage, candidate)}
		}
	}
	c.Status, c.Found = Warn, "apt's lists do not offer "+probePackage
	c.Do = "as root: apt-get update; if that fails, mend the package sources"
	return c
}

// tools that building needs, by what proves them and the package to install.
var tools = []struct{ file, pkg string }{
	{"mmdebstrap", "mmdebstrap"},
	{"gcc", "gcc libc6-dev"},
	{"/usr/include/libqcow.h", "libqcow-dev"},
	{mkfs, "e2fsprogs"},
}

// checkTools asks has for the name of a command or the path of a file.
func checkTools(has func(string) bool, by caller) Check {
	c := Check{Name: "build tools"}
	var missing, packages, found []string
	for _, tool := range tools {
		if has(tool.file) {
			found = append(found, tool.file)
			continue
		}
		missing = append(missing, tool.file)
		packages = append(packages, tool.pkg)
	}
	if len(missing) == 0 {
		c.Status, c.Found = OK, strings.Join(found, ", ")
		return c
	}
	c.Status, c.Found = Warn, "missing: "+strings.Join(missing, ", ")
	c.Means = "needed only where images are built or disks are made"
	c.Do = "install the packages " + strings.Join(packages, " ")
	if by.installs() {
		c.Do = "nothing needed: the first build as root installs them; or now: apt-get install " + strings.Join(packages, " ")
	}
	return c
}

// probeImages asks the sources of images, except for the module proxy.
func probeImages(ctx context.Context, m Machine, ws workspace.Workspace, fixtures string) (warm bool, registry error) {
	builder := &images.Builder{Workspace: ws, Timeouts: m.Timeouts, Fixtures: fixtures, RegistryPrefix: m.RegistryPrefix}
	return ws.Root != "" && fixtures != "" && builder.Warm(), builder.RegistryAnswers(ctx)
}
