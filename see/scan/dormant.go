package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/see/scan/elf"
	"staunch/see/scan/files"
	"staunch/see/scan/ident"
	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/loader"
	"staunch/see/scan/owner"
	"staunch/see/scan/patience"
	"staunch/see/scan/starts"

	"golang.org/x/sys/unix"
)

// dormants judges what does not run: it collects files, waits for their analysis, and adds the libraries that they would map.
type dormants struct {
	look    *look
	root    *files.Root
	dir     *jail.Root // the root's directory, asked with a deadline: what can start may lie on a dead file server
	until   time.Time  // zero: no limit
	missed  []string   // trees for which there was no time
	seen    map[string]bool
	late    []starts.Starter // files so large that they wait for all others
	entries []*dormant
	entered map[*files.File]bool
	files   map[string]*files.File // by the name that was asked for, and by the true one
}

type dormant struct {
	starts.Starter
	file    *files.File
	modules []Module
	needs   []*files.File
}

const defaultDormantBudget = 5 * time.Second

// dormant looks at everything of this machine that can start but does not run.
func (l *look) dormant() {
	budget := time.Duration(l.q.DormantBudget) * time.Millisecond
	if budget <= 0 {
		budget = defaultDormantBudget
	}
	own, err := l.roots.Own()
	if err != nil {
		l.note("what can start was not looked at: " + jail.Reason(err))
		return
	}
	d := l.newDormants(own, min(l.limit, budget/5))
	d.until = time.Now().Add(budget)
	l.catalogue.StopAt(d.until)
	l.progress(Progress{Says: "looking at what can start"})
	for _, list := range []func(*jail.Root) []starts.Starter{starts.Units, starts.Crons, starts.Inits, starts.Programs} {
		d.takeAll(list(d.dir), large)
	}
	for _, dir := range []string{"/opt", "/srv", "/usr/local"} {
		d.walk(dir, "opt")
	}
	d.finish()
}

// still judges directories and files of the question instead of processes.
func (l *look) still() error {
	var r *files.Root
	var from []string
	if l.q.Root != "" {
		dir, err := l.openRoot(l.q.Root)
		if err != nil {
			return fault.New(fault.NotFound, "%s could not be opened: %s", l.q.Root, jail.Reason(err))
		}
		r = l.roots.Add(l.q.Root, dir)
		release := owner.ReadRelease(dir)
		l.report.Machine.Distro, l.report.Machine.Release = release.ID, release.Version
		from = []string{"/"}
	} else {
		var err error
		if r, err = l.roots.Own(); err != nil {
			return fault.From(err, fault.Denied)
		}
	}
	if len(l.q.Files) > 0 {
		from = l.q.Files
	}
	d := l.newDormants(r, l.limit)
	if l.q.DormantBudget > 0 {
		d.until = time.Now().Add(time.Duration(l.q.DormantBudget) * time.Millisecond)
		l.catalogue.StopAt(d.until)
	}
	for _, start := range from {
		if err := d.start(start); err != nil {
			return err
		}
	}
	d.finish()
	return nil
}

// openRoot opens the directory of the question, which may lie on a dead file server.
func (l *look) openRoot(name string) (*jail.Root, error) {
	top, err := jail.Open("/")
	if err != nil {
		return nil, err
	}
	defer top.Close()
	return jail.Ask(top.Patient(l.limit), name, func() (*jail.Root, error) { return jail.Open(name) }, (*jail.Root).Close)
}

func (l *look) newDormants(r *files.Root, limit time.Duration) *dormants {
	return &dormants{look: l, root: r, dir: r.Dir.Patient(limit), seen: map[string]bool{}, entered: map[*files.File]bool{}, files: map[string]*files.File{}}
}

// start takes one file or directory of the question; unlike what is found by itself, it must be there.
func (d *dormants) start(name string) error {
	st, err := d.dir.Stat(name)
	if err != nil {
		return fault.New(fault.NotFound, "%s could not be opened: %s", name, jail.Reason(err))
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		d.walk(name, "image")
	case unix.S_IFREG:
		d.takeAll([]starts.Starter{{Path: name, How: "image"}}, large)
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
	if d.over() {
		d.missed = append(d.missed, dir)
		return
	}
	ctx, cancel := d.look.ctx, context.CancelFunc(func() {})
	if !d.until.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, d.until)
	}
	defer cancel()
	var some []starts.Starter
	notes := starts.Tree(ctx, d.dir, dir, how, func(s starts.Starter) {
		if some = append(some, s); len(some) == batch {
			d.takeAll(some, large)
			some = some[:0]
		}
	})
	d.takeAll(some, large)
	for _, note := range notes {
		d.look.note(note)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		d.missed = append(d.missed, "the rest of "+dir)
	}
}

// batch is how many files of a tree are opened at a time: analysis begins while the tree is still walked.
const batch = 256

