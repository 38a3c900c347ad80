// Package files tells of every file behind the processes of one look what its content is, read once within a budget, and whether its name still leads to it:
// the same, deleted, replaced, or overwritten. It knows no reports, owners or cache.
package files

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"staunch/see/scan/elf"
	"staunch/see/scan/ident"
	"staunch/see/scan/jail"

	"golang.org/x/sys/unix"
)

// Content is one file's content at one time: analysed once, whatever number of processes, roots and names lead to it.
type Content struct {
	Key    ident.Key
	Want   ident.Sum
	fd     int         // open for reading until it is analysed; -1 afterwards
	ID     string      // elf.Object.ID; "" when there is none
	Sum    string      // of the whole file, lower-case hex, by Want.Kind; "" when it was not asked for or not read
	Object *elf.Object // nil until it is asked for when the memory knew it
	Cached bool        // Object came from the memory
	Why    string      // why there is no id
	NoELF  bool        // no ELF file at all
	Left   bool        // the time for it was over before its turn
	wanted atomic.Bool // it has to be queued for analysis
}

// Catalogue holds every content of a look, and the workers that analyse it.
type Catalogue struct {
	ctx      context.Context
	analyser *elf.Analyser
	memory   Memory
	limit    time.Duration
	now      time.Time
	budget   atomic.Int64 // bytes that may still be read
	bounded  bool
	read     atomic.Int64 // bytes read
	count    atomic.Int64 // contents analysed

	mu    sync.Mutex
	over  bool // nothing is taken any more
	known map[ident.Key]*Content
	work  chan *Content
	busy  sync.WaitGroup // workers
	open  sync.WaitGroup // contents that wait for analysis
	until atomic.Int64   // Unix nanoseconds after which nothing is begun; 0: no limit
}

const maxPending = 256 // open descriptors that wait for analysis

// Memory knows contents of earlier looks.
type Memory interface {
	Content(key ident.Key, want ident.Sum) (ident.Entry, bool)
}

// NewCatalogue returns one without contents. A read that takes longer than limit is given up.
func NewCatalogue(ctx context.Context, a *elf.Analyser, known Memory, limit time.Duration) *Catalogue {
	return &Catalogue{
		ctx: ctx, analyser: a, memory: known, limit: limit, now: time.Now(),
		known: map[ident.Key]*Content{}, work: make(chan *Content, maxPending),
	}
}

// Bound limits how many bytes are read in all; it is called before Start.
func (c *Catalogue) Bound(bytes int64) {
	c.bounded = true
	c.budget.Store(bytes)
}

// Read tells how many contents were analysed, and how many bytes were read for that.
func (c *Catalogue) Read() (contents int, bytes int64) { return int(c.count.Load()), c.read.Load() }

// All are the contents taken in so far.
func (c *Catalogue) All() []*Content {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.known))
}

// Start begins with the analysis; Finish waits until everything given is analysed.
func (c *Catalogue) Start(workers int) {
	for range workers {
		c.busy.Go(func() {
			for x := range c.work {
				if until := c.until.Load(); until != 0 && time.Now().UnixNano() > until || c.ctx.Err() != nil {
					unix.Close(x.fd)
					x.fd, x.Left, x.Why = -1, true, "the time was over before its turn"
				} else {
					c.analyse(x)
				}
				c.open.Done()
			}
		})
	}
}

// Wait returns when everything given so far is analysed or given up.
func (c *Catalogue) Wait() { c.open.Wait() }

// StopAt sets when analysis ends: what is not begun by then is left.
func (c *Catalogue) StopAt(t time.Time) { c.until.Store(t.UnixNano()) }

// Finish ends the workers. What a file system answered too late for anybody to queue it is given back, now or when it comes.
func (c *Catalogue) Finish() {
	close(c.work)
	c.busy.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, x := range c.known {
		if x.wanted.CompareAndSwap(true, false) {
			unix.Close(x.fd)
		}
	}
}

