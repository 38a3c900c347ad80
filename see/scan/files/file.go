package files

import (
	"strings"
	"sync"
	"time"

	"staunch/see/scan/jail"
	"staunch/see/scan/proc"

	"golang.org/x/sys/unix"
)

// File is one file as the processes of one root have it mapped. Its key is what the maps say there; what the kernel says of the
// mapped inode and of the name today (the resolution) is filled by the first process that shows it.
type File struct {
	key  fileKey
	Name string // the path, for people: without " (deleted)" and escapes
	// InTree tells that it lies where a language keeps its modules
	InTree bool

	mu         sync.Mutex
	resolved   bool
	withheld   bool        // by a process that gave no answer
	candidates []Candidate // who else has it mapped, should the first one end too early

	resolution
}

// fileKey identifies a mapped file within one look. The root is part of it: device and inode alone confuse overlays and namespaces.
type fileKey struct {
	root     *Root
	dev, ino uint64
	path     string
}

// Shown is the path for people: the spelling that leads to the file itself, where the disk told one. It is asked for when all processes
// have been looked at, for until then another one may still settle it.
func (f *File) Shown() string {
	if f.says != "" {
		return f.says
	}
	return f.Name
}

// Candidate is a process that has a file mapped, and where.
type Candidate struct {
	PID        int
	Start      uint64 // ticks
	Begin, End uint64
}

const maxCandidates = 4

// names returns the spellings under which the file may lie on disk now, the likeliest first.
func (k *fileKey) names() []string {
	out := []string{k.path}
	if plain, changed := proc.Unescape(k.path); changed {
		out = append(out, plain)
	}
	for _, name := range out {
		if cut, ok := strings.CutSuffix(name, proc.Deleted); ok {
			out = append(out, cut)
		}
	}
	return out
}

// identity is what tells two files apart within one moment: statx of both through the same kernel gives the same for the same file,
// which the numbers in maps do not (overlayfs, btrfs).
type identity struct {
	dev uint64 // major<<32 | minor
	ino uint64
}

func identityOf(st *unix.Statx_t) identity {
	return identity{dev: uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), ino: st.Ino}
}

func timeOf(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// found is what the name leads to now.
type found struct {
	fd   int // O_PATH; -1 when there is nothing
	st   unix.Statx_t
	dir  *jail.Root
	name string // the spelling that led there, below dir
	says string // the same spelling as people read it
	err  error
}

// onDisk looks for the file's name in its root. It prefers a spelling that leads to the mapped inode itself, because a name may truly
// end with " (deleted)"; otherwise the last spelling counts, which is the one without the mark.
func (f *File) onDisk(want identity, known bool) found {
	last := found{fd: -1, err: unix.ENOENT}
	for _, name := range f.key.names() {
		dir, inside, ok := f.key.root.reach(name)
		if !ok {
			last.err = errOutside
			continue
		}
		next := found{dir: dir, name: inside, says: name}
		if next.fd, next.err = dir.Path(inside); next.err == nil {
			if next.st, next.err = jail.StatFD(next.fd, ""); next.err != nil {
				unix.Close(next.fd)
				next.fd = -1
			}
		}
		if last.fd >= 0 && next.fd < 0 {
			continue
		}
		if last.fd >= 0 {
			unix.Close(last.fd)
		}
		last = next
		if last.fd >= 0 && known && identityOf(&last.st) == want {
			return last
		}
	}
	return last
}
