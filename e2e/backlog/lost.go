package backlog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"blackout/e2e/history"
)

// Seen is what was seen of snapshots after the outage.
type Seen struct {
	// Listed are the snapshots that each volume's engine lists, by evidence newer
	// than the restore. A volume that is not there is not known.
	Listed map[string][]string
	// Holding is how many replica directories of a volume held a snapshot, by
	// volume and snapshot, when power returned and before any node started.
	Holding map[string]map[string]int
	// Directories that were looked at then, by volume.
	Directories map[string]int
}

// Lost is a snapshot that was acknowledged as ready before the cut, that nobody
// asked to remove, and that the volume's engine does not list after the restore.
type Lost struct {
	Taken
	How      string // history.LostRolledBack and so on
	Evidence string
}

// Found is what became of the snapshots that were acknowledged.
type Found struct {
	Lost []Lost
	Kept int
	// Unknown are snapshots of volumes whose engine did not say.
	Unknown []string
}

// Backups is how many backups name a lost snapshot.
func (f Found) Backups() int {
	n := 0
	for _, lost := range f.Lost {
		n += len(lost.Backups)
	}
	return n
}

// FindLost tells which of the acknowledged snapshots are lost. It is pure.
func FindLost(taken []Taken, seen Seen) Found {
	var found Found
	for _, t := range taken {
		if t.Ready.IsZero() || !t.Removing.IsZero() {
			continue // not promised, or maybe removed
		}
		listed, known := seen.Listed[t.Volume]
		switch {
		case !known:
			found.Unknown = append(found.Unknown, t.Name)
		case slices.Contains(listed, t.Name):
			found.Kept++
		default:
			found.Lost = append(found.Lost, seen.lost(t))
		}
	}
	return found
}

func (s Seen) lost(t Taken) Lost {
	has, of := s.Holding[t.Volume][t.Name], s.Directories[t.Volume]
	how, disks := history.LostPartly, fmt.Sprintf("%d of %d replica directories had it when power returned", has, of)
	switch {
	case of == 0:
		how, disks = history.LostUnseen, "no replica directory was looked at when power returned"
	case has == 0:
		how = history.LostRolledBack
	case has == of:
		how = history.LostDropped
	}
	return Lost{Taken: t, How: how, Evidence: fmt.Sprintf("ready at %s, before the cut; the engine of after the restore lists %s without it; %s",
		t.Ready.UTC().Format(time.TimeOnly), counted(len(s.Listed[t.Volume])), disks)}
}

func counted(n int) string {
	if n == 1 {
		return "1 snapshot"
	}
	return fmt.Sprintf("%d snapshots", n)
}

// Record tells of each lost snapshot.
func (f Found) Record(sink Sink) error {
	for _, lost := range f.Lost {
		event := history.Event{Time: time.Now(), Kind: history.SnapshotLost, Subject: lost.Name, Fields: map[string]string{
			history.FieldVolume: lost.Volume, history.FieldBackups: strings.Join(lost.Backups, ","),
			history.FieldHow: lost.How, history.FieldEvidence: lost.Evidence,
		}}
		if err := sink.Event(event); err != nil {
			return fmt.Errorf("record that snapshot %s is lost: %w", lost.Name, err)
		}
	}
	return nil
}