// Get returns the content behind a stat, opening it only if neither this look nor the memory knows it. The caller gives it to Queue.
// It may hang with the file system that open asks; it is called within a deadline.
func (c *Catalogue) Get(st *unix.Statx_t, want ident.Sum, open func() (int, error)) *Content {
	key := ident.KeyOf(st)
	mount := key.Mount
	key.Mount = 0 // within one look a device number is one file system
	c.mu.Lock()
	x, ok := c.known[key]
	c.mu.Unlock()
	if ok {
		return x
	}
	x = &Content{Key: key, Want: want, fd: -1}
	x.Key.Mount = mount
	if r, ok := c.memory.Content(x.Key, want); ok {
		x.ID, x.Sum, x.Want.Kind = r.ID, r.Sum, r.SumKind
		if r.ID == "" {
			x.NoELF, x.Cached, x.Why = true, true, elf.ErrNotELF.Error()
		}
	} else if fd, err := open(); err != nil {
		x.Why = "could not be opened: " + jail.Reason(err)
	} else {
		x.fd = fd
	}
	return c.add(key, x)
}

// add keeps the first of two that were opened at once.
func (c *Catalogue) add(key ident.Key, x *Content) *Content {
	c.mu.Lock()
	other, ok := c.known[key]
	keep := !ok && !c.over
	if keep {
		c.known[key] = x
		x.wanted.Store(x.fd >= 0)
	}
	c.mu.Unlock()
	if !keep && x.fd >= 0 {
		unix.Close(x.fd)
		x.fd = -1
	}
	if ok {
		return other
	}
	return x
}

// Queue has a content analysed that Get returned, unless it is known or on its way. It waits while too many are pending, so it is not called
// within the deadline of a file.
func (c *Catalogue) Queue(x *Content) {
	if x != nil && x.wanted.CompareAndSwap(true, false) {
		c.open.Add(1)
		c.work <- x
	}
}

// longest is what the analysis of one object may take, reading aside; a hostile file must not hold a worker for longer.
const longest = time.Minute

type analysis struct {
	object elf.Object
	sum    string
	err    error
}

// analyse runs one analysis beside a watch: a read that hangs is given up with its thread.
func (c *Catalogue) analyse(x *Content) {
	r := &reader{file: jail.File(x.fd), catalogue: c}
	ctx, cancel := context.WithTimeout(c.ctx, longest)
	defer cancel()
	done := make(chan analysis, 1)
	want := x.Want
	if !want.Lazy {
		r.summing(want.Kind)
	}
	go func() {
		var a analysis
		if a.object, a.err = c.analyser.Analyse(ctx, r, x.Key.Size); a.err == nil && a.object.ID != "" && (!want.Lazy || holdsAny(a.object.Components)) {
			a.sum, a.err = r.sum(ctx, want.Kind, x.Key.Size)
		}
		r.file.Close()
		done <- a
	}()
	x.fd = -1
	tick := time.NewTicker(max(c.limit/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case a := <-done:
			c.settle(x, a)
			return
		case <-tick.C:
			if since := r.since.Load(); since != 0 && time.Since(time.Unix(0, since)) > c.limit {
				x.Why = fmt.Sprintf("gave no answer within %v while it was read", c.limit)
				return
			}
		}
	}
}

// holdsAny tells whether anything can ever be said of an object's components: what is only mentioned is not in it.
func holdsAny(list []elf.Component) bool {
	return slices.ContainsFunc(list, func(c elf.Component) bool { return c.Linkage != elf.Headers })
}

func (c *Catalogue) settle(x *Content, a analysis) {
	switch {
	case a.err != nil:
		x.Why = jail.Reason(a.err)
	case a.object.ID == "":
		x.Why, x.NoELF = a.object.Unknown, a.object.Unknown == elf.ErrNotELF.Error()
	default:
		c.count.Add(1)
		x.ID, x.Sum, x.Object = a.object.ID, a.sum, &a.object
	}
}
