package cluster

import (
	"errors"
	"sync"
)

// All does something to all items at the same time, whatever fails, and joins the
// errors in the items' order.
func All[T any](items []T, do func(i int, item T) error) error {
	failed := make([]error, len(items))
	var all sync.WaitGroup
	for i, item := range items {
		all.Go(func() { failed[i] = do(i, item) })
	}
	all.Wait()
	return errors.Join(failed...)
}
