// Package watch tells when the processes of this machine become others, so that they are looked at again only then.
package watch

import (
	"context"
	"maps"
	"slices"
	"time"

	"staunch/see/scan/proc"
)

// Watcher compares the processes of now with those of the last Mark. It is for one goroutine.
type Watcher struct {
	root   string
	events *events // nil: there are none to be had
	every  time.Duration
	last   map[int]print
	told   map[int]bool // processes that the kernel says ran another program since
	s      proc.Scratch
}

const (
	pollAlone  = time.Second     // without the kernel's events, everything is seen by comparing
	pollBeside = 5 * time.Second // with them, only libraries that a running process takes in later
	// settle is how long a change may bring others along before they are looked at together.
	settle = 300 * time.Millisecond
)

// New watches the processes below root, a mounted procfs; "" means /proc. The kernel's process events are used where this user may
// listen to them (CAP_NET_ADMIN in the machine's first namespaces) and root is /proc.
func New(root string) *Watcher {
	w := &Watcher{root: root, every: pollAlone, last: map[int]print{}, told: map[int]bool{}}
	if root == "" || root == "/proc" {
		w.root = "/proc"
		if w.events = listen(); w.events != nil {
			w.every = pollBeside
		}
	}
	return w
}

// Close ends the watch.
func (w *Watcher) Close() {
	if w.events != nil {
		w.events.close()
	}
}

// How says in words how changes are noticed.
func (w *Watcher) How() string {
	if w.events != nil {
		return "the kernel tells of new programs at once; new libraries of running ones are looked for every " + pollBeside.String()
	}
	return "processes are compared every " + pollAlone.String() + " (as root the kernel would tell of them at once)"
}

// Change lists what is other than at the last Mark, by pid. Nothing in it means that only the time went by.
type Change struct {
	Appeared, Gone []int
	Changed        []int // runs another program than before, or has other files mapped to run
}

// Any tells whether anything changed.
func (c Change) Any() bool { return len(c.Appeared)+len(c.Gone)+len(c.Changed) > 0 }

// Mark remembers how the processes are now. Called before a look, it lets the next Wait tell of what changed meanwhile.
func (w *Watcher) Mark() error {
	now, err := w.prints(w.last)
	if err != nil {
		return err
	}
	w.last = now
	return nil
}

// Wait returns when the processes are others than at the last Mark, or when the longest time went by, or with ctx's error.
func (w *Watcher) Wait(ctx context.Context, longest time.Duration) (Change, error) {
	end := time.NewTimer(longest)
	defer end.Stop()
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		c, err := w.compare()
		if err != nil || c.Any() {
			return c, err
		}
		select {
		case <-ctx.Done():
			return Change{}, ctx.Err()
		case <-end.C:
			return Change{}, nil
		case <-tick.C:
		case pid := <-w.arriving():
			w.told[pid] = true
			if err := w.gather(ctx); err != nil {
				return Change{}, err
			}
		}
	}
}

// arriving is where the kernel's events arrive; nil, and so never ready, without them.
func (w *Watcher) arriving() <-chan int {
	if w.events == nil {
		return nil
	}
	return w.events.pids
}

// gather takes in what follows an event closely: programs start others, and a program's libraries come after it.
func (w *Watcher) gather(ctx context.Context) error {
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case pid := <-w.arriving():
			w.told[pid] = true
		case <-quiet.C:
			return nil
		}
	}
}

// compare tells what is other than at the last Mark.
func (w *Watcher) compare() (Change, error) {
	now, err := w.prints(w.last)
	if err != nil {
		return Change{}, err
	}
	var c Change
	for pid, p := range now {
		before, ok := w.last[pid]
		switch {
		case !ok:
			c.Appeared = append(c.Appeared, pid)
		case before.start != p.start || before.code != p.code:
			c.Changed = append(c.Changed, pid)
		default:
			w.last[pid] = p // the same code in memory of another size
		}
	}
	for pid := range maps.Keys(w.last) {
		if _, ok := now[pid]; !ok {
			c.Gone = append(c.Gone, pid)
		}
	}
	for _, list := range [][]int{c.Appeared, c.Gone, c.Changed} {
		slices.Sort(list)
	}
	return c, nil
}
