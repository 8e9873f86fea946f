package run

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"blackout/e2e/content"
	"blackout/e2e/history"
	"blackout/e2e/longhorn"
)

const (
	// compared at the same time: each is two backups of a volume.
	compared = 4
	// wholeTries is how often a whole backup is tried: one of the backlog that ends
	// between its two makes it incremental, and those are tried twice a minute.
	wholeTries = 4
)

// fill makes the volumes from backups that the harness writes into the store.
func (t *trial) fill(ctx context.Context) error {
	store, err := t.store.Open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	s := t.Scenario.Volumes
	urls := make([]string, s.Count)
	t.contents = make([]content.Spec, s.Count)
	for i := range t.contents {
		t.contents[i] = content.Spec{
			Volume: fmt.Sprintf("seed-%s-%03d", t.id, i), Size: s.Size.Value(), Seed: t.Scenario.Seed, Fill: s.Content.Fill,
		}
	}
	writing, write := errgroup.WithContext(ctx)
	for i, spec := range t.contents {
		writing.Go(func() (err error) {
			urls[i], err = content.Write(write, store, spec)
			return err
		})
	}
	if err := writing.Wait(); err != nil {
		return err
	}
	t.lab.VolumeIDs, err = t.lab.Longhorn.CreateVolumes(ctx, longhorn.VolumeSet{
		Count: s.Count, Size: s.Size, Replicas: s.Replicas, NamePrefix: t.lab.Prefix, Backups: urls,
	})
	if err != nil {
		return err
	}
	return t.lab.Longhorn.WaitVolumesHealthy(ctx, t.lab.VolumeIDs, nil)
}

// contentWritten records what the volumes began with.
func (t *trial) contentWritten() error {
	for i, spec := range t.contents {
		if err := t.writer.Event(history.Event{Time: time.Now(), Kind: history.ContentWritten, Subject: t.lab.VolumeIDs[i], Fields: map[string]string{
			history.FieldBytes: strconv.FormatInt(spec.Size, 10), history.FieldBlocks: strconv.Itoa(spec.Blocks()), history.FieldSeed: strconv.FormatInt(spec.Seed, 10),
		}}); err != nil {
			return err
		}
	}
	return nil
}

// compare backs every volume up whole and compares the backup with what the
// volume began with. What cannot be backed up is a fact about Longhorn.
func (t *trial) compare(ctx context.Context, note func(string, ...any)) error {
	store, err := t.store.Open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	var done atomic.Int32
	comparing, ctx := errgroup.WithContext(ctx)
	comparing.SetLimit(compared)
	for i, spec := range t.contents {
		comparing.Go(func() error {
			volume := t.lab.VolumeIDs[i]
			fields, err := t.compareOne(ctx, store, volume, spec)
			if err != nil {
				return err
			}
			note("%d of %d volumes", done.Add(1), len(t.contents))
			return t.writer.Event(history.Event{Time: time.Now(), Kind: history.ContentChecked, Subject: volume, Fields: fields})
		})
	}
	return comparing.Wait()
}

// compareOne returns the fields of the event. The error is of a run that is over.
func (t *trial) compareOne(ctx context.Context, store content.Store, volume string, spec content.Spec) (map[string]string, error) {
	var found content.Report
	err := content.ErrNotWhole
	for try := 1; try <= wholeTries && errors.Is(err, content.ErrNotWhole); try++ {
		var backup longhorn.Backup
		backup, err = t.lab.Longhorn.BackupWhole(ctx, volume, fmt.Sprintf("%s%s-%s-%d", wholePrefix, t.id, volume, try))
		if err == nil {
			found, err = content.Compare(ctx, store, backup.Status.URL, spec)
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return map[string]string{history.FieldError: err.Error()}, nil //nolint:nilerr // a fact about Longhorn
	}
	fields := map[string]string{history.FieldBlocks: strconv.Itoa(found.Blocks), history.FieldDiffering: strconv.Itoa(found.Differing())}
	if found.Differing() > 0 {
		fields[history.FieldOffset], fields[history.FieldDetail] = strconv.FormatInt(found.First(), 10), found.Detail()
	}
	return fields, nil
}
