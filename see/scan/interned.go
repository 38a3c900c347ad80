package scan

import (
	"os"
	"sync"

	"staunch/see/scan/container"
	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/owner"
	"staunch/see/scan/proc"
)

// files are all files of a look, each once.
type files struct {
	mu   sync.Mutex
	all  map[fileKey]*file
	shut bool
}

// close ends taking in, so that a process that answers too late changes nothing that is being read.
func (fs *files) close() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.shut = true
}

// intern returns the file of a mapping; fresh tells that the caller is the first to show it and has to resolve it.
func (fs *files) intern(root *root, m proc.Mapping, c candidate) (f *file, fresh bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.shut {
		return &file{}, false
	}
	// written out, so that the compiler looks it up without making a string of the path
	if f, ok := fs.all[fileKey{root, m.Dev, m.Inode, string(m.Path)}]; ok {
		if len(f.candidates) < maxCandidates {
			f.candidates = append(f.candidates, c)
		}
		return f, false
	}
	key := fileKey{root, m.Dev, m.Inode, string(m.Path)}
	f = &file{key: key, name: proc.Shown(key.path)}
	f.inTree = lang.InTree(f.name)
	fs.all[key] = f
	return f, true
}

// roots are all mount namespaces and chroots of a look, each opened once.
type roots struct {
	mu  sync.Mutex
	own uint64
	top *jail.Root // our own "/"
	all map[rootKey]*root
}

type rootKey struct {
	ns   uint64
	link string
}

func (rs *roots) get(ns uint64, link string, open func() (*jail.Root, error)) (*root, error) {
	key := rootKey{ns, link}
	rs.mu.Lock()
	r, ok := rs.all[key]
	rs.mu.Unlock()
	if ok {
		return r, nil
	}
	r = &root{ns: ns, link: link, own: ns == rs.own, dir: rs.top}
	if r.own {
		r.top = rs.top
	}
	if !r.own || link != "/" {
		dir, err := open() // outside of the lock: it may hang
		if err != nil {
			return nil, err
		}
		r.dir = dir
	}
	r.sumKind = owner.Detect(r.dir).SumKind()
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if other, ok := rs.all[key]; ok {
		if r.dir != rs.top {
			r.dir.Close()
		}
		return other, nil
	}
	rs.all[key] = r
	return r, nil
}

func (rs *roots) close() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.all {
		if r.dir != rs.top {
			r.dir.Close()
		}
	}
	rs.top.Close()
}

// places remembers what the texts of cgroup files mean: many processes have the same.
type places struct {
	mu  sync.Mutex
	all map[string]container.Place
}

func (p *places) get(text []byte) container.Place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if place, ok := p.all[string(text)]; ok {
		return place
	}
	raw := string(text)
	place := container.Parse(raw)
	p.all[raw] = place
	return place
}

func newRoots(top *jail.Root, procfs string) *roots {
	rs := &roots{top: top, all: map[rootKey]*root{}}
	if self, err := os.Readlink(procfs + "/self/ns/mnt"); err == nil {
		rs.own = proc.Namespace(self)
	}
	return rs
}
