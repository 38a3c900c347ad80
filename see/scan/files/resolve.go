package files

import (
	"errors"
	"fmt"
	"strings"
	"sync"
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

// resolution is what resolve found out about a file, written into the file in one go so that a late answer cannot spoil it.
type resolution struct {
	State  State
	mtime  time.Time
	ctime  time.Time
	btime  time.Time
	Dir    *jail.Root // where its name was looked for: nil when nobody looked
	Inside string     // the name below Dir
	says   string     // the true name, where it is known better than from the maps file
	Memory *Content   // what is mapped; nil when it could not be told
	Disk   *Content   // what the name leads to, where that is another file
	Unread string     // why Memory is not known
	doubt  string
	retry  bool // the process ended or changed its mappings: another one has to show the file
}

// Use is one file in one process, and where that one has it mapped.
type Use struct {
	File       *File
	Begin, End uint64
}

// Resolve finds out about the file that a process is the first to show: dir is that of the process, exe where its exe link leads.
func (fs *Table) Resolve(dir *proc.Dir, exe string, u Use) {
	f := u.File
	if fs.dead.has(f.key.dev) {
		f.settle(resolution{State: Same, Unread: "its file system gives no answer"})
		return
	}
	res, ok := fs.patiently(dir, exe, u)
	switch {
	case !ok:
		fs.dead.add(f.key.dev)
		f.settle(resolution{State: Same, Unread: fmt.Sprintf("no answer within %v from its file system", fs.limit)})
	case !res.retry:
		fs.catalogue.Queue(res.Memory)
		fs.catalogue.Queue(res.Disk)
		f.settle(res)
	}
}

// patiently resolves within the limit. Where no answer comes, either the file system hangs or the process does, with a lock on its memory, and
// which one it is tells a look by the file's name: a single process must not make a whole file system unseen. Such a process is not asked
// again: its files are believed by name and numbers, or shown by others. It returns false if it is the file system.
func (fs *Table) patiently(dir *proc.Dir, exe string, u Use) (resolution, bool) {
	if !fs.stuck.has(uint64(dir.PID)) {
		if res, ok := patience.Within(fs.limit, func() resolution { return fs.resolve(dir, exe, u) }); ok {
			return res, true
		}
	}
	res, ok := patience.Within(fs.limit, func() resolution { return fs.guess(u.File) })
	if ok {
		fs.stuck.add(uint64(dir.PID))
		if res.retry = res.Memory == nil; res.retry {
			u.File.withhold()
		}
	}
	return res, ok
}

func (f *File) settle(res resolution) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resolved, f.resolution = true, res
}

// resolve opens the mapped inode itself, and looks what its name leads to now.
func (fs *Table) resolve(dir *proc.Dir, exe string, u Use) resolution {
	link := proc.RangeName(u.Begin, u.End)
	st, err := jail.StatFD(dir.FD(), link)
	if refused(err) && isExe(exe, u.File.key.path) {
		link = "exe" // may be followed without the right that map_files wants
		st, err = jail.StatFD(dir.FD(), link)
	}
	switch {
	case err == nil:
		res := fs.compare(u.File, &st, func() (int, error) { return dir.OpenFile(link) })
		if res.State != Same && strings.Contains(u.File.key.path, `\012`) { // a newline or these four characters: only the link tells
			if raw, err := dir.Link(&proc.Scratch{}, link); err == nil {
				res.says = strings.TrimSuffix(raw, proc.Deleted)
			}
		}
		return res
	case refused(err):
		return fs.guess(u.File)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return resolution{retry: true}
	}
	res := fs.guess(u.File)
	if res.Memory == nil {
		res.Unread = "the mapped file could not be opened: " + jail.Reason(err)
	}
	return res
}

func refused(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) }

// IsExe tells whether the file is the program that an exe link leads to.
func (f *File) IsExe(exe string) bool { return isExe(exe, f.key.path) }

func isExe(exe, path string) bool {
	plain, _ := proc.Unescape(path)
	return exe == path || exe == plain
}

