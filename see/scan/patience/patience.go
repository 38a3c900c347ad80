// Package patience does work that may hang within deadlines: one piece, or many with a few goroutines.
package patience

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Within runs fn and waits at most limit for it. A function that hangs (a dead file server, a held lock) is left behind with its thread;
// what it returns later is dropped, so fn must not write to anything but its result.
func Within[T any](limit time.Duration, fn func() T) (result T, ok bool) {
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

// Crew is work on n items with a deadline for each, by goroutines that go from item to item: a goroutine, a timer and a channel for every
// item cost more than reading a process does.
type Crew[T any] struct {
	Workers, N int
	Limit      time.Duration
	First      func(i int) T // may hang: it must not write to anything but its result, which is dropped when it is late
	Late       func(i int) T // says the result of an item that took longer than Limit
	Then       func(T)       // comes after First and must end by itself (see Within); it is not called after Late
}

// Each does the work and returns the results, in the order of the items, when all are there. Items that nobody began before ctx ended
// keep the zero value.
func Each[T any](ctx context.Context, c Crew[T]) []T {
	h := &hall[T]{Crew: c, ctx: ctx, out: make([]T, c.N), state: make([]atomic.Int32, c.N), done: make(chan struct{})}
	h.left.Store(int64(c.N))
	if c.N == 0 {
		return h.out
	}
	for range min(c.Workers, c.N) {
		h.hire()
	}
	tick := time.NewTicker(max(min(patience, c.Limit)/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-h.done:
			return h.out
		case <-tick.C:
			h.watch()
		}
	}
}

// hall is where a crew works.
type hall[T any] struct {
	Crew[T]
	ctx   context.Context
	out   []T
	state []atomic.Int32 // of each item: what is known of its result
	next  atomic.Int64
	left  atomic.Int64
	done  chan struct{}
	mu    sync.Mutex
	all   []*worker
}

// The states of an item.
const (
	waiting int32 = iota
	settled       // its result is written by whoever made it so
)

// worker is one goroutine on its way through the items.
type worker struct {
	item    atomic.Int64 // the one that it is at, -1 for none
	since   atomic.Int64 // when it began with it, Unix nanoseconds
	slow    bool         // another was hired in its place; of watch alone
	stopped atomic.Bool
}

func (h *hall[T]) hire() {
	w := &worker{}
	w.item.Store(-1)
	h.mu.Lock()
	h.all = append(h.all, w)
	h.mu.Unlock()
	go h.work(w)
}

func (h *hall[T]) work(w *worker) {
	defer w.stopped.Store(true)
	for !w.stopped.Load() {
		i := h.next.Add(1) - 1
		if i >= int64(h.N) {
			return
		}
		if h.ctx.Err() != nil {
			h.settle(int(i), func() {})
			continue
		}
		w.since.Store(time.Now().UnixNano())
		w.item.Store(i)
		r := h.First(int(i))
		if !h.state[i].CompareAndSwap(waiting, settled) {
			return // too late; somebody else goes on
		}
		h.out[i] = r
		h.Then(r)
		w.item.Store(-1)
		h.finish()
	}
}

// settle writes a result unless there is one already.
func (h *hall[T]) settle(i int, write func()) {
	if h.state[i].CompareAndSwap(waiting, settled) {
		write()
		h.finish()
	}
}

func (h *hall[T]) finish() {
	if h.left.Add(-1) == 0 {
		close(h.done)
	}
}

// watch hires somebody beside a worker that lost its patience's worth of time, and ends the waiting for an item that is too late.
func (h *hall[T]) watch() {
	h.mu.Lock()
	all := slices.Clone(h.all)
	h.mu.Unlock()
	now := time.Now().UnixNano()
	for _, w := range all {
		i, took := w.item.Load(), time.Duration(now-w.since.Load())
		if i < 0 || took < patience && took < h.Limit {
			continue
		}
		if !w.slow {
			w.slow = true
			w.stopped.Store(true) // it ends with this item
			h.hire()
		}
		if took >= h.Limit && h.state[i].Load() == waiting {
			go h.settle(int(i), func() { h.out[i] = h.Late(int(i)) }) // late asks the process again, and may wait
		}
	}
	h.mu.Lock()
	h.all = slices.DeleteFunc(h.all, func(w *worker) bool { return w.slow && (w.item.Load() < 0 || h.state[w.item.Load()].Load() == settled) })
	h.mu.Unlock()
}
