package engine

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"

	"blackout/e2e/workspace"
)

const runtimePath = "/cache/engine/blackout-runc"

func TestMergeConfig(t *testing.T) {
	ours := `"default-runtime": "blackout-runc", "runtimes": {"blackout-runc": {"path": "/cache/engine/blackout-runc"}}`
	for existing, want := range map[string]string{
		"":                   "{" + ours + "}",
		" \n":                "{" + ours + "}",
		"null":               "{" + ours + "}",
		"{}":                 "{" + ours + "}",
		`{"runtimes": null}`: "{" + ours + "}",
		`{"mtu": 1400, "log-opts": {"max-size": "10m"}, "big": 18446744073709551615}`: `{"mtu": 1400, "log-opts": {"max-size": "10m"}, "big": 18446744073709551615, ` + ours + "}",
		// A runtime of somebody else stays; an older one of ours does not.
		`{"runtimes": {"nvidia": {"path": "nvidia-runtime", "runtimeArgs": ["-x"]}, "blackout-runc": {"path": "/old"}}, "default-runtime": "nvidia"}`: `{"default-runtime": "blackout-runc", "runtimes": {"nvidia": {"path": "nvidia-runtime", "runtimeArgs": ["-x"]}, "blackout-runc": {"path": "/cache/engine/blackout-runc"}}}`,
	} {
		g := NewWithT(t)
		got, err := mergeConfig([]byte(existing), runtimePath)
		g.Expect(err).NotTo(HaveOccurred(), existing)
		g.Expect(got).To(MatchJSON(want), existing)
	}
	// MatchJSON compares numbers as floating point: this one must stay exact.
	g := NewWithT(t)
	g.Expect(mergeConfig([]byte(`{"big": 18446744073709551615}`), runtimePath)).To(ContainSubstring("18446744073709551615"))
}

func TestMergeConfigNamesTheFile(t *testing.T) {
	for _, existing := range []string{`{"mtu": 1400,}`, "[]", `"text"`, `{"runtimes": []}`, "{"} {
		g := NewWithT(t)
		_, err := mergeConfig([]byte(existing), runtimePath)
		g.Expect(err).To(MatchError(And(ContainSubstring("/etc/docker/daemon.json"), ContainSubstring("mend it"))), existing)
	}
}

func TestLikeDebian(t *testing.T) {
	for release, want := range map[string]bool{
		"PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n":                 true,
		"NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n":                     true,
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n":                        true,
		"ID='pop'\nID_LIKE='ubuntu debian'":                                true,
		"ID=fedora\nVERSION_ID=40\n":                                       false,
		"ID=\"rhel\"\nID_LIKE=\"fedora\"\nHOME_URL=https://debian.example": false,
		"NAME=debian\nVARIANT_ID=debian\n":                                 false,
		"ID=debianish\n":                                                   false,
		"":                                                                 false,
	} {
		NewWithT(t).Expect(likeDebian(release)).To(Equal(want), release)
	}
}

func TestMissingFromMask(t *testing.T) {
	const last = 40 // CAP_CHECKPOINT_RESTORE
	g := NewWithT(t)
	g.Expect(missingFromMask(0x1ffffffffff, last)).To(BeEmpty())
	g.Expect(missingFromMask(0x1fffeffffff, last)).To(Equal([]string{"CAP_SYS_RESOURCE"}))
	// What docker gives a container that is not privileged.
	g.Expect(missingFromMask(0xa80425fb, last)).To(And(HaveLen(27), HaveEach(Not(BeElementOf(
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP")))))
	g.Expect(missingFromMask(0, last)).To(Equal(capabilityNames))
	// Linux 5.4 ends with CAP_AUDIT_READ (37): what it does not know is not missing.
	g.Expect(missingFromMask(0x3fffffffff, 37)).To(BeEmpty())
}

// Two ways to read the same of this process: by prctl and from /proc.
func TestBoundingSetOfThisProcess(t *testing.T) {
	g := NewWithT(t)
	g.Expect(daemonBoundingSet(os.Getpid())).To(Equal(MissingCapabilities()))
	_, err := daemonBoundingSet(1 << 30)
	g.Expect(err).To(MatchError(os.ErrNotExist))
}

// The pid file alone proves nothing: after a reboot its number is another's.
func TestStartedNeedsTheProcess(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(workspace.EnvRoot, t.TempDir())
	w, err := workspace.Open()
	g.Expect(err).NotTo(HaveOccurred())
	h := Host{Workspace: w}
	g.Expect(h.Started()).To(BeFalse())
	g.Expect(h.Stop(t.Context())).To(ContainSubstring("not started by Blackout"))

	bystander := exec.Command("sleep", "60")
	g.Expect(bystander.Start()).To(Succeed())
	t.Cleanup(func() { _ = bystander.Process.Kill(); _ = bystander.Wait() })
	g.Expect(os.WriteFile(h.pidFile(), []byte(strconv.Itoa(bystander.Process.Pid)+"\n"), privateMode)).To(Succeed())
	g.Expect(h.Started()).To(BeFalse())
	g.Expect(pidsOf("sleep")).To(ContainElement(bystander.Process.Pid))
	g.Expect(h.Stop(t.Context())).To(ContainSubstring("not running"))
	g.Expect(h.pidFile()).NotTo(BeAnExistingFile())
	g.Expect(pidsOf("sleep")).To(ContainElement(bystander.Process.Pid), "it was left alone")

	g.Expect(os.WriteFile(h.pidFile(), []byte("no number"), privateMode)).To(Succeed())
	_, err = h.Stop(t.Context())
	g.Expect(err).To(HaveOccurred())
}
