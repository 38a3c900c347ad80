// Package modules finds what interpreters and virtual machines bring: the jars, wheels, gems and Node modules that a process holds open, maps, or has on
// its class path. Each is read once a look, whoever has it.
package modules

import (
	"strings"
	"time"

	"staunch/see/scan/ident"
	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/patience"
	"staunch/see/scan/proc"
)

// Finder finds the components of one look.
type Finder struct {
	set      Settings
	archives archives
	trees    trees
}

// Settings are what a Finder takes from the look.
type Settings struct {
	Limit  time.Duration // what one module may take; an archive may take archivePatience times that
	Began  time.Time     // of the look
	Marks  []lang.Mark
	Memory Memory
	Note   func(says string) // takes one sentence on what was not looked at
}

// Memory knows archives of earlier looks.
type Memory interface {
	Archive(ident.ArchiveKey) (lang.Archive, bool)
	LearnArchive(key ident.ArchiveKey, has lang.Archive, now time.Time)
}

// New returns a Finder that has read nothing yet.
func New(set Settings) *Finder {
	return &Finder{
		set:      set,
		archives: archives{all: map[ident.ArchiveKey]*archive{}, turn: make(chan struct{}, 1)},
		trees:    trees{all: map[place][]lang.Found{}},
	}
}

// Process is what one process told that may lead to components of its language.
type Process struct {
	Dir    *proc.Dir
	Root   *jail.Root   // what it calls "/"
	Open   []Opened     // files it holds open that may carry a component (lang.Carries)
	Mapped []string     // files it has mapped that lie where a language keeps its modules (lang.InTree)
	Launch *lang.Launch // of a Java virtual machine; nil for others
}

// Opened is a file that a process holds open and that may carry a component of its language.
type Opened struct {
	FD   string // number below /proc/PID/fd
	Path string // as the kernel shows it
}

// asking is one process being looked at.
type asking struct {
	*Finder
	*Process
	unread []string
}

// Of returns the components of a process, each once, and one sentence for all that could not be read of them.
func (f *Finder) Of(p *Process) (all []lang.Found, unread []string) {
	a := &asking{Finder: f, Process: p}
	had := map[string]bool{}
	add := func(found []lang.Found) {
		for _, f := range found {
			if key := f.Path + "\x00" + f.Name; !had[key] {
				had[key] = true
				all = append(all, f)
			}
		}
	}
	named := a.classPath()
	for _, o := range p.Open {
		if lang.IsJar(strings.TrimSuffix(o.Path, proc.Deleted)) {
			has := a.archiveAt(o.Path, func() (int, error) { return p.Dir.OpenFile("fd/" + o.FD) })
			add(has.Found)
			named = append(named, has.ClassPath...)
		} else {
			add(f.treeModule(p.Root, o.Path))
		}
	}
	for _, name := range p.Mapped {
		add(f.treeModule(p.Root, name))
	}
	a.besides(named, add)
	return all, a.unread
}

// besides reads the archives that the class path names, and those that their manifests name, unless the process has them open.
func (a *asking) besides(named []string, add func([]lang.Found)) {
	had := map[string]bool{}
	for _, o := range a.Open {
		had[o.Path] = true
	}
	for i := 0; i < len(named) && len(had) < maxArchives; i++ {
		for _, name := range expand(a.Root, named[i:i+1]) {
			if had[name] {
				continue
			}
			had[name] = true
			has := a.archiveAt(name, func() (int, error) { return a.Root.OpenRead(name) })
			add(has.Found)
			named = append(named, has.ClassPath...)
		}
	}
	if len(had) >= maxArchives {
		a.unread = append(a.unread, "more archives on its class path than we read")
	}
}

// maxArchives bounds the files of one process's class path.
const maxArchives = 10_000

// classPath is what a Java virtual machine was told to load; argument files are read in its own root.
func (a *asking) classPath() []string {
	if a.Launch == nil {
		return nil
	}
	type answer struct{ paths, unread []string }
	launch := *a.Launch
	launch.Open = func(name string) ([]byte, error) { return a.Root.Read(name, 1<<20) }
	got, ok := patience.Within(a.set.Limit, func() (got answer) {
		got.paths, got.unread = launch.ClassPath()
		return got
	})
	if !ok {
		got.unread = []string{"no answer within " + a.set.Limit.String()}
	}
	for _, name := range got.unread {
		a.unread = append(a.unread, "its class path is not known in full: argument file not read: "+proc.Shown(name))
	}
	return got.paths
}

// expand replaces the "dir/*" of a class path by the archives that lie there.
func expand(root *jail.Root, classPath []string) []string {
	var out []string
	for _, entry := range classPath {
		dir, all := strings.CutSuffix(entry, "/*")
		if !all {
			out = append(out, entry)
			continue
		}
		names, _, err := root.Names(dir, 4096)
		if err != nil {
			continue // the JVM takes a directory that is not there for an empty one
		}
		for _, name := range names {
			if lang.IsJar(name) {
				out = append(out, dir+"/"+name)
			}
		}
	}
	return out
}
