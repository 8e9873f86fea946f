package scenario

// CutVolumes is on how many of so many volumes the newest snapshots must be ready
// for the cut: half, rounded up. The backups that are to be lost name those. To
// wait for all would take longer than disks keep them unwritten.
func CutVolumes(volumes int) int { return (volumes + 1) / 2 }

// rolledBack checks that a cut can roll snapshots back: every disk that has them
// must lose what was not synced, in one moment, and the backups that name them
// must be queued before it.
func (c *checker) rolledBack() {
	s := c.scenario
	if s.Backlog.Lost != RolledBack {
		return
	}
	b, o := s.Backlog, s.Outage
	switch {
	case o.UnsyncedWrites != Drop:
		c.fail(at("backlog.lost", "outage.unsyncedWrites"), "",
			"backlog.lost is %s, but outage.unsyncedWrites is %s: nothing is rolled back; want %s", b.Lost, o.UnsyncedWrites, Drop)
	case o.Nodes != AllNodes && o.Nodes != Workers:
		c.fail(at("backlog.lost", "outage.nodes"), "",
			"backlog.lost is %s, but outage.nodes is %s: a replica that keeps its power keeps the snapshot; want %s or %s", b.Lost, o.Nodes, AllNodes, Workers)
	case o.InTurn:
		c.fail(at("backlog.lost", "outage.inTurn"), "",
			"backlog.lost is %s, but outage.inTurn cuts one node at a time: the other replicas keep the snapshot", b.Lost)
	}
	if b.Start != BeforeOutage {
		c.fail(at("backlog.start", "backlog.lost"), "",
			"backlog.start is %s, but snapshots can only be rolled back if they are named before the cut; want %s", b.Start, BeforeOutage)
	}
	if s.Volumes.Count < 1 || b.Count < 1 {
		return
	}
	lost := b.LostCount()
	each := perVolume(lost, CutVolumes(s.Volumes.Count)) + perVolume(b.Count-lost, s.Volumes.Count)
	if each > MaxBackupsPerVolume {
		c.fail(at("backlog.count", "volumes.count", "backlog.lost"), "",
			"the %d backups to be lost name the newest snapshots of %d of %d volumes: up to %d backups a volume with the others; at most %d",
			lost, CutVolumes(s.Volumes.Count), s.Volumes.Count, each, MaxBackupsPerVolume)
	}
}