// large is the size in bytes above which a file waits until all smaller ones had their turn: within a budget many programs tell more
// than one.
const large = 24 << 20

// takeAll looks at files that can hold code and are not larger than most bytes; 0: no limit. All are opened at once, and then entered in
// their order.
func (d *dormants) takeAll(list []starts.Starter, most uint64) {
	var fresh []starts.Starter
	for _, s := range list {
		if !d.seen[s.Path] {
			d.seen[s.Path] = true
			fresh = append(fresh, s)
		}
	}
	d.enterAll(fresh, most)
}

// enterAll opens and enters, so many at a time that their descriptors are no burden.
func (d *dormants) enterAll(list []starts.Starter, most uint64) {
	for some := range slices.Chunk(list, batch) {
		d.enterSome(some, most)
	}
}

func (d *dormants) enterSome(list []starts.Starter, most uint64) {
	l := d.look
	opened := patience.Each(l.ctx, patience.Crew[named]{
		Workers: l.workers, N: len(list), Limit: l.limit,
		First: func(i int) named {
			s := list[i]
			if d.dir.Silenced(s.Path) {
				return named{hangs: true}
			}
			if !d.over() && !lang.IsJar(s.Path) {
				return d.open(s.Path, s.How != "opt" && s.How != "image", most)
			}
			return named{}
		},
		Late: func(i int) named {
			d.dir.NoAnswer(list[i].Path)
			return named{hangs: true}
		},
		Then: func(named) {},
	})
	for i, s := range list {
		d.enter(s, opened[i])
	}
}

// takeLate has the turn of the large files.
func (d *dormants) takeLate() {
	list := d.late
	d.late = nil
	d.enterAll(list, 0)
}

// enter takes one file in, opened as far as it is no archive.
func (d *dormants) enter(s starts.Starter, got named) {
	switch {
	case got.content == nil && !got.later && !got.hangs && d.over():
		d.look.report.Sight.DormantLeft++
	case lang.IsJar(s.Path):
		d.takeArchive(s)
	case got.later:
		d.late = append(d.late, s)
	default:
		if f := d.named(s.Path, got); f != nil && !d.entered[f] { // not yet, under another name
			d.entered[f] = true
			d.entries = append(d.entries, &dormant{Starter: s, file: f})
		}
	}
}

// named is what a name leads to.
type named struct {
	content *files.Content
	name    string // the true one
	later   bool   // it is larger than was asked for
	hangs   bool   // its file system gave no answer
}

// library puts the path of a library into the catalogue; nil when it is none, or not there.
func (d *dormants) library(name string) *files.File {
	if f, ok := d.files[name]; ok {
		return f
	}
	got, err := jail.Ask(d.dir, name, func() (named, error) { return d.open(name, false, 0), nil }, nil)
	got.hangs = err != nil
	return d.named(name, got)
}

// named is the file that a name led to, the same for all names of one; nil when it is no program or library, or not there.
func (d *dormants) named(name string, got named) *files.File {
	if f, ok := d.files[name]; ok {
		return f
	}
	var f *files.File
	switch {
	case got.hangs:
		d.look.report.Sight.DormantLeft++ // the place is named at the end
	case got.content != nil:
		d.look.catalogue.Queue(got.content)
		if f = d.files[got.name]; f == nil {
			f = files.Lying(d.root, got.name, got.content)
			d.files[got.name] = f
		}
	}
	d.files[name] = f
	return f
}

// open asks the file system; it may hang with it.
func (d *dormants) open(name string, mustRun bool, most uint64) named {
	fd, err := d.root.Dir.Path(name)
	if err != nil {
		return named{}
	}
	defer unix.Close(fd)
	st, err := jail.StatFD(fd, "")
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || mustRun && st.Mode&0o111 == 0 || st.Size < 64 {
		return named{}
	}
	if most > 0 && st.Size > most && !d.until.IsZero() {
		return named{later: true}
	}
	if plain, ok := d.root.Dir.Name(fd); ok {
		name = plain
	}
	want := ident.Sum{Kind: d.root.SumFor(name), Lazy: true}
	return named{name: name, content: d.look.catalogue.Get(&st, want, func() (int, error) { return jail.Reopen(fd) })}
}

func (d *dormants) takeArchive(s starts.Starter) {
	l := d.look
	if d.dir.Silenced(s.Path) {
		l.report.Sight.DormantLeft++
		return
	}
	has, why, ok := l.modules.Archive(s.Path, func() (int, error) { return d.root.Dir.OpenRead(s.Path) })
	if !ok {
		d.dir.NoAnswer(s.Path)
		l.report.Sight.DormantLeft++
		return
	}
	if why != "" {
		l.note("archive not read in full: " + s.Path + ": " + why)
	}
	e := &dormant{Starter: s}
	for _, f := range has.Found {
		e.modules = append(e.modules, l.moduleOf(f))
	}
	if len(e.modules) > 0 {
		d.entries = append(d.entries, e)
	}
}

