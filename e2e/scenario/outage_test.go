package scenario

import (
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// racked uses every key that says how power is lost and returns.
const racked = `name: racked
cluster:
  controlPlanes: 1
  workers: 4
  disk:
    filesystem: xfs
    size: 1Gi
  racks:
    left: [control-plane, worker, worker2]
    right: [worker3, worker4]
longhorn: {versions: [v1.8.1]}
volumes: {count: 1}
backlog: {count: 1, lostShare: 1}
outage:
  nodes: rack
  rack: left
  duration: 10s
  unsyncedWrites: keep
  order: one-by-one
  stagger: 5s
  addresses: shuffled
  repeats: 2
  between: 30s
  next: after-restore
bounds:
  - {name: none-lost, kind: conservation}
  - {name: soon, kind: recovered, within: 3m}
`

func TestOutageIsRead(t *testing.T) {
	g := NewWithT(t)
	s := decoded(t, racked)
	g.Expect(s.Cluster.Disk.Filesystem).To(Equal(XFS))
	g.Expect(s.Cluster.Disk.Size.Value()).To(Equal(int64(1 << 30)))
	g.Expect(s.Cluster.Racks).To(Equal(map[string][]string{
		"left": {"control-plane", "worker", "worker2"}, "right": {"worker3", "worker4"},
	}))
	g.Expect(s.Outage).To(Equal(Outage{
		Nodes: Rack, Rack: "left", Duration: Duration{10 * time.Second}, UnsyncedWrites: Keep, Order: OneByOne,
		Stagger: Duration{5 * time.Second}, Addresses: ShuffledAddresses, Repeats: 2,
		Between: Duration{30 * time.Second}, Next: AfterRestore,
	}))
	schema := compiledSchema(t)
	g.Expect(schemaError(t, schema, []byte(racked))).To(Succeed())
	resolved, err := s.Marshal()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(schemaError(t, schema, resolved)).To(Succeed())
	for from, to := range map[string]string{"order: one-by-one": "order: one-by-two", "next: after-restore": "next: now", "keep": "kept"} {
		g.Expect(schemaError(t, schema, []byte(strings.Replace(racked, from, to, 1)))).NotTo(Succeed(), to)
	}
}

func TestOutageProblems(t *testing.T) {
	// A whole outage in the place of the one in racked; it begins in line 14.
	begin := strings.Index(racked, "outage:")
	end := strings.Index(racked, "bounds:")
	outage := func(lines ...string) string {
		return racked[:begin] + "outage:\n  " + strings.Join(lines, "\n  ") + "\n" + racked[end:]
	}
	changed := func(from, to string) string { return strings.Replace(racked, from, to, 1) }
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"unknown rack": {changed("rack: left", "rack: lefd"), []string{`16:9: unknown rack "lefd"; did you mean "left"?`}},
		"no racks": {changed("  racks:\n    left: [control-plane, worker, worker2]\n    right: [worker3, worker4]\n", ""), []string{
			`13:9: unknown rack "left"; cluster.racks has none`}},
		"no rack":           {outage("nodes: rack"), []string{`15:3: outage.rack is missing; nodes: rack needs it`}},
		"rack without need": {outage("rack: left"), []string{`15:9: outage.rack is "left", but nodes is all; want nodes: rack`}},
		"rack's name":       {changed("    right:", "    Right:"), []string{`10:5: rack "Right"; want lower-case words joined by dashes`}},
		"empty rack":        {changed("[worker3, worker4]", "[]"), []string{`10:12: cluster.racks.right is empty; name some of its nodes`}},
		"unknown node":      {changed("worker4]", "worker5]"), []string{`10:22: unknown node "worker5"; did you mean "worker"?`}},
		"no such node": {changed("worker4]", "x]"), []string{
			`10:22: unknown node "x"; valid: control-plane, worker, worker2, worker3, worker4`}},
		"node twice":    {changed("worker4]", "worker3]"), []string{`10:22: node "worker3" twice`}},
		"small disk":    {changed("size: 1Gi", "size: 100Mi"), []string{`7:11: cluster.disk.size is 100Mi; want at least 512Mi`}},
		"file system":   {changed("xfs", "btrfs"), []string{`6:17: unknown cluster.disk.filesystem "btrfs"; valid: ext4, xfs`}},
		"unsynced word": {changed("keep", "kep"), []string{`18:19: unknown outage.unsyncedWrites "kep"; did you mean "keep"?`}},
		"stagger of one group": {outage("stagger: 5s"), []string{
			`15:12: outage.stagger is 5s, but all return at once with order: together`}},
		"order of one rack": {changed("rack: left\n  duration: 10s\n  unsyncedWrites: keep\n  order: one-by-one", "rack: right\n  duration: 10s\n  unsyncedWrites: keep\n  order: workers-first"), []string{
			`19:10: outage.order workers-first has no meaning with nodes: rack`}},
		"in turn, one node": {outage("nodes: one-worker", "inTurn: true"), []string{
			`16:11: outage.inTurn has no meaning with one node; nodes: one-worker has no more`}},
		"in turn, order": {outage("inTurn: true", "order: random"), []string{
			`16:10: outage.order random has no meaning with inTurn: each node returns alone`}},
		"in turn, stagger": {outage("inTurn: true", "stagger: 1s"), []string{
			`16:12: outage.stagger is 1s, but with inTurn each node returns alone`}},
		"in turn, how": {outage("inTurn: yes"), []string{`15:11: outage.inTurn is the string "yes"; want true or false`}},
		"in turn, never": {outage("inTurn: true", "never: 1"), []string{
			`16:10: outage.never is 1, but with inTurn each node returns before the next is cut`}},
		"in turn, addresses": {outage("inTurn: true", "addresses: shuffled"), []string{
			`16:14: outage.addresses shuffled has no meaning where one node returns alone`}},
		"in turn, between": {outage("inTurn: true", "between: 0s"), []string{`16:12: outage.between is 0s; want more than 0s`}},
		"never, repeated": {outage("never: 1", "repeats: 2"), []string{
			`15:10: outage.never is 1, but repeats is 2: what has no power cannot lose it again`}},
		"never, all":     {outage("never: 4"), []string{`15:10: outage.never is 4, but 4 workers are cut and one of those must return`}},
		"never, control": {outage("nodes: control-planes", "never: 1"), []string{`16:10: outage.never is 1, but 0 workers are cut and one of those must return`}},
		"never, below 0": {outage("never: -1"), []string{`15:10: outage.never is -1; want at least 0`}},
		"one returns": {outage("nodes: rack", "rack: right", "never: 1", "addresses: shuffled"), []string{
			`18:14: outage.addresses shuffled has no meaning where one node returns alone`}},
		"shuffled control planes": {strings.Replace(outage("addresses: shuffled"), "controlPlanes: 1", "controlPlanes: 3", 1), []string{
			`15:14: outage.addresses shuffled is impossible with 3 control planes of which some are cut: etcd knows its members by their addresses; cut workers only, or have one control plane`}},
		"next of one": {outage("next: after-restore"), []string{
			`15:9: outage.next after-restore has no meaning with one outage; want repeats or inTurn`}},
		"cut before the last returned": {changed("between: 30s", "between: 10s"), []string{
			`23:12: outage.between is 10s, but the last of 3 groups gets its power 10s after the first; want more`}},
		"recovered too late": {changed("within: 3m", "within: 5m"), []string{
			`27:43: bounds[1].within is 5m, but the steps of a recovery are followed for 4m at most: phases.recovery`}},
		"recovered with a max": {changed("within: 3m", "within: 3m, max: 1"), []string{
			`27:47: kind recovered does not read "max"; it reads within`}},
	} {
		t.Run(name, func(t *testing.T) { expectProblems(t, c.text, c.want...) })
	}
	for name, text := range map[string]string{
		"in turn":                          outage("inTurn: true", "between: 10s"),
		"some never":                       outage("never: 3", "order: control-planes-first", "stagger: 1s"),
		"a rack with one role, one by one": outage("nodes: rack", "rack: right", "order: one-by-one", "stagger: 1s"),
		"workers shuffled":                 strings.Replace(outage("nodes: workers", "addresses: shuffled"), "controlPlanes: 1", "controlPlanes: 3", 1),
		"brown-out":                        outage("duration: 2s", "repeats: 4", "between: 5s", "next: after-restore"),
	} {
		t.Run(name, func(t *testing.T) { roundTrip(t, decoded(t, text)) })
	}
}

func TestNodeNames(t *testing.T) {
	controlPlanes, workers := Cluster{ControlPlanes: 2, Workers: 3}.NodeNames()
	NewWithT(t).Expect(slices.Concat(controlPlanes, workers)).To(Equal([]string{
		"control-plane", "control-plane2", "worker", "worker2", "worker3",
	}))
}

// The command line's word is judged as the file's is.
func TestWithUnsynced(t *testing.T) {
	g := NewWithT(t)
	s := decoded(t, least)
	g.Expect(s.Outage.UnsyncedWrites).To(Equal(Drop))
	g.Expect(s.WithUnsynced(Keep).Validate(realNames)).To(Succeed())
	g.Expect(s.WithUnsynced("lose").Validate(realNames)).To(MatchError(`unknown outage.unsyncedWrites "lose"; valid: drop, keep`))
	g.Expect(s.Outage.UnsyncedWrites).To(Equal(Drop))
}
