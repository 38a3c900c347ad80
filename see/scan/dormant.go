package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"staunch/fault"
	"staunch/see/scan/jail"
	"staunch/see/scan/owner"

	"golang.org/x/sys/unix"
)

// dormants judges what does not run: it collects files, waits for their analysis, and adds the libraries that they would map.
type dormants struct {
	look    *look
	root    *root
	until   time.Time // zero: no limit
	seen    map[string]bool
	entries []*dormant
	libs    map[string]*file // path to library
}

type dormant struct {
	starter
	file    *file
	modules []Module
	needs   []*file
}

const defaultDormantBudget = 5 * time.Second

// dormant looks at everything of this machine that can start but does not run.
func (l *look) dormant() {
	budget := time.Duration(l.q.DormantBudget) * time.Millisecond
	if budget <= 0 {
		budget = defaultDormantBudget
	}
	own, err := l.roots.get(l.roots.own, "/", nil)
	if err != nil {
		l.note("what can start was not looked at: " + reason(err))
		return
	}
	d := l.newDormants(own)
	d.until = time.Now().Add(budget)
	l.catalogue.stopAt(d.until)
	l.progress(Progress{Says: "looking at what can start"})
	for _, list := range []func(*jail.Root) []starter{units, crons, inits} {
		d.takeAll(list(own.dir))
	}
	for _, dir := range []string{"/opt", "/srv", "/usr/local"} {
		d.walk(dir, "opt")
	}
	d.takeAll(programs(own.dir))
	d.finish()
}

// still judges directories and files of the question instead of processes.
func (l *look) still() error {
	var r *root
	var starts []string
	if l.q.Root != "" {
		dir, err := jail.Open(l.q.Root)
		if err != nil {
			return fault.New(fault.NotFound, "%s could not be opened: %s", l.q.Root, reason(err))
		}
		r = &root{link: "/", dir: dir, sumKind: owner.Detect(dir).SumKind()}
		l.roots.all[rootKey{link: l.q.Root}] = r // closed with the others
		release := owner.ReadRelease(dir)
		l.report.Machine.Distro, l.report.Machine.Release = release.ID, release.Version
		starts = []string{"/"}
	} else {
		var err error
		if r, err = l.roots.get(l.roots.own, "/", nil); err != nil {
			return fault.From(err, fault.Denied)
		}
	}
	if len(l.q.Files) > 0 {
		starts = l.q.Files
	}
	d := l.newDormants(r)
	if l.q.DormantBudget > 0 {
		d.until = time.Now().Add(time.Duration(l.q.DormantBudget) * time.Millisecond)
		l.catalogue.stopAt(d.until)
	}
	for _, start := range starts {
		if err := d.start(start); err != nil {
			return err
		}
	}
	d.finish()
	return nil
}

func (l *look) newDormants(r *root) *dormants {
	return &dormants{look: l, root: r, seen: map[string]bool{}, libs: map[string]*file{}}
}

// start takes one file or directory of the question; unlike what is found by itself, it must be there.
func (d *dormants) start(name string) error {
	st, err := d.root.dir.Stat(name)
	if err != nil {
		return fault.New(fault.NotFound, "%s could not be opened: %s", name, reason(err))
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		d.walk(name, "image")
	case unix.S_IFREG:
		d.take(starter{path: name, how: "image"})
	default:
		return fault.New(fault.Usage, "%s is neither a file nor a directory", name)
	}
	return nil
}

func (d *dormants) over() bool {
	return d.look.ctx.Err() != nil || !d.until.IsZero() && time.Now().After(d.until)
}

// walk goes through one tree.
func (d *dormants) walk(dir, how string) {
	ctx, cancel := d.look.ctx, context.CancelFunc(func() {})
	if !d.until.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, d.until)
	}
	defer cancel()
	w := walker{ctx: ctx, root: d.root.dir, how: how, found: d.take}
	w.tree(dir, 0)
	for _, note := range w.notes {
		d.look.note(note)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		d.look.note("the time for what can start ended inside of " + dir)
	}
}

func (d *dormants) takeAll(list []starter) {
	for _, s := range list {
		d.take(s)
	}
}

// take looks at one file, if it is one that can hold code.
func (d *dormants) take(s starter) {
	if d.seen[s.path] {
		return
	}
	d.seen[s.path] = true
	if d.over() {
		d.look.report.Sight.DormantLeft++
		return
	}
	if isArchive(s.path) {
		d.takeArchive(s)
		return
	}
	if f := d.file(s.path, s.how != "opt" && s.how != "image"); f != nil {
		d.entries = append(d.entries, &dormant{starter: s, file: f})
	}
}