// finish waits for the analysis, finds the libraries, and keeps what does not run anyway.
func (d *dormants) finish() {
	d.takeLate()
	l := d.look
	l.catalogue.Wait()
	running := map[*files.Content]bool{}
	for f := range l.files.All() {
		running[f.Memory] = true
	}
	d.tellUnread()
	d.entries = slices.DeleteFunc(d.entries, func(e *dormant) bool {
		return e.file != nil && (e.file.Memory.ID == "" || running[e.file.Memory])
	})
	d.findLibraries()
	for _, e := range d.entries {
		entry := Dormant{Path: e.Path, Start: e.How, Unit: e.Unit, Modules: e.modules}
		if e.file != nil {
			entry.ID = e.file.Memory.ID
			l.files.Add(e.file)
		}
		for _, lib := range e.needs {
			if lib.Memory.ID != "" {
				entry.Needs = append(entry.Needs, lib.Memory.ID)
				l.files.Add(lib)
			}
		}
		l.report.Dormant = append(l.report.Dormant, entry)
	}
	left := map[*files.Content]bool{}
	for _, f := range d.files {
		if f != nil && f.Memory.Left {
			left[f.Memory] = true
		}
	}
	l.report.Sight.DormantLeft += len(left)
	d.tellMissed()
}

// tellUnread names what calls itself a program or library and could not be read as one: of what was asked about, nothing is passed over in silence.
func (d *dormants) tellUnread() {
	others := 0
	for _, e := range d.entries {
		if e.file == nil || e.file.Memory.ID != "" || e.file.Memory.NoELF || e.file.Memory.Left {
			continue
		}
		if e.How == "image" {
			d.look.report.Unseen = append(d.look.report.Unseen, Unseen{Name: e.Path, Reason: "it could not be read: " + e.file.Memory.Why})
		} else {
			others++
		}
	}
	if others > 0 {
		d.look.note(fmt.Sprintf("%d files that could start are broken or could not be read (staunch scan --files names them)", others))
	}
}

const maxSilentNamed = 8

// tellMissed names the places that gave no answer (each counts as at least one file that was not reached), and those that had no turn.
func (d *dormants) tellMissed() {
	silent := d.dir.Silent()
	for i, name := range silent {
		if i == maxSilentNamed {
			d.look.note(fmt.Sprintf("%d more places of what can start gave no answer", len(silent)-i))
			break
		}
		d.look.note(name + ": no answer from its file system: what can start there was not looked at")
	}
	d.look.report.Sight.DormantLeft += len(silent)
	if len(d.missed) > 0 {
		d.look.note("no time was left to look for what can start in " + strings.Join(d.missed, ", "))
	}
}

// coming is a library on its way into a program that starts.
type coming struct {
	entry *dormant
	start *loader.Start
	it    *loader.Mapped
	file  *files.File
}

// maxLevels bounds how far libraries bring libraries.
const maxLevels = 64

// findLibraries fills the needs of every entry with all libraries that its loader would map, level by level for all programs at once, so
// that the libraries of one level are analysed together.
func (d *dormants) findLibraries() {
	ld := loader.New(d.dir, d.head)
	var level []coming
	for _, e := range d.entries {
		if e.file == nil {
			continue
		}
		if o := d.object(e.file); o != nil {
			start, libs := ld.Begin(e.file.Inside, o)
			level = append(level, d.arrive(coming{entry: e, start: start}, libs)...)
		}
	}
	for range maxLevels {
		if len(level) == 0 {
			return
		}
		d.look.catalogue.Wait()
		var next []coming
		for _, c := range level {
			if c.it.Object = d.object(c.file); c.it.Object != nil {
				next = append(next, d.arrive(c, c.start.Enter(c.it))...)
			}
		}
		level = next
	}
}

// arrive takes in the libraries that one object brings into its program.
func (d *dormants) arrive(c coming, libs []*loader.Mapped) []coming {
	var out []coming
	for _, lib := range libs {
		f := d.library(lib.Path)
		if f == nil || f == c.entry.file || slices.Contains(c.entry.needs, f) {
			continue
		}
		c.entry.needs = append(c.entry.needs, f)
		out = append(out, coming{entry: c.entry, start: c.start, it: lib, file: f})
	}
	return out
}

// object is what analysis said; nil when there was none.
func (d *dormants) object(f *files.File) *elf.Object {
	o, err := d.look.objectOf(f.Memory)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.look.note("a cached object was damaged: " + err.Error())
		}
		return nil
	}
	return o
}

// head reads the beginning of a file that a loader would try.
func (d *dormants) head(name string) []byte {
	b, err := jail.Ask(d.dir, name, func() ([]byte, error) {
		fd, err := d.root.Dir.OpenRead(name)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		var head [20]byte
		n, err := jail.File(fd).ReadAt(head[:], 0)
		return head[:n], err
	}, nil)
	if err != nil {
		return nil
	}
	return b
}
