package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"blackout/e2e/backlog"
	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/longhorn"
	"blackout/e2e/scenario"
)

// concurrency of both, as scenarios have it.
const concurrency = 8

// backlogOf is a backlog of so many backups, whose snapshots never were.
func backlogOf(prefix string, count int) backlog.Spec {
	spec := backlog.Spec{
		Prefix: prefix, Count: count, LostShare: 1, Lost: scenario.NeverExisted, Concurrency: concurrency,
	}
	for i := range (count + backlog.MaxPerVolume - 1) / backlog.MaxPerVolume {
		spec.Volumes = append(spec.Volumes, fmt.Sprintf("vol-%03d", i+1))
	}
	return spec
}

// nowhere takes events and forgets them.
type nowhere struct{}

func (nowhere) Event(history.Event) error { return nil }

// queueRates submits as many backups by the queue and by a bare client, and returns
// the rates of each turn in backups a second. They take turns at being first: the
// second meets a larger store, and more of the server's own garbage to collect.
// Name is part of the backups' names.
func (l *lab) queueRates(ctx context.Context, name string, count, turns int) (queued, raw []float64, err error) {
	both := []func(turn int) error{
		func(turn int) error {
			totals, err := backlog.Queue(ctx, backlogOf(fmt.Sprintf("%s-queue-%d", name, turn), count), l.system, nowhere{})
			queued = append(queued, totals.Rate())
			return err
		},
		func(turn int) error {
			elapsed, err := submitRaw(ctx, l.server.Config(), backlogOf(fmt.Sprintf("%s-raw-%d", name, turn), count))
			raw = append(raw, float64(count)/elapsed.Seconds())
			return err
		},
	}
	for turn := range turns {
		for _, one := range both {
			if err := one(turn); err != nil {
				return nil, nil, err
			}
		}
		slices.Reverse(both)
	}
	return queued, raw, nil
}

// medianRatio of the turns: what slows the machine down for a while meets both of
// a turn.
func medianRatio(mine, theirs []float64) float64 {
	var ratios []float64
	for i := range mine {
		ratios = append(ratios, mine[i]/theirs[i])
	}
	return bound.Median(ratios)
}

// submitRaw makes the same backups with the same number of clients, and nothing
// else: no typed client, no count, no second try.
func submitRaw(ctx context.Context, config *rest.Config, spec backlog.Spec) (time.Duration, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "blackout-bench" // a client of its own, with connections of its own
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return 0, fmt.Errorf("make a bare client: %w", err)
	}
	defer client.CloseIdleConnections()
	items, err := backlog.Plan(spec)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = inParallel(ctx, items, func(ctx context.Context, item backlog.Item) error {
		body, err := json.Marshal(rawBackup(item))
		if err != nil {
			return err
		}
		return send(ctx, client, http.MethodPost, config.Host+objectsPath("backups"), "application/json", body)
	})
	return time.Since(began), err
}

func objectsPath(plural string) string {
	return fmt.Sprintf("/apis/%s/%s/namespaces/%s/%s", longhorn.GroupVersion.Group, longhorn.GroupVersion.Version, longhorn.Namespace, plural)
}

// rawBackup is what longhorn.System sends for it.
func rawBackup(item backlog.Item) *longhorn.Backup {
	return &longhorn.Backup{
		TypeMeta: metav1.TypeMeta{APIVersion: longhorn.GroupVersion.String(), Kind: "Backup"},
		ObjectMeta: metav1.ObjectMeta{Name: item.Name, Namespace: longhorn.Namespace, Labels: map[string]string{
			longhorn.LabelManaged: "true", "backup-volume": item.Volume,
		}},
		Spec: longhorn.BackupSpec{SnapshotName: item.Snapshot, BackupMode: "incremental"},
	}
}

func send(ctx context.Context, client *http.Client, method, address, contentType string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // only read from
	said, err := io.ReadAll(response.Body)       // so that the connection is used again
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, address, response.Status, said)
	}
	return nil
}
