package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

const (
	bundle  = "/run/containerd/io.containerd.runtime.v2.task/moby/4f5c"
	process = "/tmp/runc-process2093"
)

// words are the command lines as containerd-shim-runc-v2 makes them
// (containerd, vendor/github.com/containerd/go-runc/runc.go).
func TestSpecFiles(t *testing.T) {
	const global = "--root /var/run/docker/runtime-runc/moby --log " + bundle + "/log.json --log-format json "
	config := map[string][]string{bundle + "/config.json": {"process"}}
	execFile := map[string][]string{process: nil}
	here := map[string][]string{"config.json": {"process"}}
	for words, want := range map[string]map[string][]string{
		global + "create --bundle " + bundle + " --pid-file " + bundle + "/init.pid 4f5c":                                           config,
		global + "--systemd-cgroup create --bundle " + bundle + " --pid-file p --console-socket s --no-pivot --no-new-keyring 4f5c": config,
		"--systemd-cgroup=true --debug " + global + "run --detach --bundle=" + bundle + " 4f5c":                                     config,
		"create -b " + bundle + " id":                          config,
		"create -b=" + bundle + " id":                          config,
		"create -bundle " + bundle + " id":                     config,
		"run --keep --no-subreaper -d -b " + bundle + " -- id": config,
		"create id": here,
		"run":       here,
		global + "exec --process " + process + " --console-socket /tmp/pty/pty.sock --detach --pid-file " + bundle + "/e.pid 4f5c": execFile,
		"exec -d -t -p " + process + " id":                 execFile,
		"exec --tty --detach --process=" + process + " id": execFile,
		// Containers, files and commands may be called like verbs and options.
		"start run":                                          nil,
		"delete --force create":                              nil,
		"--root run --log create state exec":                 nil,
		"--root /run/create kill exec 9":                     nil,
		"--log-format=json --root exec start run":            nil,
		"exec --process " + process + " run":                 execFile,
		"--root run exec -p " + process + " create":          execFile,
		"exec --cwd run id sh":                               nil,
		"exec id ps -p 1":                                    nil,
		"exec id tool --process x --bundle y":                nil,
		"create --pid-file run --bundle " + bundle + " exec": config,
		"run --bundle " + bundle + " id --bundle other":      config,
		"create -- id --bundle " + bundle:                    here,
		"--version":                                          nil,
		"features":                                           nil,
		"--root":                                             nil,
		"":                                                   nil,
	} {
		NewWithT(t).Expect(specFiles(strings.Fields(words))).To(Equal(want), words)
	}
}

const spec = `{
	"ociVersion": "1.0.2",
	"process": {
		"capabilities": {
			"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_BPF"],
			"effective": ["CAP_SYS_RESOURCE"],
			"ambient": null,
			"future": {"CAP_SYS_RESOURCE": true}
		},
		"args": ["CAP_SYS_RESOURCE", "<&>"],
		"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615}],
		"unknown": {"deep": [1.50, null, "x"]}
	},
	"capabilities": {"bounding": ["CAP_SYS_RESOURCE"]}
}`

func write(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

func TestDropCapabilities(t *testing.T) {
	g := NewWithT(t)
	const mode = 0o640
	path := write(t, spec, mode)
	g.Expect(dropCapabilities(path, []string{"process"}, []string{"CAP_SYS_RESOURCE", "CAP_SYSLOG"})).To(Succeed())
	raw, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())

	want := strings.NewReplacer(`"CAP_CHOWN", "CAP_SYS_RESOURCE",`, `"CAP_CHOWN",`, `["CAP_SYS_RESOURCE"],
			"ambient"`, `[],
			"ambient"`).Replace(spec)
	g.Expect(want).NotTo(Equal(spec))
	g.Expect(raw).To(MatchJSON(want))
	// MatchJSON compares numbers as floating point: these must stay as written.
	g.Expect(string(raw)).To(And(ContainSubstring(":18446744073709551615"), ContainSubstring("1.50")))
	info, err := os.Stat(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(fs.FileMode(mode)))
}

// The --process file of exec is the process object itself.
func TestDropCapabilitiesOfAProcessFile(t *testing.T) {
	g := NewWithT(t)
	path := write(t, `{"capabilities": {"permitted": ["CAP_BPF", "CAP_KILL"]}}`, 0o600)
	g.Expect(dropCapabilities(path, nil, []string{"CAP_BPF"})).To(Succeed())
	g.Expect(os.ReadFile(path)).To(MatchJSON(`{"capabilities": {"permitted": ["CAP_KILL"]}}`))
}

func TestDropCapabilitiesLeavesTheRestToRunc(t *testing.T) {
	g := NewWithT(t)
	g.Expect(dropCapabilities(filepath.Join(t.TempDir(), "config.json"), []string{"process"}, nil)).To(Succeed(), "a missing file")
	for _, text := range []string{`{}`, `null`, `{"process": null}`, `{"process": {"capabilities": null}}`, `{"process": [1]}`} {
		path := write(t, text, 0o600)
		g.Expect(dropCapabilities(path, []string{"process"}, []string{"CAP_BPF"})).To(Succeed(), text)
		g.Expect(os.ReadFile(path)).To(BeEquivalentTo(text))
	}
	path := write(t, `{"process": `, 0o600)
	g.Expect(dropCapabilities(path, []string{"process"}, nil)).To(MatchError(ContainSubstring(path)))
	g.Expect(os.ReadFile(path)).To(BeEquivalentTo(`{"process": `))
}

// The whole of it, with a fake runc that says what it was given.
func TestRunHandsOver(t *testing.T) {
	g := NewWithT(t)
	if os.Getenv("BLACKOUT_TEST_RUNC") != "" {
		t.Fatal(run(strings.Fields(os.Getenv("BLACKOUT_TEST_RUNC")))) // replaced by the fake, or failed
	}
	dir := t.TempDir()
	g.Expect(os.WriteFile(filepath.Join(dir, "runc"), []byte("#!/bin/sh\necho \"fake runc: $*\"\n"), 0o755)).To(Succeed())
	config := write(t, spec, 0o600)
	words := "--root run create --bundle " + filepath.Dir(config) + " id"
	out, err := again(t, "PATH="+dir, "BLACKOUT_TEST_RUNC="+words)
	g.Expect(err).NotTo(HaveOccurred(), out)
	g.Expect(out).To(Equal("fake runc: " + words + "\n"))
	var rewritten map[string]any
	raw, err := os.ReadFile(config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(json.Unmarshal(raw, &rewritten)).To(Succeed())

	out, err = again(t, "PATH="+t.TempDir(), "BLACKOUT_TEST_RUNC=features")
	g.Expect(err).To(HaveOccurred())
	g.Expect(out).To(ContainSubstring("find runc"))
}
