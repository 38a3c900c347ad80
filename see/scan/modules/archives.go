package modules

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"staunch/see/scan/ident"
	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/patience"
	"staunch/see/scan/proc"

	"golang.org/x/sys/unix"
)

// archives remembers what each jar of this look holds. Each is read once, whoever asks, and one at a time, so that nested ones never fill
// the memory; one whose file system hangs gives its turn away with its deadline.
type archives struct {
	mu     sync.Mutex
	all    map[ident.ArchiveKey]*archive
	turn   chan struct{}
	silent map[place]bool // directories where one gave no answer; guarded by turn
}

// archive is what one archive told; read is closed when it is known.
type archive struct {
	key   ident.ArchiveKey
	read  chan struct{}
	has   lang.Archive
	why   string // what of it could not be read
	quiet bool   // no file, or a directory: a class path may name what is not there
}

// archivePatience is how many single deadlines one archive may take: it is read and inflated, not only opened.
const archivePatience = 5

// Archive reads one archive that no process holds, within its time; ok is false when its file system gave no answer, and why says what of it could not
// be read.
func (f *Finder) Archive(name string, open func() (int, error)) (has lang.Archive, why string, ok bool) {
	got, ok := patience.Within(archivePatience*f.set.Limit, func() *archive { return f.readArchive(name, open) })
	if !ok {
		return lang.Archive{}, "", false
	}
	return got.has, got.why, true
}

// archiveAt reads one archive, once per look; what could not be read of it is said.
func (a *asking) archiveAt(name string, open func() (int, error)) lang.Archive {
	shown := proc.Shown(name)
	got := a.takeTurn(place{a.Root, path.Dir(shown)}, shown, open)
	if got.why != "" && !got.quiet {
		a.unread = append(a.unread, "archive not read in full: "+shown+": "+got.why)
	}
	return got.has
}

// takeTurn reads one archive within its time, unless its neighbours already showed that their file server is dead.
func (f *Finder) takeTurn(dir place, name string, open func() (int, error)) *archive {
	f.archives.turn <- struct{}{}
	defer func() { <-f.archives.turn }()
	if f.archives.silent[dir] {
		return &archive{why: "its file system gives no answer"}
	}
	got, ok := patience.Within(archivePatience*f.set.Limit, func() *archive { return f.readArchive(name, open) })
	if !ok {
		if f.archives.silent == nil {
			f.archives.silent = map[place]bool{}
		}
		f.archives.silent[dir] = true
		return &archive{why: "no answer within " + (archivePatience * f.set.Limit).Round(time.Second).String()}
	}
	return got
}

// readArchive answers from this look or from the cache, and reads only what neither knows.
func (f *Finder) readArchive(name string, open func() (int, error)) *archive {
	fd, err := open()
	if err != nil {
		return &archive{why: jail.Reason(err), quiet: errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)}
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	st, err := jail.StatFD(fd, "")
	if err != nil {
		return &archive{why: jail.Reason(err)}
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG {
		return &archive{why: "not a regular file", quiet: kind == unix.S_IFDIR}
	}
	key := ident.ArchiveKey{Content: ident.KeyOf(&st), Name: name}
	f.archives.mu.Lock()
	got, known := f.archives.all[key]
	if !known {
		got = &archive{key: key, read: make(chan struct{})}
		f.archives.all[key] = got
	}
	f.archives.mu.Unlock()
	if known {
		<-got.read // the caller's deadline holds for this too
		return got
	}
	defer close(got.read)
	if has, ok := f.set.Memory.Archive(key); ok {
		got.has = has
		return got
	}
	if got.has, err = lang.Jar(file, int64(st.Size), name, f.set.Marks, lang.DefaultLimits()); err != nil {
		got.why, got.quiet = err.Error(), !lang.IsJar(name)
	} else {
		f.set.Memory.LearnArchive(key, got.has, f.set.Began)
	}
	return got
}
