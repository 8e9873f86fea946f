package doctor

import (
	"errors"
	"fmt"
	"testing"

	"blackout/e2e/engine"
)

var (
	rootOnDebian   = caller{root: true, debian: true}
	rootElsewhere  = caller{root: true}
	userOnDebian   = caller{debian: true}
	goodDocker     = &engine.Engine{Name: docker, Version: "28.2.2"}
	errPlain       = errors.New("something else")
	lacksResource  = []string{"CAP_SYS_RESOURCE"}
	lacksNothing   []string
	errNoEngine    = fmt.Errorf("%w: install one", engine.ErrNone)
	errSilent      = fmt.Errorf("%w: docker says %q; start it", engine.ErrNotRunning, "Cannot connect")
	errNotAllowed  = fmt.Errorf("%w: docker says %q; run as root", engine.ErrPermission, "permission denied")
	errTwoProblems = errors.Join(errSilent, errNotAllowed)
)

func TestEngine(t *testing.T) {
	for name, tc := range map[string]struct {
		facts engineFacts
		by    caller
		want  Status
		found string
	}{
		"docker":                     {engineFacts{engine: goodDocker}, userOnDebian, OK, "docker 28.2.2"},
		"docker 20.10 of Debian":     {engineFacts{engine: &engine.Engine{Name: docker, Version: "20.10.24+dfsg1"}}, userOnDebian, OK, "20.10"},
		"old docker":                 {engineFacts{engine: &engine.Engine{Name: docker, Version: "18.09.1"}}, userOnDebian, Warn, "18.09.1"},
		"docker of unknown age":      {engineFacts{engine: &engine.Engine{Name: docker, Version: "dev"}}, userOnDebian, OK, "dev"},
		"podman":                     {engineFacts{engine: &engine.Engine{Name: podman, Version: "5.0.0"}}, userOnDebian, Warn, "podman 5.0.0"},
		"none, can be installed":     {engineFacts{err: errNoEngine}, rootOnDebian, Warn, "no container engine is installed"},
		"none, other system":         {engineFacts{err: errNoEngine}, rootElsewhere, Fail, "no container engine is installed"},
		"none, no root":              {engineFacts{err: errNoEngine}, userOnDebian, Fail, "no container engine is installed"},
		"none but a daemon":          {engineFacts{err: errNoEngine, dockerd: true}, rootElsewhere, Warn, "no container engine is installed"},
		"not running, can be":        {engineFacts{err: errSilent, dockerd: true}, rootElsewhere, Warn, "Cannot connect"},
		"not running, no root":       {engineFacts{err: errSilent, dockerd: true}, userOnDebian, Fail, "does not answer"},
		"no permission":              {engineFacts{err: errNotAllowed, dockerd: true}, userOnDebian, Fail, "no permission"},
		"no permission, even root":   {engineFacts{err: errNotAllowed, dockerd: true}, rootOnDebian, Fail, "no permission"},
		"one silent, one forbidden":  {engineFacts{err: errTwoProblems, dockerd: true}, rootOnDebian, Fail, "no permission"},
		"an error of another nature": {engineFacts{err: errPlain}, rootOnDebian, Unknown, "something else"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, checkEngine(tc.facts, tc.by), tc.want, tc.found) })
	}
}

func TestCapabilities(t *testing.T) {
	onPodman := &engine.Engine{Name: podman, Version: "5.0.0"}
	for name, tc := range map[string]struct {
		facts capabilityFacts
		want  Status
		found string
	}{
		"all":                    {capabilityFacts{engine: goodDocker, daemonHere: true}, OK, "lacks none"},
		"only we lack one":       {capabilityFacts{own: lacksResource, engine: goodDocker, daemonHere: true}, OK, "the engine's daemon none"},
		"no engine, all":         {capabilityFacts{own: lacksNothing}, OK, "lacks none"},
		"no engine, one lacking": {capabilityFacts{own: lacksResource}, Warn, "CAP_SYS_RESOURCE"},
		"wrapped": {
			capabilityFacts{own: lacksResource, engine: goodDocker, daemon: lacksResource, daemonHere: true, runtime: engine.RuntimeName},
			OK, "default runtime is " + engine.RuntimeName,
		},
		"not wrapped": {capabilityFacts{engine: goodDocker, daemon: lacksResource, daemonHere: true, runtime: "runc"}, Fail, "default runtime is runc"},
		"runtime not known": {
			capabilityFacts{engine: goodDocker, daemon: lacksResource, daemonHere: true}, Unknown, "not known",
		},
		"podman":           {capabilityFacts{engine: onPodman, daemon: lacksResource}, Warn, "podman lacks"},
		"podman, all":      {capabilityFacts{engine: onPodman}, OK, "lacks none"},
		"daemon elsewhere": {capabilityFacts{engine: goodDocker}, Unknown, "no process of this machine"},
		"daemon unreadable": {
			capabilityFacts{engine: goodDocker, daemonHere: true, daemonErr: errPlain}, Unknown, "something else",
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, checkCapabilities(tc.facts), tc.want, tc.found) })
	}
}

func TestDaemonHere(t *testing.T) {
	if daemonHere(tree(t, map[string]string{"proc/1/comm": "systemd\n", "proc/7/comm": "dockerd-rootless\n"})) {
		t.Error("a daemon was found where none runs")
	}
	if !daemonHere(tree(t, map[string]string{"proc/1/comm": "systemd\n", "proc/77/comm": "dockerd\n"})) {
		t.Error("the daemon was not found")
	}
}