// file enters one path into the catalogue; nil when it is no program or library, or not there.
func (d *dormants) file(name string, mustRun bool) *file {
	if f, ok := d.libs[name]; ok {
		return f
	}
	l := d.look
	c, ok := within(l.limit, func() *content {
		fd, err := d.root.dir.Path(name)
		if err != nil {
			return nil
		}
		defer unix.Close(fd)
		st, err := jail.StatFD(fd, "")
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || mustRun && st.Mode&0o111 == 0 || st.Size < 64 {
			return nil
		}
		return l.catalogue.get(&st, d.root.sumFor(name), func() (int, error) { return jail.Reopen(fd) })
	})
	if !ok {
		l.note(fmt.Sprintf("%s gave no answer within %v", name, l.limit))
	}
	var f *file
	if c != nil {
		f = &file{key: fileKey{root: d.root, path: name}, name: name}
		f.settle(resolution{state: Same, dir: d.root.dir, inside: name, memory: c})
	}
	d.libs[name] = f
	return f
}

func (d *dormants) takeArchive(s starter) {
	l := d.look
	got, ok := within(archivePatience*l.limit, func() archive {
		return l.readArchive(s.path, func() (int, error) { return d.root.dir.OpenRead(s.path) })
	})
	if !ok || got.why != "" {
		l.note("archive not read in full: " + s.path + ": " + got.why)
	}
	e := &dormant{starter: s}
	for _, f := range got.found {
		e.modules = append(e.modules, l.moduleOf(f))
	}
	if len(e.modules) > 0 {
		d.entries = append(d.entries, e)
	}
}

// finish waits for the analysis, finds the libraries in rounds (libraries need libraries), and keeps what does not run anyway.
func (d *dormants) finish() {
	l := d.look
	l.catalogue.wait()
	running := map[*content]bool{}
	for _, f := range l.files.all {
		running[f.memory] = true
	}
	kept := d.entries[:0]
	for _, e := range d.entries {
		if e.file == nil || e.file.memory.id != "" && !running[e.file.memory] {
			kept = append(kept, e)
		} else if e.file.memory.left {
			l.report.Sight.DormantLeft++
		}
	}
	d.entries = kept
	d.findLibraries()
	for _, e := range d.entries {
		entry := Dormant{Path: e.path, Start: e.how, Unit: e.unit, Modules: e.modules}
		if e.file != nil {
			entry.ID = e.file.memory.id
			l.files.all[e.file.key] = e.file
		}
		for _, lib := range e.needs {
			if lib.memory.id != "" {
				entry.Needs = append(entry.Needs, lib.memory.id)
				l.files.all[lib.key] = lib
			}
		}
		l.report.Dormant = append(l.report.Dormant, entry)
	}
}

const maxRounds = 16

// findLibraries fills the needs of every entry with all libraries it would map, directly or through others.
func (d *dormants) findLibraries() {
	libs := newLibraries(d.root.dir)
	direct := map[*file][]*file{}
	var fresh []*file
	for _, e := range d.entries {
		if e.file != nil {
			fresh = append(fresh, e.file)
		}
	}
	for range maxRounds {
		var next []*file
		for _, f := range fresh {
			if _, done := direct[f]; done {
				continue
			}
			direct[f] = d.needed(libs, f)
			next = append(next, direct[f]...)
		}
		if len(next) == 0 {
			break
		}
		d.look.catalogue.wait()
		fresh = next
	}
	for _, e := range d.entries {
		if e.file != nil {
			e.needs = reachable(e.file, direct)
		}
	}
}

// needed are the libraries that one object names.
func (d *dormants) needed(libs *libraries, f *file) []*file {
	direct := []*file{}
	o, err := d.look.objectOf(f.memory)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.look.note("a cached object was damaged: " + err.Error())
		}
		return direct
	}
	for _, name := range o.Needed {
		found := libs.find(o, f.name, name)
		if found == "" {
			continue // the program would not start; what it lacks cannot harm it
		}
		if lib := d.file(path.Clean(found), false); lib != nil {
			direct = append(direct, lib)
		}
	}
	return direct
}

// reachable are all libraries behind one object, in the order in which a loader meets them.
func reachable(f *file, direct map[*file][]*file) []*file {
	var out []*file
	had := map[*file]bool{f: true}
	for queue := direct[f]; len(queue) > 0; queue = queue[1:] {
		lib := queue[0]
		if had[lib] {
			continue
		}
		had[lib] = true
		out = append(out, lib)
		queue = append(queue[:len(queue):len(queue)], direct[lib]...)
	}
	return out
}
