package openmetrics

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"blackout/e2e/history"
)

// help for each family.
var help = map[string]string{
	phaseSeries:                 "1 while the phase lasts.",
	outageSeries:                "1 while the node has no power.",
	history.Goroutines:          "Goroutines of the process.",
	history.GoroutinesByRoot:    "Goroutines of the process by the function that they were started with.",
	history.CallbackSerializers: "gRPC callback serializers of the process, three to a connection.",
	history.GRPCConnections:     "gRPC client connections of the process.",
	history.LiveHeap:            "Heap that is live after a garbage collection.",
	history.AllocationRate:      "Heap allocated a second.",
	history.DeepCopyShare:       "Share of the allocations below DeepCopy.",
	history.RSS:                 "Resident memory of the container.",
	history.WorkingSet:          "Working set of the container.",
	history.MemoryLimit:         "Memory limit of the container.",
	history.NodeMemory:          "Memory of the node.",
	history.FailedReconciles:    "Failed reconciles of Backups since the process started.",
	history.RestartCount:        "Restarts of the container.",
	history.OOMKills:            "OOM kills of the container.",
	history.Backups:             "Backups by state.",
	history.Waiting:             "Backups that are New or Pending.",
	history.OldestWaiting:       "Age of the backup that waits longest.",
	history.JobBackups:          "Backups of recurring jobs by state.",
	history.JobWaiting:          "Backups of recurring jobs that are New or Pending.",
	history.AttachmentTickets:   "Attachment tickets of all volumes.",
	history.LargestAttachment:   "Size of the largest VolumeAttachment.",
	history.Volumes:             "Volumes by robustness.",
	history.NodesReady:          "Nodes that are ready.",
	history.NodeLoad:            "Load average of the node over a minute.",
	history.ProberCPU:           "Processor time that the harness takes.",
	history.ProberMemory:        "Memory that the harness takes.",
	history.SampleCost:          "Time that a look of the probe took.",
}

// subjectLabels say what the subject of some series is.
var subjectLabels = map[string]string{
	history.Backups: "state", history.JobBackups: "state", history.Volumes: "robustness", history.SampleCost: "probe",
}

// labelsOf a series, as they are written between its braces.
func (e *export) labelsOf(key who) string {
	var pairs []string
	add := func(name, value string) {
		if value != "" {
			pairs = append(pairs, name, value)
		}
	}
	label, named := subjectLabels[key.series]
	subject, root, _ := strings.Cut(key.subject, ":")
	switch {
	case named:
		add(label, key.subject)
	case key.series == history.NodeLoad: // the node is a label of its own
	case key.series == history.GoroutinesByRoot:
		add("subject", subject)
		add("root", root)
	default:
		add("subject", key.subject)
	}
	life := key.life
	add("pod", life.Pod)
	add("uid", life.UID)
	add("container", life.Container)
	if life.Pod != "" {
		add("restart", strconv.Itoa(life.Restarts))
	}
	node := life.Node
	if key.series == history.NodeLoad {
		node = key.subject
	}
	add("node", node)
	return e.common(pairs...)
}

// common labels of a run, with further ones.
func (e *export) common(pairs ...string) string {
	all := append([]string{"run", e.header.Run, "scenario", e.header.Scenario, "longhorn", e.header.Longhorn}, pairs...)
	var b strings.Builder
	for i := 0; i+1 < len(all); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%s="%s"`, all[i], escaped.Replace(all[i+1]))
	}
	return b.String()
}

var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// write writes a family: what it is, then one series after the other, each in
// order of time. It returns the number of samples.
func (f *family) write(out *bufio.Writer) (n int) {
	line := func(parts ...string) {
		for _, part := range parts {
			_, _ = out.WriteString(part)
		}
		_ = out.WriteByte('\n')
	}
	line("# TYPE ", f.name, " gauge")
	if f.unit != "" {
		line("# UNIT ", f.name, " ", f.unit)
	}
	if f.help != "" {
		line("# HELP ", f.name, " ", f.help)
	}
	const milliseconds, thousandths = 1000, 3
	var number []byte
	for _, labels := range slices.Sorted(maps.Keys(f.series)) {
		for _, p := range inTime(f.series[labels]) {
			number = strconv.AppendFloat(number[:0], p.value, 'g', -1, 64)
			number = append(number, ' ')
			number = strconv.AppendFloat(number, float64(p.at)/milliseconds, 'f', thousandths, 64)
			line(f.name, "{", labels, "} ", string(number))
			n++
		}
	}
	return n
}
