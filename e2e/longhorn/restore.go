package longhorn

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// restoreTicket is the type of the ticket that keeps a volume attached while it
// is restored.
const restoreTicket = "volume-restore-controller"

// restoreFailure is the reason of a volume's condition Restore when no replica
// could be restored.
const restoreFailure = "RestoreFailure"

// awaitBackups returns once a manager has read these backups from the target: the
// webhook refuses to restore any other. Managers look into the target when they
// are asked to, else every five minutes.
func (s *System) awaitBackups(ctx context.Context, urls []string) error {
	names := make([]string, len(urls))
	for i, address := range urls {
		u, err := url.Parse(address)
		if err != nil || u.Query().Get("backup") == "" {
			return fmt.Errorf("%q is not the URL of a backup; it looks like %s?backup=b&volume=v", address, TargetURL())
		}
		names[i] = u.Query().Get("backup")
	}
	err := s.until(ctx, s.timeouts.VolumesRestored, fmt.Sprintf("%d backups to be read from the target", len(names)), func(ctx context.Context) (string, error) {
		var backups BackupList
		if err := s.list(ctx, "backups", &backups); err != nil {
			return "", err
		}
		missing := backupsMissing(backups.Items, names)
		if missing == "" {
			return "", nil
		}
		return missing, s.askToSync(ctx)
	})
	if err != nil {
		return s.explain(ctx, err, "Timeouts.VolumesRestored")
	}
	return nil
}

func backupsMissing(backups []Backup, names []string) string {
	known := map[string]Backup{}
	for _, backup := range backups {
		known[backup.Name] = backup
	}
	read, first := 0, ""
	for _, name := range names {
		switch backup, found := known[name]; {
		case found && backup.Status.State == BackupCompleted && backup.Status.VolumeSize != "":
			read++
		case first != "":
		case found:
			first = fmt.Sprintf("backup %s is %q %s", name, backup.Status.State, backup.Status.Error)
		default:
			first = "no manager has found backup " + name
		}
	}
	if first == "" {
		return ""
	}
	return fmt.Sprintf("%d of %d; %s", read, len(names), first)
}

// askToSync asks for a look into the target, unless one is still to be had.
func (s *System) askToSync(ctx context.Context) error {
	var target BackupTarget
	if err := s.api.Get(ctx, defaultTargetName, Namespace, &target); err != nil {
		return fmt.Errorf("get backup target %s: %w", defaultTargetName, err)
	}
	if syncPending(target) {
		return nil
	}
	return s.mergePatchOnce(ctx, &BackupTarget{ObjectMeta: named(defaultTargetName)}, map[string]any{
		"spec": map[string]any{"syncRequestedAt": time.Now().UTC().Format(time.RFC3339)},
	})
}

func syncPending(target BackupTarget) bool {
	asked, synced := target.Spec.SyncRequestedAt, target.Status.LastSyncedAt
	return asked != nil && synced != nil && asked.After(synced.Time)
}

// waitRestored returns once each volume holds what its backup does and whoever
// restored it has let it go.
func (s *System) waitRestored(ctx context.Context, names []string) error {
	err := s.until(ctx, s.timeouts.VolumesRestored, fmt.Sprintf("%d volumes to be restored", len(names)), func(ctx context.Context) (string, error) {
		var volumes VolumeList
		if err := s.list(ctx, "volumes", &volumes); err != nil {
			return "", err
		}
		var attachments VolumeAttachmentList
		if err := s.list(ctx, "volume attachments", &attachments); err != nil {
			return "", err
		}
		return restoresMissing(volumes.Items, attachments.Items, names)
	})
	if err != nil {
		return s.explain(ctx, err, "Timeouts.VolumesRestored")
	}
	return nil
}

func restoresMissing(volumes []Volume, attachments []VolumeAttachment, names []string) (string, error) {
	volume, attachment := map[string]*Volume{}, map[string]*VolumeAttachment{}
	for i := range volumes {
		volume[volumes[i].Name] = &volumes[i]
	}
	for i := range attachments {
		attachment[attachments[i].Name] = &attachments[i]
	}
	done, first := 0, ""
	for _, name := range names {
		missing, err := restoreMissing(name, volume[name], attachment[name])
		if err != nil {
			return "", err
		}
		if missing == "" {
			done++
		} else if first == "" {
			first = missing
		}
	}
	if first == "" {
		return "", nil
	}
	return fmt.Sprintf("%d of %d; %s", done, len(names), first), nil
}

// restoreMissing does not take a volume for restored that is still attached for
// it: the engine that restored must end before another attachment. Of a volume that
// faulted while it was restored Longhorn makes nothing any more: an error.
func restoreMissing(name string, volume *Volume, attachment *VolumeAttachment) (string, error) {
	switch {
	case volume == nil:
		return "volume " + name + " does not exist", nil
	case attachment == nil:
		return "volume " + name + " has no VolumeAttachment yet", nil
	case !volume.Status.RestoreInitiated || volume.Status.RestoreRequired:
		why := condition(volume.Status.Conditions, "Restore")
		if why.Reason == restoreFailure {
			return "", fmt.Errorf("volume %s could not be restored: %s; see what its replicas log, delete it and create it again", name, why.Message)
		}
		return fmt.Sprintf("volume %s is %q and %q, not restored: %s %s", name, volume.Status.State, volume.Status.Robustness, why.Reason, why.Message), nil
	}
	for _, ticket := range attachment.Spec.AttachmentTickets {
		if ticket.Type == restoreTicket {
			return "volume " + name + " is restored and to be let go", nil
		}
	}
	if ours := attachment.Spec.AttachmentTickets[TicketID] != nil; !ours && volume.Status.State != VolumeDetached {
		return fmt.Sprintf("volume %s is restored and %q", name, volume.Status.State), nil
	}
	return "", nil
}

// BackupWhole backs up all that an attached volume holds now, not only what has
// changed since its last backup, and returns the backup, which is Completed.
//
// Engines since 1.7 have a mode for it, which older ones ignore without a word,
// and which engine a manager runs is not its version's to say. But every engine
// reads a snapshot whole whose backup was the volume's last one. So the snapshot,
// of the same name, is backed up twice: the first backup is called <name>-first.
// It is read from one replica, of the engine's choice.
func (s *System) BackupWhole(ctx context.Context, volume, name string) (Backup, error) {
	if _, err := s.TakeSnapshot(ctx, volume, name); err != nil {
		return Backup{}, err
	}
	var done Backup
	for _, each := range []string{name + "-first", name} {
		var err error
		if _, done, err = s.backUpFully(ctx, volume, name, each); err != nil {
			return done, err
		}
	}
	if done.Status.URL == "" {
		return done, fmt.Errorf("backup %s is %s, but has no URL; see what the manager that owns it logs", name, done.Status.State)
	}
	return done, nil
}

// backUpFully asks for a backup in the mode "full", where managers have modes, and
// waits until it is Completed. It says whether the backup was made, whatever became
// of it.
func (s *System) backUpFully(ctx context.Context, volume, snapshot, name string) (made bool, done Backup, err error) {
	backup := newBackup(volume, snapshot, name, s.features)
	if s.features.backupMode {
		backup.Spec.BackupMode = modeFull
	}
	if err := s.create(ctx, fmt.Sprintf("full backup %s of volume %s", name, volume), backup); err != nil {
		return false, Backup{}, err
	}
	done, err = s.WaitBackup(ctx, name)
	return true, done, err
}
