package existing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

const commandFile = `nodes: [b, c]
switch: command
unsyncedWrites: drop
command:
  off: [ssh, "{node}", "poweroff -f -n"]
  on: [ipmitool, -H, "{address}-bmc", power, on]
`

const sysrqFile = `nodes: [b, c]
switch: sysrq
unsyncedWrites: drop
sysrq:
  image: busybox:1
  trigger: reboot
`

func TestPowerFileIsRead(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "power.yaml")
	text := commandFile + "  status: [check, \"{node}\"]\n  timeout: 1m\nallowControlPlane: true\n"
	g.Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	p, err := LoadPower(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(p.Nodes).To(Equal([]string{"b", "c"}))
	g.Expect(p.UnsyncedWrites).To(Equal(scenario.Drop))
	g.Expect(p.AllowControlPlane).To(BeTrue())
	g.Expect(p.Command).To(Equal(Command{
		Off: []string{"ssh", "{node}", "poweroff -f -n"}, On: []string{"ipmitool", "-H", "{address}-bmc", "power", "on"},
		Status: []string{"check", "{node}"}, Timeout: scenario.Duration{Duration: time.Minute},
	}))

	p, err = decodePower("power.yaml", []byte(commandFile))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(p.limit()).To(Equal(usualCommand))
	p, err = decodePower("power.yaml", []byte(sysrqFile))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(p.limit()).To(Equal(usualSysrq))

	_, err = LoadPower(filepath.Join(t.TempDir(), "none.yaml"))
	g.Expect(err).To(MatchError(ContainSubstring("read the power file")))
}

func TestPowerFileIsStrict(t *testing.T) {
	change := func(text, from, to string) string {
		t.Helper()
		if !strings.Contains(text, from) {
			t.Fatalf("no %q to change", from)
		}
		return strings.Replace(text, from, to, 1)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", `power.yaml:1:1: no power file: the file is empty`},
		"two documents":      {commandFile + "---\nnodes: [a]\n", `power.yaml:8:1: a second document; want one power file a file`},
		"not YAML":           {"nodes: [b\n", `power.yaml:1:8: not YAML: `},
		"unknown key":        {commandFile + "  tiemout: 5s\n", `power.yaml:7:3: unknown key "tiemout"; did you mean "timeout"?`},
		"missing key":        {change(commandFile, "  on: [ipmitool, -H, \"{address}-bmc\", power, on]\n", ""), `power.yaml:4:1: command.on is missing`},
		"switch":             {change(commandFile, "switch: command", "switch: comand"), `power.yaml:2:9: unknown switch "comand"; did you mean "command"?`},
		"unsynced":           {change(commandFile, "drop", "drpo"), `power.yaml:3:17: unknown unsyncedWrites "drpo"; did you mean "drop"?`},
		"no statement":       {change(commandFile, "unsyncedWrites: drop\n", ""), `power.yaml:1:1: unsyncedWrites is missing`},
		"no nodes":           {change(commandFile, "[b, c]", "[]"), `power.yaml:1:8: nodes is empty`},
		"node twice":         {change(commandFile, "[b, c]", "[b, b]"), `power.yaml:1:12: node "b" twice`},
		"section of another": {commandFile + "sysrq:\n  image: x\n  trigger: reboot\n", `power.yaml:8:3: section sysrq, but switch is command`},
		"section missing":    {change(commandFile, "switch: command", "switch: sysrq"), `power.yaml:2:9: switch is sysrq, but the section sysrq is missing`},
		"a shell's line":     {change(commandFile, `[ssh, "{node}", "poweroff -f -n"]`, "ssh {node} poweroff"), `power.yaml:5:8: command.off is the string "ssh {node} poweroff"; want a list`},
		"placeholder":        {change(commandFile, `"{node}"`, `"root@{nod}"`), `power.yaml:5:14: unknown placeholder "nod"; did you mean "node"?`},
		"same for all":       {change(commandFile, `"{node}"`, `b`), `power.yaml:5:8: command.off names neither {node} nor {address}: it would do the same for each of 2 nodes`},
		"no program":         {change(commandFile, "[ssh, \"{node}\", \"poweroff -f -n\"]", "[]"), `power.yaml:5:8: command.off has no program to run`},
		"time limit":         {commandFile + "  timeout: 30\n", `power.yaml:7:12: command.timeout: "30" has no unit`},
		"no time":            {commandFile + "  timeout: 0s\n", `power.yaml:7:12: command.timeout is 0s; want more than 0s`},
		"truth":              {commandFile + "allowControlPlane: maybe\n", `power.yaml:7:20: allowControlPlane is the string "maybe"; want true or false`},
		"trigger":            {change(sysrqFile, "reboot", "rebot"), `power.yaml:6:12: unknown sysrq.trigger "rebot"; did you mean "reboot"?`},
		"sysrq keeps":        {change(sysrqFile, "drop", "keep"), `power.yaml:3:17: unsyncedWrites is keep, but sysrq ends a kernel without sync; want drop`},
		"on with reboot":     {sysrqFile + "  on: [wake, \"{node}\"]\n", `power.yaml:7:7: sysrq.on, but after trigger: reboot a node returns by itself; leave it out`},
		"off without on":     {change(sysrqFile, "reboot", "power-off"), `power.yaml:6:12: sysrq.on is missing`},
		"no image":           {change(sysrqFile, "busybox:1", `""`), `power.yaml:5:10: sysrq.image is empty`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodePower("power.yaml", []byte(c.text))
			NewWithT(t).Expect(err).To(MatchError(HavePrefix(c.want)))
			NewWithT(t).Expect(strings.Split(err.Error(), "\n")).To(HaveLen(1), "one mistake, one complaint")
		})
	}
}

