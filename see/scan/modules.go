package scan

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"staunch/see/scan/elf"
	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/patience"
	"staunch/see/scan/proc"
)

// opened is a file that a process holds open and that may carry a component of its language.
type opened struct {
	fd   string // number below /proc/PID/fd
	path string // as the kernel shows it
}

// carries tells paths that are worth a look from all the others that a process has open.
func carries(path []byte) bool {
	path = bytes.TrimSuffix(path, []byte(deletedMark))
	if at := bytes.LastIndexByte(path, '.'); at >= 0 && len(path)-at < 8 && lang.IsJar(string(path[at:])) {
		return true
	}
	for _, dir := range treeDirs() {
		if bytes.Contains(path, []byte(dir)) {
			return true
		}
	}
	return false
}

// treeDirs are the directories that modules of languages lie in.
func treeDirs() [5]string {
	return [...]string{"/node_modules/", "/site-packages/", "/dist-packages/", "/gems/", "/extensions/"}
}

func inTree(name string) bool {
	for _, dir := range treeDirs() {
		if strings.Contains(name, dir) {
			return true
		}
	}
	return false
}

// findModules looks at the jars, wheels, gems and Node modules that the process holds open, maps, or has on its class path.
func (l *look) findModules(r *seen) {
	root := r.root
	if root == nil || root.dir == nil {
		return // the process ended; its mappings said so already
	}
	had := map[string]bool{}
	add := func(found []lang.Found) {
		for _, f := range found {
			if key := f.Path + "\x00" + f.Name; !had[key] {
				had[key] = true
				r.process.Modules = append(r.process.Modules, l.moduleOf(f))
			}
		}
	}
	named := l.classPath(r, root)
	for _, o := range r.open {
		if lang.IsJar(strings.TrimSuffix(o.path, deletedMark)) {
			a := l.archiveAt(r, o.path, func() (int, error) { return openMapped(r.dir.FD(), "fd/"+o.fd) })
			add(a.Found)
			named = append(named, a.ClassPath...)
		} else {
			add(l.treeModule(root, o.path))
		}
	}
	for _, u := range r.uses {
		if u.inTree {
			add(l.treeModule(root, u.name))
		}
	}
	l.besides(r, root, named, add)
}

// besides reads the archives that the class path names, and those that their manifests name, unless the process has them open.
func (l *look) besides(r *seen, root *root, named []string, add func([]lang.Found)) {
	had := map[string]bool{}
	for _, o := range r.open {
		had[o.path] = true
	}
	for i := 0; i < len(named) && len(had) < maxArchives; i++ {
		for _, name := range expand(root, named[i:i+1]) {
			if had[name] {
				continue
			}
			had[name] = true
			a := l.archiveAt(r, name, func() (int, error) { return root.dir.OpenRead(name) })
			add(a.Found)
			named = append(named, a.ClassPath...)
		}
	}
	if len(had) >= maxArchives {
		r.unseen = append(r.unseen, Unseen{PID: r.process.PID, Name: r.process.Name, Reason: "more archives on its class path than we read"})
	}
}

// maxArchives bounds the files of one process's class path.
const maxArchives = 10_000

// readLaunch reads how a Java virtual machine was started: its arguments, and of its environment only what names code to load.
func (l *look) readLaunch(r *seen, s *proc.Scratch) {
	jvm := path.Base(r.exe) == "java" || slices.ContainsFunc(r.uses, func(f *file) bool { return strings.HasSuffix(f.name, "/libjvm.so") })
	if !jvm {
		return
	}
	b, err := r.dir.Read(s, "cmdline", 2<<20)
	if err != nil {
		r.fail(err, "its class path")
		return
	}
	launch := &lang.Launch{Args: strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), Env: map[string]string{}, Cwd: "/"}
	if b, err = r.dir.Read(s, "environ", 4<<20); err != nil {
		r.fail(err, "the environment that may name its class path")
	}
	for v := range strings.SplitSeq(string(b), "\x00") {
		if name, value, ok := strings.Cut(v, "="); ok && slices.Contains(lang.JVMVariables(), name) {
			launch.Env[name] = value
		}
	}
	if cwd, err := r.dir.Link(s, "cwd"); err == nil {
		launch.Cwd = cwd
	}
	r.launch = launch
}

