package scan

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"staunch/see/scan/ident"
	"staunch/see/scan/jail"
	"staunch/see/scan/patience"
	"staunch/see/scan/proc"

	"golang.org/x/sys/unix"
)

var (
	errOutside = errors.New("outside of what can be opened")
	errNoRight = errors.New("the code in memory can only be read with CAP_CHECKPOINT_RESTORE or as root")
)

// verdict on a file: what resolve found out, written into the file in one go so that a late answer cannot spoil it.
type resolution struct {
	state  State
	mtime  time.Time
	ctime  time.Time
	btime  time.Time
	dir    *jail.Root
	inside string
	says   string // the true name, where it is known better than from the maps file
	memory *content
	disk   *content
	unread string
	doubt  string
	retry  bool // the process ended or changed its mappings: another one has to show the file
}

// resolveAll looks at the files that a process was the first to show.
func (l *look) resolveAll(r *seen) {
	for _, u := range r.fresh {
		l.resolveOne(r.dir, r.exe, u)
	}
}

func (l *look) resolveOne(dir *proc.Dir, exe string, u use) {
	f := u.file
	if l.dead.has(f.key.dev) {
		f.settle(resolution{state: Same, unread: "its file system gives no answer"})
		return
	}
	res, ok := patience.Within(l.limit, func() resolution { return l.resolve(dir, exe, u) })
	switch {
	case !ok:
		l.dead.add(f.key.dev)
		f.settle(resolution{state: Same, unread: fmt.Sprintf("no answer within %v from its file system", l.limit)})
	case !res.retry:
		l.catalogue.queue(res.memory)
		l.catalogue.queue(res.disk)
		f.settle(res)
	}
}

func (f *file) settle(res resolution) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resolved, f.resolution = true, res
}

// resolve opens the mapped inode itself, and looks what its name leads to now.
func (l *look) resolve(dir *proc.Dir, exe string, u use) resolution {
	link := proc.RangeName(u.begin, u.end)
	st, err := jail.StatFD(dir.FD(), link)
	if refused(err) && isExe(exe, u.file.key.path) {
		link = "exe" // may be followed without the right that map_files wants
		st, err = jail.StatFD(dir.FD(), link)
	}
	switch {
	case err == nil:
		res := l.compare(u.file, &st, func() (int, error) { return dir.OpenFile(link) })
		if res.state != Same && strings.Contains(u.file.key.path, `\012`) { // a newline or these four characters: only the link tells
			if raw, err := dir.Link(&proc.Scratch{}, link); err == nil {
				res.says = strings.TrimSuffix(raw, proc.Deleted)
			}
		}
		return res
	case refused(err):
		return l.guess(u.file)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return resolution{retry: true}
	}
	res := l.guess(u.file)
	if res.memory == nil {
		res.unread = "the mapped file could not be opened: " + jail.Reason(err)
	}
	return res
}

func refused(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) }

func isExe(exe, path string) bool {
	plain, _ := proc.Unescape(path)
	return exe == path || exe == plain
}

// compare tells the states apart when the mapped inode is known.
func (l *look) compare(f *file, st *unix.Statx_t, open func() (int, error)) resolution {
	res := resolution{state: Same, mtime: timeOf(st.Mtime), ctime: timeOf(st.Ctime), btime: timeOf(st.Btime)}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		res.unread = "not a regular file"
		return res
	}
	if proc.MemFile([]byte(f.key.path)) { // it never had a name that could lead elsewhere
		res.memory = l.catalogue.get(st, ident.Sum{}, open)
		return res
	}
	now := f.onDisk(identityOf(st), true)
	defer now.close()
	res.dir, res.inside = now.dir, now.name
	res.memory = l.catalogue.get(st, ident.Sum{Kind: f.key.root.sumFor(now.name)}, open)
	switch {
	case now.fd < 0 && (errors.Is(now.err, unix.ENOENT) || errors.Is(now.err, unix.ENOTDIR)):
		res.state = Deleted
	case now.fd < 0:
		if st.Nlink == 0 {
			res.state = Deleted
		} else if now.err != errOutside {
			res.doubt = "whether its name still leads to it could not be told: " + jail.Reason(now.err)
		}
	case identityOf(&now.st) != identityOf(st):
		res.state = Replaced
		res.disk = l.contentOf(f, &now)
	default:
		res.says = now.says
	}
	return res
}

// contentOf takes in what the name leads to now.
func (l *look) contentOf(f *file, now *found) *content {
	if now.st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	return l.catalogue.get(&now.st, ident.Sum{Kind: f.key.root.sumFor(now.name)}, func() (int, error) { return jail.Reopen(now.fd) })
}

// guess does without the mapped inode (a plain user): the name is trusted only if it leads to the numbers that the maps file shows.
func (l *look) guess(f *file) resolution {
	res := resolution{state: Same}
	now := f.onDisk(identity{dev: f.key.dev, ino: f.key.ino}, true)
	defer now.close()
	res.dir, res.inside = now.dir, now.name
	marked := f.marked()
	switch {
	case now.fd >= 0 && f.sameNumbers(&now.st, marked):
		res.mtime, res.ctime, res.btime = timeOf(now.st.Mtime), timeOf(now.st.Ctime), timeOf(now.st.Btime)
		if res.memory = l.contentOf(f, &now); res.memory == nil {
			res.unread = "not a regular file"
		}
		return res
	case now.fd >= 0:
		res.state, res.disk = Replaced, l.contentOf(f, &now)
	case errors.Is(now.err, unix.ENOENT), errors.Is(now.err, unix.ENOTDIR):
		res.state = Deleted
	}
	res.unread = errNoRight.Error()
	return res
}

// sameNumbers compares with the numbers of the maps file. Overlays and btrfs show another device there than stat does; the inode number
// is trusted alone only between such devices, and only if the kernel does not say that the mapped file lost its name.
func (f *file) sameNumbers(st *unix.Statx_t, marked bool) bool {
	id := identityOf(st)
	if id.ino != f.key.ino {
		return false
	}
	return id.dev == f.key.dev || !marked && st.Dev_major == 0
}

func (f *file) marked() bool { return strings.HasSuffix(f.key.path, proc.Deleted) }

func (f *found) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
}

// slack is how much later than a process's start a file may be written without doubt: starts are known to 10 ms, times of files to 4.
const slack = 20 * time.Millisecond

// settling is how long after its birth a file counts as still being written for the first time.
const settling = 2 * time.Second

// stateFor is the file's state in a process that started at that time.
//
// A file that was born after the process started and never written later was complete when it was mapped (a library that a program
// unpacks for itself), so it is not overwritten.
func (f *file) stateFor(start time.Time) (State, string) {
	if f.mtime.IsZero() {
		return f.state, f.doubt
	}
	born := f.btime.After(start.Add(slack)) && f.btime.Unix() > 0
	switch {
	case f.mtime.After(start.Add(slack)) && !(born && f.mtime.Before(f.btime.Add(settling))):
		if f.state != Same {
			return f.state, "it was also written in place at " + f.mtime.UTC().Format(time.RFC3339) + ", after the process started"
		}
		return Overwritten, f.doubt
	case f.state == Same && f.ctime.After(start.Add(slack)) && !born && f.doubt == "":
		return f.state, "its inode changed at " + f.ctime.UTC().Format(time.RFC3339) + ", after the process started: " +
			"owner, mode or links, or its content with the time put back"
	}
	return f.state, f.doubt
}
