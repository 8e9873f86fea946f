package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"blackout/e2e/backlog"
	"blackout/e2e/longhorn"
)

// A state that could not be written is written again, every patchAgain for
// patchLimit at most.
const (
	patchAgain = time.Second
	patchLimit = time.Minute
)

// dressed is how many backups of a backlog get each state, by what becomes of
// one in so many.
func dressed(i int) string {
	const every = 10
	switch i % every {
	case 0:
		return longhorn.BackupCompleted
	case 1:
		return longhorn.BackupError
	case 2:
		return longhorn.BackupNew
	}
	return longhorn.BackupPending
}

// dress does what managers do to a backlog: it gives every backup a state with
// what v1.7.2 says in it, and every volume an attachment with a ticket for each
// backup that waits.
func (l *lab) dress(ctx context.Context, items []backlog.Item) error {
	client, err := rest.HTTPClientFor(l.server.Config())
	if err != nil {
		return fmt.Errorf("make a bare client: %w", err)
	}
	defer client.CloseIdleConnections()
	numbers := make([]int, len(items))
	for i := range numbers {
		numbers[i] = i
	}
	host := l.server.Config().Host
	err = inParallel(ctx, numbers, func(ctx context.Context, i int) error {
		state := dressed(i)
		if state == longhorn.BackupNew {
			return nil
		}
		body, err := json.Marshal(map[string]any{"status": statusOf(items[i], state)})
		if err != nil {
			return err
		}
		patch := func(ctx context.Context) (bool, error) {
			err = send(ctx, client, http.MethodPatch, host+objectsPath("backups")+"/"+items[i].Name+"/status", "application/merge-patch+json", body)
			return err == nil, nil
		}
		// An etcd on a busy machine may time out now and then: of 100,000 writes one does.
		if ended := wait.PollUntilContextTimeout(ctx, patchAgain, patchLimit, true, patch); ended != nil {
			return errors.Join(ended, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("give the backups their states: %w", err)
	}
	tickets := map[string]map[string]any{}
	for i, item := range items {
		if tickets[item.Volume] == nil {
			tickets[item.Volume] = map[string]any{}
		}
		if state := dressed(i); state == longhorn.BackupPending {
			id := "backup-controller-" + item.Name
			tickets[item.Volume][id] = map[string]any{
				"id": id, "nodeID": "blackout-bench-worker", "type": "backup-controller", "generation": 0,
				"parameters": map[string]any{"disableFrontend": "any"},
			}
		}
	}
	var volumes []string
	for volume := range tickets {
		volumes = append(volumes, volume)
	}
	err = inParallel(ctx, volumes, func(ctx context.Context, volume string) error {
		body, err := json.Marshal(map[string]any{
			"apiVersion": longhorn.GroupVersion.String(), "kind": "VolumeAttachment", "metadata": map[string]any{"name": volume},
			"spec": map[string]any{"volume": volume, "attachmentTickets": tickets[volume]},
		})
		if err != nil {
			return err
		}
		return send(ctx, client, http.MethodPost, host+objectsPath("volumeattachments"), "application/json", body)
	})
	if err != nil {
		return fmt.Errorf("attach the volumes: %w", err)
	}
	return nil
}

func statusOf(item backlog.Item, state string) map[string]any {
	status := map[string]any{
		"ownerID": "blackout-bench-worker", "state": state, "snapshotName": item.Snapshot, "volumeName": item.Volume,
		"volumeSize": "16777216", "volumeCreated": "2026-01-02T03:04:05Z", "volumeBackingImageName": "", "snapshotCreatedAt": "",
		"backupCreatedAt": "", "replicaAddress": "", "size": "", "url": "", "progress": 0, "compressionMethod": "lz4",
	}
	if state == longhorn.BackupPending {
		status["messages"] = map[string]any{"info": fmt.Sprintf("Failed to get the Snapshot %s: snapshot.longhorn.io %q not found", item.Snapshot, item.Snapshot)}
	}
	return status
}
