package scan

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"staunch/see/scan/cache"
	"staunch/see/scan/elf"
	"staunch/see/scan/ident"
	"staunch/see/scan/jail"

	"golang.org/x/sys/unix"
)

// content is one file's content at one time: analysed once, whatever number of processes, roots and names lead to it.
type content struct {
	key    ident.Key
	want   ident.Sum
	fd     int         // open for reading until it is analysed; -1 afterwards
	id     string      // elf.Object.ID; "" when there is none
	sum    string      // of the whole file, lower-case hex, by want.Kind; "" when it was not asked for or not read
	object *elf.Object // nil until it is asked for when the cache knew it
	cached bool        // object came from the cache
	why    string      // why there is no id
	noELF  bool        // no ELF file at all
	left   bool        // the time for it was over before its turn
	wanted atomic.Bool // it has to be queued for analysis
}

// catalogue holds every content of a look, and the workers that analyse it.
type catalogue struct {
	ctx      context.Context
	analyser *elf.Analyser
	cache    *cache.Cache
	limit    time.Duration
	now      time.Time
	budget   atomic.Int64 // bytes that may still be read
	bounded  bool
	read     atomic.Int64 // bytes read
	count    atomic.Int64 // contents analysed
	progress func(done, total int64)

	mu    sync.Mutex
	over  bool // nothing is taken any more
	known map[ident.Key]*content
	work  chan *content
	busy  sync.WaitGroup // workers
	open  sync.WaitGroup // contents that wait for analysis
	until atomic.Int64   // Unix nanoseconds after which nothing is begun; 0: no limit
}

const maxPending = 256 // open descriptors that wait for analysis

func newCatalogue(ctx context.Context, a *elf.Analyser, known *cache.Cache, limit time.Duration) *catalogue {
	return &catalogue{
		ctx: ctx, analyser: a, cache: known, limit: limit, now: time.Now(),
		known: map[ident.Key]*content{}, work: make(chan *content, maxPending),
	}
}

// start begins with the analysis; finish waits until everything given is analysed.
func (c *catalogue) start(workers int) {
	for range workers {
		c.busy.Go(func() {
			for x := range c.work {
				if until := c.until.Load(); until != 0 && time.Now().UnixNano() > until || c.ctx.Err() != nil {
					unix.Close(x.fd)
					x.fd, x.left, x.why = -1, true, "the time was over before its turn"
				} else {
					c.analyse(x)
				}
				c.open.Done()
			}
		})
	}
}

// wait returns when everything given so far is analysed or given up.
func (c *catalogue) wait() { c.open.Wait() }

// stopAt sets when analysis ends: what is not begun by then is left.
func (c *catalogue) stopAt(t time.Time) { c.until.Store(t.UnixNano()) }

// finish ends the workers. What a file system answered too late for anybody to queue it is given back, now or when it comes.
func (c *catalogue) finish() {
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

// get returns the content behind a stat, opening it only if neither this look nor the cache knows it. The caller gives it to queue.
// It may hang with the file system that open asks; it is called within a deadline.
func (c *catalogue) get(st *unix.Statx_t, want ident.Sum, open func() (int, error)) *content {
	key := ident.KeyOf(st)
	mount := key.Mount
	key.Mount = 0 // within one look a device number is one file system
	c.mu.Lock()
	x, ok := c.known[key]
	c.mu.Unlock()
	if ok {
		return x
	}
	x = &content{key: key, want: want, fd: -1}
	x.key.Mount = mount
	if r, ok := c.cache.Content(x.key, want); ok {
		x.id, x.sum, x.want.Kind = r.ID, r.Sum, r.SumKind
		if r.ID == "" {
			x.noELF, x.cached, x.why = true, true, elf.ErrNotELF.Error()
		}
	} else if fd, err := open(); err != nil {
		x.why = "could not be opened: " + jail.Reason(err)
	} else {
		x.fd = fd
	}
	return c.add(key, x)
}

// add keeps the first of two that were opened at once.
func (c *catalogue) add(key ident.Key, x *content) *content {
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

// queue has a content analysed that get returned, unless it is known or on its way. It waits while too many are pending, so it is not called
// within the deadline of a file.
func (c *catalogue) queue(x *content) {
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
func (c *catalogue) analyse(x *content) {
	r := &reader{file: jail.File(x.fd), catalogue: c}
	ctx, cancel := context.WithTimeout(c.ctx, longest)
	defer cancel()
	done := make(chan analysis, 1)
	want := x.want
	if !want.Lazy {
		r.summing(want.Kind)
	}
	go func() {
		var a analysis
		if a.object, a.err = c.analyser.Analyse(ctx, r, x.key.Size); a.err == nil && a.object.ID != "" && (!want.Lazy || holdsAny(a.object.Components)) {
			a.sum, a.err = r.sum(ctx, want.Kind, x.key.Size)
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
				x.why = fmt.Sprintf("gave no answer within %v while it was read", c.limit)
				return
			}
		}
	}
}

// holdsAny tells whether anything can ever be said of an object's components: what is only mentioned is not in it.
func holdsAny(list []elf.Component) bool {
	return slices.ContainsFunc(list, func(c elf.Component) bool { return c.Linkage != elf.Headers })
}

func (c *catalogue) settle(x *content, a analysis) {
	if c.progress != nil {
		c.progress(c.count.Load(), 0)
	}
	switch {
	case a.err != nil:
		x.why = jail.Reason(a.err)
	case a.object.ID == "":
		x.why, x.noELF = a.object.Unknown, a.object.Unknown == elf.ErrNotELF.Error()
	default:
		c.count.Add(1)
		x.id, x.sum, x.object = a.object.ID, a.sum, &a.object
	}
}