// compare tells the states apart when the mapped inode is known.
func (fs *Table) compare(f *File, st *unix.Statx_t, open func() (int, error)) resolution {
	res := resolution{State: Same, mtime: timeOf(st.Mtime), ctime: timeOf(st.Ctime), btime: timeOf(st.Btime)}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		res.Unread = "not a regular file"
		return res
	}
	if proc.MemFile([]byte(f.key.path)) { // it never had a name that could lead elsewhere
		res.Memory = fs.catalogue.Get(st, ident.Sum{}, open)
		return res
	}
	now := f.onDisk(identityOf(st), true)
	defer now.close()
	res.Dir, res.Inside = now.dir, now.name
	res.Memory = fs.catalogue.Get(st, ident.Sum{Kind: f.key.root.SumFor(now.name)}, open)
	switch {
	case now.fd < 0 && (errors.Is(now.err, unix.ENOENT) || errors.Is(now.err, unix.ENOTDIR)):
		res.State = Deleted
	case now.fd < 0:
		if st.Nlink == 0 {
			res.State = Deleted
		} else if now.err != errOutside {
			res.doubt = "whether its name still leads to it could not be told: " + jail.Reason(now.err)
		}
	case identityOf(&now.st) != identityOf(st):
		res.State = Replaced
		res.Disk = fs.contentOf(f, &now)
	default:
		res.says = now.says
	}
	return res
}

// contentOf takes in what the name leads to now.
func (fs *Table) contentOf(f *File, now *found) *Content {
	if now.st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	return fs.catalogue.Get(&now.st, ident.Sum{Kind: f.key.root.SumFor(now.name)}, func() (int, error) { return jail.Reopen(now.fd) })
}

// guess does without the mapped inode (a plain user): the name is trusted only if it leads to the numbers that the maps file shows.
func (fs *Table) guess(f *File) resolution {
	res := resolution{State: Same}
	now := f.onDisk(identity{dev: f.key.dev, ino: f.key.ino}, true)
	defer now.close()
	res.Dir, res.Inside = now.dir, now.name
	marked := f.marked()
	switch {
	case now.fd >= 0 && f.sameNumbers(&now.st, marked):
		res.mtime, res.ctime, res.btime = timeOf(now.st.Mtime), timeOf(now.st.Ctime), timeOf(now.st.Btime)
		if res.Memory = fs.contentOf(f, &now); res.Memory == nil {
			res.Unread = "not a regular file"
		}
		return res
	case now.fd >= 0:
		res.State, res.Disk = Replaced, fs.contentOf(f, &now)
	case errors.Is(now.err, unix.ENOENT), errors.Is(now.err, unix.ENOTDIR):
		res.State = Deleted
	}
	res.Unread = errNoRight.Error()
	return res
}

// sameNumbers compares with the numbers of the maps file. Overlays and btrfs show another device there than stat does; the inode number
// is trusted alone only between such devices, and only if the kernel does not say that the mapped file lost its name.
func (f *File) sameNumbers(st *unix.Statx_t, marked bool) bool {
	id := identityOf(st)
	if id.ino != f.key.ino {
		return false
	}
	return id.dev == f.key.dev || !marked && st.Dev_major == 0
}

func (f *File) marked() bool { return strings.HasSuffix(f.key.path, proc.Deleted) }

func (f *found) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
}

// Retry asks other processes for files whose first process ended before it showed them.
func (fs *Table) Retry(procfs string) {
	for _, f := range fs.all {
		for _, c := range f.candidates {
			if f.resolved {
				break
			}
			dir, err := proc.Open(procfs, c.PID)
			if err != nil {
				continue
			}
			if st, err := dir.Stat(&proc.Scratch{}); err == nil && st.Start == c.Start {
				fs.Resolve(dir, "", Use{File: f, Begin: c.Begin, End: c.End})
			}
			dir.Close()
		}
		if !f.resolved {
			f.settle(fs.unshown(f))
		}
	}
}

// withhold notes that a process which has the file mapped gave no answer about it.
func (f *File) withhold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.withheld = true
}

// unshown is what is known of a file that no process showed.
func (fs *Table) unshown(f *File) resolution {
	res := resolution{State: Same, Unread: "the processes that had it mapped ended, or unmapped it, before it could be opened"}
	if f.marked() {
		res.State = Deleted
	}
	if f.withheld {
		res.Unread = fmt.Sprintf("no answer within %v from the process that has it mapped, and its name does not lead to it", fs.limit)
	}
	return res
}

// silent are devices whose file system, or processes whose memory gave no answer: asking again would only cost another deadline.
type silent struct {
	mu  sync.Mutex
	all map[uint64]bool
}

func (d *silent) add(one uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[uint64]bool{}
	}
	d.all[one] = true
}

func (d *silent) has(one uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[one]
}
