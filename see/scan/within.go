package scan

import (
	"context"
	"sync"
	"time"
)

// within runs fn and waits at most limit for it. A function that hangs (a dead file server, a held lock) is left behind with its thread;
// what it returns later is dropped, so fn must not write to anything but its result.
func within[T any](limit time.Duration, fn func() T) (result T, ok bool) {
	done := make(chan T, 1)
	go func() { done <- fn() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case result = <-done:
		return result, true
	case <-timer.C:
		return result, false
	}
}

// patience is how long an item may keep its place among the workers. One that takes longer goes on, but the next is started beside it,
// so that a hundred hanging files cost one deadline and not a hundred.
const patience = 100 * time.Millisecond

// each runs fn for 0..n-1 with that many workers, and returns when all have ended. fn must end by itself (see within).
func each(ctx context.Context, workers, n int, fn func(i int)) {
	places := make(chan struct{}, workers)
	var all sync.WaitGroup
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		places <- struct{}{}
		all.Go(func() {
			leave := sync.OnceFunc(func() { <-places })
			timer := time.AfterFunc(patience, leave)
			defer func() {
				timer.Stop()
				leave()
			}()
			fn(i)
		})
	}
	all.Wait()
}