func TestPlaceholdersOfOthersAreLeftAlone(t *testing.T) {
	g := NewWithT(t)
	text := strings.Replace(commandFile, `"{node}"`, `"{node} ${HOME} {{.State}}"`, 1)
	p, err := decodePower("power.yaml", []byte(text))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fill(p.Command.Off, target{Name: "b"})[1]).To(Equal("b ${HOME} {{.State}}"))
}

func TestDescribeTellsWhatWillBeRun(t *testing.T) {
	g := NewWithT(t)
	describe := func(text string, nodes ...cluster.Node) []string {
		power, err := decodePower("power.yaml", []byte(text))
		g.Expect(err).NotTo(HaveOccurred())
		return provider(t, Spec{Context: "lab", SystemUID: uid, Power: &power, Dir: t.TempDir()}).Describe(nodes...)
	}
	g.Expect(describe(commandFile, cluster.Node{Name: "a"}, cluster.Node{Name: "b", Address: "192.0.2.2"})).To(Equal([]string{
		"a cut makes unsynced writes: drop, says the power file, and nobody checks it",
		"node a: never loses power, for the power file does not name it",
		`node b: off: ssh b "poweroff -f -n"; on: ipmitool -H 192.0.2.2-bmc power on; seen by: the silence of port 10250 of the node; each within 30s`,
	}))
	g.Expect(describe(commandFile)).To(HaveLen(3), "all that the file names")
	g.Expect(describe(sysrqFile)[1]).To(Equal(`node b: a privileged pod of image busybox:1 writes "b" to /proc/sysrq-trigger: its kernel reboots at once, without sync; ` +
		`it returns by itself, so that an outage lasts no longer than that takes; seen by: the silence of port 10250 of the node, or another boot id; each within 5m`))
	g.Expect(describe(strings.Replace(sysrqFile, "reboot", "power-off\n  on: [wake, \"{node}\"]", 1))[2]).To(ContainSubstring(`writes "o" to /proc/sysrq-trigger: it powers off at once, without sync; on: wake c`))
	g.Expect(provider(t, Spec{Context: "lab", SystemUID: uid}).Describe()).To(ConsistOf(ContainSubstring("no power file")))
}
