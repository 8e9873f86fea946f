package main

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// inParallel does it for every item, so many at a time, and returns the first
// error.
func inParallel[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for _, item := range items {
		group.Go(func() error { return do(ctx, item) })
	}
	return group.Wait()
}
