package scan

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"staunch/see/scan/cache"
	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/patience"

	"golang.org/x/sys/unix"
)

// archives remembers what each jar of this look holds. Each is read once, whoever asks, and one at a time, so that nested ones never fill
// the memory; one whose file system hangs gives its turn away with its deadline.
type archives struct {
	mu     sync.Mutex
	all    map[cache.ArchiveKey]*archive
	turn   chan struct{}
	silent map[string]bool // directories (with the root of the process) where one gave no answer; guarded by turn
}

// archive is what one archive told; read is closed when it is known.
type archive struct {
	key   cache.ArchiveKey
	read  chan struct{}
	has   lang.Archive
	why   string // what of it could not be read
	quiet bool   // no file, or a directory: a class path may name what is not there
}

// archivePatience is how many single deadlines one archive may take: it is read and inflated, not only opened.
const archivePatience = 5

// archiveAt reads one archive, once per look; what could not be read of it is said.
func (l *look) archiveAt(r *seen, name string, open func() (int, error)) lang.Archive {
	shown := displayName(name)
	got := l.takeTurn(shown, r.process.Root+path.Dir(shown), open)
	if got.why != "" && !got.quiet {
		r.unseen = append(r.unseen, Unseen{PID: r.process.PID, Name: r.process.Name, Reason: "archive not read in full: " + shown + ": " + got.why})
	}
	return got.has
}

// takeTurn reads one archive within its time, unless its neighbours already showed that their file server is dead.
func (l *look) takeTurn(name, dir string, open func() (int, error)) *archive {
	l.archives.turn <- struct{}{}
	defer func() { <-l.archives.turn }()
	if l.archives.silent[dir] {
		return &archive{why: "its file system gives no answer"}
	}
	got, ok := patience.Within(archivePatience*l.limit, func() *archive { return l.readArchive(name, open) })
	if !ok {
		if l.archives.silent == nil {
			l.archives.silent = map[string]bool{}
		}
		l.archives.silent[dir] = true
		return &archive{why: "no answer within " + (archivePatience * l.limit).Round(time.Second).String()}
	}
	return got
}

// readArchive answers from this look or from the cache, and reads only what neither knows.
func (l *look) readArchive(name string, open func() (int, error)) *archive {
	fd, err := open()
	if err != nil {
		return &archive{why: reason(err), quiet: errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	st, err := jail.StatFD(fd, "")
	if err != nil {
		return &archive{why: reason(err)}
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG {
		return &archive{why: "not a regular file", quiet: kind == unix.S_IFDIR}
	}
	key := cache.ArchiveKey{Content: cache.KeyOf(&st), Name: name}
	l.archives.mu.Lock()
	got, known := l.archives.all[key]
	if !known {
		got = &archive{key: key, read: make(chan struct{})}
		l.archives.all[key] = got
	}
	l.archives.mu.Unlock()
	if known {
		<-got.read // the caller's deadline holds for this too
		return got
	}
	defer close(got.read)
	if has, ok := l.cache.Archive(key); ok {
		got.has = has
		return got
	}
	if got.has, err = lang.Jar(f, int64(st.Size), name, l.marks, lang.DefaultLimits()); err != nil {
		got.why, got.quiet = err.Error(), !lang.IsJar(name)
	} else {
		l.cache.LearnArchive(key, got.has, l.began)
	}
	return got
}
