package scan

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"staunch/see/scan/elf"
	"staunch/see/scan/jail"

	"golang.org/x/sys/unix"
)

// content is one file's content at one time: analysed once, whatever number of processes, roots and names lead to it.
type content struct {
	key    contentKey
	want   checksum
	fd     int         // open for reading until it is analysed; -1 afterwards
	id     string      // elf.Object.ID; "" when there is none
	sum    string      // of the whole file, lower-case hex, by want.kind; "" when it was not asked for or not read
	object *elf.Object // nil until it is asked for when the cache knew it
	cached bool        // object came from the cache
	why    string      // why there is no id
	noELF  bool        // no ELF file at all
	left   bool        // the time for it was over before its turn
}

// checksum says which checksum of the whole file to take.
type checksum struct {
	kind string // md5, sha1, sha256; "" none
	lazy bool   // only of objects that hold a component: nothing is ever said of the others
}

// contentKey identifies content on this machine. Device numbers of file systems without a device of their own (overlay, tmpfs) are
// given to others later: there mount holds the id that the kernel never uses twice between boots, and a key without one is not kept.
type contentKey struct {
	dev, ino uint64
	size     int64
	ctime    int64 // nanoseconds of the Unix epoch
	mount    uint64
}

// keep tells whether a cache may answer for this key later.
func (k contentKey) keep(now time.Time) bool {
	if k.dev>>32 == 0 && k.mount == 0 {
		return false
	}
	return now.UnixNano()-k.ctime > int64(2*time.Second) // younger: another change may get the same time
}

func contentKeyOf(st *unix.Statx_t) contentKey {
	k := contentKey{
		dev: uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), ino: st.Ino, size: int64(st.Size),
		ctime: st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
	}
	if st.Dev_major == 0 && st.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
		k.mount = st.Mnt_id
	}
	return k
}

// catalogue holds every content of a look, and the workers that analyse it.
type catalogue struct {
	ctx      context.Context
	analyser *elf.Analyser
	cache    *cache
	limit    time.Duration
	now      time.Time
	budget   atomic.Int64 // bytes that may still be read
	bounded  bool
	read     atomic.Int64 // bytes read
	count    atomic.Int64 // contents analysed
	progress func(done, total int64)

	mu    sync.Mutex
	known map[contentKey]*content
	work  chan *content
	busy  sync.WaitGroup // workers
	open  sync.WaitGroup // contents that wait for analysis
	until atomic.Int64   // Unix nanoseconds after which nothing is begun; 0: no limit
}

const maxPending = 256 // open descriptors that wait for analysis

func newCatalogue(ctx context.Context, a *elf.Analyser, c *cache, limit time.Duration) *catalogue {
	return &catalogue{
		ctx: ctx, analyser: a, cache: c, limit: limit, now: time.Now(),
		known: map[contentKey]*content{}, work: make(chan *content, maxPending),
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

func (c *catalogue) finish() {
	close(c.work)
	c.busy.Wait()
}

// get returns the content behind a stat, opening it only if neither this look nor the cache knows it.
// It may hang with the file system that open asks; it is called within a deadline.
func (c *catalogue) get(st *unix.Statx_t, want checksum, open func() (int, error)) *content {
	key := contentKeyOf(st)
	mount := key.mount
	key.mount = 0 // within one look a device number is one file system
	c.mu.Lock()
	x, ok := c.known[key]
	c.mu.Unlock()
	if ok {
		return x
	}
	x = &content{key: key, want: want, fd: -1}
	x.key.mount = mount
	if r, ok := c.cache.content(x.key, want); ok {
		x.id, x.sum, x.want.kind = r.id, r.sum, r.sumKind
		if r.id == "" {
			x.noELF, x.cached, x.why = true, true, elf.ErrNotELF.Error()
		}
	} else if fd, err := open(); err != nil {
		x.why = "could not be opened: " + reason(err)
	} else {
		x.fd = fd
	}
	return c.add(key, x)
}

// add keeps the first of two that were opened at once.
func (c *catalogue) add(key contentKey, x *content) *content {
	c.mu.Lock()
	other, ok := c.known[key]
	if !ok {
		c.known[key] = x
	}
	c.mu.Unlock()
	if ok {
		if x.fd >= 0 {
			unix.Close(x.fd)
		}
		return other
	}
	if x.fd >= 0 {
		c.open.Add(1)
		c.work <- x
	}
	return x
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
	go func() {
		var a analysis
		if a.object, a.err = c.analyser.Analyse(ctx, r, x.key.size); a.err == nil && a.object.ID != "" && (!want.lazy || holdsAny(a.object.Components)) {
			a.sum, a.err = r.sum(ctx, want.kind, x.key.size)
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
		x.why = reason(a.err)
	case a.object.ID == "":
		x.why, x.noELF = a.object.Unknown, a.object.Unknown == elf.ErrNotELF.Error()
	default:
		c.count.Add(1)
		x.id, x.sum, x.object = a.object.ID, a.sum, &a.object
	}
}
