package files

import (
	"iter"
	"maps"
	"sync"
	"time"

	"staunch/see/scan/lang"
	"staunch/see/scan/proc"
)

// Table holds all files of a look, each once.
type Table struct {
	catalogue *Catalogue
	limit     time.Duration
	dead      silent // devices
	stuck     silent // pids

	mu   sync.Mutex
	all  map[fileKey]*File
	shut bool
}

// NewTable returns a table without files; each may take limit to be found out about, and their contents go to the catalogue.
func NewTable(c *Catalogue, limit time.Duration) *Table {
	return &Table{catalogue: c, limit: limit, all: map[fileKey]*File{}}
}

// All are the files taken in. It is called when nothing is taken in any more.
func (fs *Table) All() iter.Seq[*File] { return maps.Values(fs.all) }

// Add takes in a file that no process has mapped (see Lying).
func (fs *Table) Add(f *File) { fs.all[f.key] = f }

// Lying is a file that no process has mapped: it lies in a root under its true name.
func Lying(root *Root, name string, c *Content) *File {
	f := &File{key: fileKey{root: root, path: name}, Name: name}
	f.settle(resolution{State: Same, Dir: root.Dir, Inside: name, Memory: c})
	return f
}

// Close ends taking in, so that a process that answers too late changes nothing that is being read.
func (fs *Table) Close() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.shut = true
}

// Intern returns the file of a mapping; fresh tells that the caller is the first to show it and has to resolve it.
func (fs *Table) Intern(root *Root, m proc.Mapping, c Candidate) (f *File, fresh bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.shut {
		return &File{}, false
	}
	// written out, so that the compiler looks it up without making a string of the path
	if f, ok := fs.all[fileKey{root, m.Dev, m.Inode, string(m.Path)}]; ok {
		if len(f.candidates) < maxCandidates {
			f.candidates = append(f.candidates, c)
		}
		return f, false
	}
	key := fileKey{root, m.Dev, m.Inode, string(m.Path)}
	f = &File{key: key, Name: proc.Shown(key.path)}
	f.InTree = lang.InTree(f.Name)
	fs.all[key] = f
	return f, true
}