// classPath is what a Java virtual machine was told to load; argument files are read in its own root.
func (l *look) classPath(r *seen, root *root) []string {
	if r.launch == nil {
		return nil
	}
	type answer struct{ paths, unread []string }
	launch := *r.launch
	launch.Open = func(name string) ([]byte, error) { return root.dir.Read(name, 1<<20) }
	got, ok := patience.Within(l.limit, func() (a answer) {
		a.paths, a.unread = launch.ClassPath()
		return a
	})
	if !ok {
		got.unread = []string{"no answer within " + l.limit.String()}
	}
	for _, name := range got.unread {
		r.unseen = append(r.unseen, Unseen{PID: r.process.PID, Name: r.process.Name, Reason: "its class path is not known in full: argument file not read: " + displayName(name)})
	}
	return got.paths
}

// expand replaces the "dir/*" of a class path by the archives that lie there.
func expand(root *root, classPath []string) []string {
	var out []string
	for _, entry := range classPath {
		dir, all := strings.CutSuffix(entry, "/*")
		if !all {
			out = append(out, entry)
			continue
		}
		names, _, err := root.dir.Names(dir, 4096)
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

// trees remembers what lies in the directories of languages: many processes have the same module.
type trees struct {
	mu  sync.Mutex
	all map[treeKey][]lang.Found
}

type treeKey struct {
	root *root
	name string
}

func (l *look) treeModule(root *root, name string) []lang.Found {
	key := treeKey{root, strings.TrimSuffix(displayName(name), deletedMark)}
	l.trees.mu.Lock()
	found, known := l.trees.all[key]
	l.trees.mu.Unlock()
	if known {
		return found
	}
	found, ok := patience.Within(l.limit, func() []lang.Found {
		if f, ok := lang.Module(inRoot{root.dir}, key.name); ok {
			return []lang.Found{f}
		}
		return nil
	})
	if !ok {
		l.note("a language module could not be read in time: " + key.name)
	}
	l.trees.mu.Lock()
	defer l.trees.mu.Unlock()
	l.trees.all[key] = found
	return found
}

// marksOf are the anchors that an archive's entries can answer.
func marksOf(anchors []elf.Anchor) []lang.Mark {
	var out []lang.Mark
	for _, a := range anchors {
		if strings.Contains(a.Component, ":") && len(a.Strings) > 0 {
			out = append(out, lang.Mark{ID: a.ID, Ecosystem: "Maven", Component: a.Component, Entries: a.Strings})
		}
	}
	return out
}

func (l *look) moduleOf(f lang.Found) Module {
	m := Module{Path: f.Path, Component: elf.Component{Name: f.Name, Version: f.Version, Linkage: elf.Bundled, Kind: f.Ecosystem}}
	for _, fact := range f.Facts {
		m.Component.Evidence = append(m.Component.Evidence, elf.Evidence{Kind: fact.Kind, Says: fact.Says, Detail: displayName(fact.Detail)})
	}
	for _, mark := range l.marks {
		there, asked := f.Marks[mark.ID]
		if !asked {
			continue
		}
		answer := elf.Answer{Anchor: mark.ID, Says: elf.No, Kind: "code"}
		if there {
			answer.Says, answer.Detail = elf.Yes, mark.Entries[0]
		}
		m.Answers = append(m.Answers, answer)
	}
	return m
}

// inRoot shows a process's root as a file system of small regular files.
type inRoot struct{ root *jail.Root }

// Open opens a regular file; a name that leads out of the root stays inside of it.
func (r inRoot) Open(name string) (fs.File, error) {
	fd, err := r.root.OpenRead("/" + name)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ReadDir lists a directory by names alone; what an entry is shows when it is opened.
func (r inRoot) ReadDir(name string) ([]fs.DirEntry, error) {
	names, _, err := r.root.Names("/"+name, 20_000)
	if err != nil {
		return nil, err
	}
	out := make([]fs.DirEntry, len(names))
	for i, n := range names {
		out[i] = nameEntry(n)
	}
	return out, nil
}

// nameEntry is a directory entry of which only the name is known; it says directory, for an egg-info that is a file has no list inside.
type nameEntry string

// Name is the entry's name.
func (n nameEntry) Name() string { return string(n) }

// IsDir is always true, see nameEntry.
func (n nameEntry) IsDir() bool { return true }

// Type is that of a directory, see nameEntry.
func (n nameEntry) Type() fs.FileMode { return fs.ModeDir }

// Info is not known.
func (n nameEntry) Info() (fs.FileInfo, error) { return nil, fs.ErrInvalid }
