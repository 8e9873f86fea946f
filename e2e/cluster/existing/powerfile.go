package existing

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"blackout/e2e/scenario"
)

// Power is what a user says of the power of a cluster's nodes.
type Power struct {
	Nodes []string `json:"nodes" check:"required"` // only these may ever lose power
	// Switch is SwitchCommand or SwitchSysrq.
	Switch string `json:"switch" check:"required"`
	// UnsyncedWrites is what the switch does to them. It is the user's word:
	// nobody checks it.
	UnsyncedWrites scenario.UnsyncedWrites `json:"unsyncedWrites" check:"required"`
	// AllowControlPlane lets a cut leave no majority of control planes.
	AllowControlPlane bool    `json:"allowControlPlane"`
	Command           Command `json:"command"`
	Sysrq             Sysrq   `json:"sysrq"`
}

// Command has the commands of a node's power: words, not for a shell, in which
// {node} and {address} stand for the node's name and address.
type Command struct {
	Off []string `json:"off" check:"required"`
	On  []string `json:"on" check:"required"`
	// Status ends with 0 when the node has power, with 1 when it has none, and
	// otherwise without an answer. Without it the port of the kubelet is looked at.
	Status []string `json:"status"`
	// Timeout is how long each command may take, and how long a node's power may
	// take after it to be seen to have changed.
	Timeout scenario.Duration `json:"timeout"`
}

// Sysrq makes a node's own kernel reboot or power off, at once and without sync.
type Sysrq struct {
	// Image has sh, sleep and date; nodes that do not have it must be able to pull it.
	Image string `json:"image" check:"required"`
	// Trigger is TriggerReboot, after which a node returns by itself, or
	// TriggerPowerOff.
	Trigger string   `json:"trigger" check:"required"`
	On      []string `json:"on"` // as in Command; with TriggerPowerOff, and only then
	// Timeout is how long pods may take to be ready, the command may take, and a
	// node's power may take to be seen to have changed, each.
	Timeout scenario.Duration `json:"timeout"`
}

// The values of Power.Switch and of Sysrq.Trigger.
const (
	SwitchCommand   = "command"
	SwitchSysrq     = "sysrq"
	TriggerReboot   = "reboot"
	TriggerPowerOff = "power-off"
)

const (
	usualCommand = 30 * time.Second
	usualSysrq   = 5 * time.Minute // a large machine's firmware takes minutes
)

// LoadPower reads a power file. The error has a scenario.Problem for everything
// that is wrong with it.
func LoadPower(path string) (Power, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Power{}, fmt.Errorf("read the power file: %w", err)
	}
	return decodePower(path, data)
}

func decodePower(file string, data []byte) (Power, error) {
	p := Power{
		Command: Command{Timeout: scenario.Duration{Duration: usualCommand}},
		Sysrq:   Sysrq{Timeout: scenario.Duration{Duration: usualSysrq}},
	}
	r := scenario.ReadStrict(file, "power file", data, &p)
	p.check(r)
	if err := r.Err(); err != nil {
		return Power{}, err
	}
	return p, nil
}

func (p Power) check(r *scenario.Reading) {
	if len(p.Nodes) == 0 {
		r.Fail("nodes", "nodes is empty; name the nodes that may lose power")
	}
	for i, name := range p.Nodes {
		switch path := fmt.Sprintf("nodes[%d]", i); {
		case name == "":
			r.Fail(path, "%s is empty", path)
		case slices.Contains(p.Nodes[:i], name):
			r.Fail(path, "node %q twice", name)
		}
	}
	r.Word("switch", p.Switch, SwitchCommand, SwitchSysrq)
	r.Word("unsyncedWrites", string(p.UnsyncedWrites), string(scenario.Drop), string(scenario.Keep))
	sections := map[string]func(*scenario.Reading){SwitchCommand: p.checkCommand, SwitchSysrq: p.checkSysrq}
	check, ok := sections[p.Switch]
	if !ok {
		return
	}
	if !r.Given(p.Switch) {
		r.Fail("switch", "switch is %s, but the section %s is missing", p.Switch, p.Switch)
		return
	}
	for section := range sections {
		if section != p.Switch && r.Given(section) {
			r.Fail(section, "section %s, but switch is %s; leave it out", section, p.Switch)
		}
	}
	check(r)
}

func (p Power) checkCommand(r *scenario.Reading) {
	p.argv(r, "command.off", p.Command.Off)
	p.argv(r, "command.on", p.Command.On)
	if r.Given("command.status") {
		p.argv(r, "command.status", p.Command.Status)
	}
	limit(r, "command.timeout", p.Command.Timeout)
}

func (p Power) checkSysrq(r *scenario.Reading) {
	if p.Sysrq.Image == "" {
		r.Fail("sysrq.image", "sysrq.image is empty")
	}
	r.Word("sysrq.trigger", p.Sysrq.Trigger, TriggerReboot, TriggerPowerOff)
	if p.UnsyncedWrites == scenario.Keep {
		r.Fail("unsyncedWrites", "unsyncedWrites is keep, but sysrq ends a kernel without sync; want drop")
	}
	given := r.Given("sysrq.on")
	switch {
	case p.Sysrq.Trigger == TriggerReboot && given:
		r.Fail("sysrq.on", "sysrq.on, but after trigger: reboot a node returns by itself; leave it out")
	case p.Sysrq.Trigger == TriggerPowerOff && !given:
		r.Fail("sysrq.trigger", "sysrq.on is missing: after trigger: power-off nothing else gives power back")
	case given:
		p.argv(r, "sysrq.on", p.Sysrq.On)
	}
	limit(r, "sysrq.timeout", p.Sysrq.Timeout)
}

func limit(r *scenario.Reading, path string, d scenario.Duration) {
	if d.Duration <= 0 {
		r.Fail(path, "%s is %s; want more than 0s", path, d)
	}
}

const (
	placeNode    = "node"
	placeAddress = "address"
)

// placeholder leaves alone what shells (${x}) and templates ({{x}}) write.
var placeholder = regexp.MustCompile(`(?:^|[^{$])\{([A-Za-z]+)\}`)

// argv checks a command: what it names, and that it tells the nodes apart.
func (p Power) argv(r *scenario.Reading, path string, words []string) {
	if len(words) == 0 || words[0] == "" {
		r.Fail(path, "%s has no program to run", path)
		return
	}
	tells := false
	for i, word := range words {
		for _, found := range placeholder.FindAllStringSubmatch(word, -1) {
			tells = true
			if found[1] != placeNode && found[1] != placeAddress {
				r.Fail(fmt.Sprintf("%s[%d]", path, i), "%v", scenario.Unknown("placeholder", found[1], []string{placeNode, placeAddress}))
			}
		}
	}
	if !tells && len(p.Nodes) > 1 {
		r.Fail(path, "%s names neither {node} nor {address}: it would do the same for each of %d nodes", path, len(p.Nodes))
	}
}

// fill puts a node into a command.
func fill(words []string, t target) []string {
	filled := make([]string, len(words))
	replacer := strings.NewReplacer("{"+placeNode+"}", t.Name, "{"+placeAddress+"}", t.Address)
	for i, word := range words {
		filled[i] = replacer.Replace(word)
	}
	return filled
}

// limit of every order and of seeing what it did.
func (p Power) limit() time.Duration {
	if p.Switch == SwitchSysrq {
		return p.Sysrq.Timeout.Duration
	}
	return p.Command.Timeout.Duration
}
