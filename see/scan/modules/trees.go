package modules

import (
	"io/fs"
	"os"
	"strings"
	"sync"

	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/patience"
	"staunch/see/scan/proc"
)

// trees remembers what lies in the directories of languages: many processes have the same module.
type trees struct {
	mu  sync.Mutex
	all map[place][]lang.Found
}

// place is a path in one root.
type place struct {
	root *jail.Root
	name string
}

func (f *Finder) treeModule(root *jail.Root, name string) []lang.Found {
	key := place{root, strings.TrimSuffix(proc.Shown(name), proc.Deleted)}
	f.trees.mu.Lock()
	found, known := f.trees.all[key]
	f.trees.mu.Unlock()
	if known {
		return found
	}
	found, ok := patience.Within(f.set.Limit, func() []lang.Found {
		if one, ok := lang.Module(inRoot{root}, key.name); ok {
			return []lang.Found{one}
		}
		return nil
	})
	if !ok {
		f.set.Note("a language module could not be read in time: " + key.name)
	}
	f.trees.mu.Lock()
	defer f.trees.mu.Unlock()
	f.trees.all[key] = found
	return found
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
