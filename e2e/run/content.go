package run

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"blackout/e2e/content"
	"blackout/e2e/history"
	"blackout/e2e/longhorn"
)

// compared at the same time: each is two backups of a volume.
const compared = 4

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
	if err := each(ctx, s.Count, s.Count, func(ctx context.Context, i int) (err error) {
		urls[i], err = content.Write(ctx, store, t.contents[i])
		return err
	}); err != nil {
		return err
	}
	t.lab.VolumeIDs, err = t.lab.Longhorn.CreateVolumes(ctx, longhorn.VolumeSet{
		Count: s.Count, Size: s.Size, Replicas: s.Replicas, NamePrefix: t.lab.Prefix, Backups: urls,
	})
	if err != nil {
		return err
	}
	return t.lab.Longhorn.WaitVolumesHealthy(ctx, t.lab.VolumeIDs, time.Time{})
}

// contentWritten records what the volumes began with.
func (t *trial) contentWritten() error {
	for i, spec := range t.contents {
		if err := t.writer.Event(history.Event{Time: time.Now(), Kind: history.ContentWritten, Subject: t.lab.VolumeIDs[i], Fields: map[string]string{
			"bytes": strconv.FormatInt(spec.Size, 10), "blocks": strconv.Itoa(spec.Blocks()), "seed": strconv.FormatInt(spec.Seed, 10),
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
	return each(ctx, len(t.contents), compared, func(ctx context.Context, i int) error {
		volume := t.lab.VolumeIDs[i]
		fields := map[string]string{}
		backup, err := t.lab.Longhorn.BackupWhole(ctx, volume, wholePrefix+t.id+"-"+volume)
		if err == nil {
			var found content.Report
			if found, err = content.Compare(ctx, store, backup.Status.URL, t.contents[i]); err == nil {
				fields["blocks"], fields["differing"] = strconv.Itoa(found.Blocks), strconv.Itoa(found.Differing())
				if found.Differing() > 0 {
					fields["offset"], fields["detail"] = strconv.FormatInt(found.First(), 10), found.Detail()
				}
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			fields["error"] = err.Error()
		}
		note("%d of %d volumes", done.Add(1), len(t.contents))
		return t.writer.Event(history.Event{Time: time.Now(), Kind: history.ContentChecked, Subject: volume, Fields: fields})
	})
}

// each does n things, some at the same time, and ends the others when one fails.
func each(ctx context.Context, n, concurrency int, do func(ctx context.Context, i int) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	slots := make(chan struct{}, concurrency)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() == nil {
				if err := do(ctx, i); err != nil {
					fail(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
