package scan

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"staunch/see/scan/container"
	"staunch/see/scan/files"
	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/modules"
	"staunch/see/scan/proc"

	"golang.org/x/sys/unix"
)

// seen is what one process's directory told.
type seen struct {
	process Process
	start   uint64 // ticks
	place   container.Place
	root    *files.Root
	dir     *proc.Dir // held open until the process's files are resolved
	exe     string    // raw target of its exe link
	uses    []*files.File
	fresh   []files.Use // files that nobody had before
	sockets []uint64
	open    []modules.Opened // files it holds open that may carry a component of its language
	launch  *lang.Launch     // of a Java virtual machine
	gone    bool             // it ended, or never ran a program
	unseen  []Unseen
}

// readProcess reads everything that /proc tells of one process. It touches no file of any file system but procfs.
func (l *look) readProcess(pid int) *seen {
	r := &seen{process: Process{PID: pid}}
	dir, err := proc.Open(l.proc, pid)
	if err != nil {
		r.fail(err, "its directory")
		return r
	}
	r.dir = dir
	s := l.scratch.Get()
	defer l.scratch.Put(s)
	if err := l.readStat(r, s); err != nil || r.gone {
		r.fail(err, "its state")
		return r
	}
	l.readPlace(r, s)
	if !l.asked(r) {
		r.gone = true
		return r
	}
	if err := l.readMaps(r, s); err != nil {
		r.fail(err, "its memory map")
		return r
	}
	l.readSockets(r, s)
	l.readLaunch(r, s)
	if l.q.Args {
		l.readArgs(r, s)
	}
	return r
}

// resolveAll looks at the files that a process was the first to show.
func (l *look) resolveAll(r *seen) {
	for _, u := range r.fresh {
		l.files.Resolve(r.dir, r.exe, u)
	}
}

// fail notes why a process could not be looked at. A process that ended is not unseen: it no longer runs.
func (r *seen) fail(err error, what string) {
	switch {
	case err == nil:
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		r.gone = true
	default:
		r.unseen = append(r.unseen, Unseen{PID: r.process.PID, Name: r.process.Name, Reason: what + " could not be read: " + jail.Reason(err)})
	}
}

func (l *look) readStat(r *seen, s *proc.Scratch) error {
	st, err := r.dir.Stat(s)
	if err != nil {
		return err
	}
	if st.State == 'Z' && st.Threads > 1 {
		if live, ok := r.dir.Live(l.proc, s); ok {
			r.dir.Close()
			r.dir = live
		}
	} else if st.State == 'Z' || st.State == 'X' {
		r.gone = true
	}
	r.gone = r.gone || st.Kernel
	r.start = st.Start
	r.process.PPID, r.process.Name = st.PPID, st.Name
	r.process.Start = l.clock.At(st.Start)
	r.process.User = l.users.name(st.UID)
	return nil
}

func (l *look) readPlace(r *seen, s *proc.Scratch) {
	b, err := r.dir.Read(s, "cgroup", 64<<10)
	if err != nil {
		r.fail(err, "its control group")
		return
	}
	r.place = l.places.get(b)
	r.process.Unit = r.place.Unit
}

// asked tells whether the question is about this process.
func (l *look) asked(r *seen) bool {
	if len(l.q.Units) == 0 {
		return true
	}
	for _, unit := range l.q.Units {
		if r.process.Unit == unit || strings.TrimSuffix(r.process.Unit, ".service") == unit {
			return true
		}
	}
	return false
}

// readMaps reads what the process has mapped, and where its "/" is.
func (l *look) readMaps(r *seen, s *proc.Scratch) error {
	exe, err := r.dir.Link(s, "exe")
	if err != nil {
		return err
	}
	r.exe = exe
	if r.root, err = l.rootOf(r.dir, s); err != nil {
		return err
	}
	r.process.Root = r.root.Name()
	bad, err := l.collect(r, s)
	if err != nil {
		return err
	}
	if bad > 0 {
		r.unseen = append(r.unseen, Unseen{PID: r.process.PID, Name: r.process.Name, Reason: strconv.Itoa(bad) + " lines of its memory map could not be understood"})
	}
	return nil
}

// collect turns executable mappings into the files behind them, each once.
func (l *look) collect(r *seen, s *proc.Scratch) (bad int, err error) {
	last, lastDev, lastIno := (*files.File)(nil), uint64(0), uint64(0)
	return r.dir.EachExecutable(s, func(m proc.Mapping) {
		if last != nil && lastDev == m.Dev && lastIno == m.Inode || proc.Kernel(m.Path) {
			return
		}
		if proc.MemFile(m.Path) && string(m.Path) != r.exe {
			return // just-in-time code and shared buffers; a program that runs from memory counts
		}
		f, fresh := l.files.Intern(r.root, m, files.Candidate{PID: r.process.PID, Start: r.start, Begin: m.Start, End: m.End})
		last, lastDev, lastIno = f, m.Dev, m.Inode
		if fresh {
			r.fresh = append(r.fresh, files.Use{File: f, Begin: m.Start, End: m.End})
		}
		if !r.has(f) {
			r.uses = append(r.uses, f)
		}
	})
}

func (r *seen) has(f *files.File) bool {
	for _, u := range r.uses {
		if u == f {
			return true
		}
	}
	return false
}

// rootOf finds what the process calls "/", opened once for all processes that share it.
func (l *look) rootOf(d *proc.Dir, s *proc.Scratch) (*files.Root, error) {
	ns, err := d.Link(s, "ns/mnt")
	if err != nil {
		return nil, err
	}
	link, err := d.Link(s, "root")
	if err != nil {
		return nil, err
	}
	return l.roots.Get(proc.Namespace(ns), link, func() (*jail.Root, error) { return jail.OpenAt(d.FD(), "root") })
}

func (l *look) readSockets(r *seen, s *proc.Scratch) {
	var err error
	r.sockets, err = r.dir.Sockets(s, nil, carries, func(fd, path string) {
		r.open = append(r.open, modules.Opened{FD: fd, Path: path})
	})
	r.fail(err, "its open files")
	if err != nil || len(r.sockets) == 0 {
		return
	}
	net, err := r.dir.Link(s, "ns/net")
	if err != nil {
		r.fail(err, "its network namespace")
		return
	}
	l.nets.Read(proc.Namespace(net), r.dir, s)
}

func (l *look) readArgs(r *seen, s *proc.Scratch) {
	b, err := r.dir.Read(s, "cmdline", 2<<20)
	if err != nil {
		r.fail(err, "its arguments")
		return
	}
	for arg := range strings.SplitSeq(strings.TrimSuffix(string(b), "\x00"), "\x00") {
		r.process.Args = append(r.process.Args, arg)
	}
}

// readLaunch reads how a Java virtual machine was started: its arguments, and of its environment only what names code to load.
func (l *look) readLaunch(r *seen, s *proc.Scratch) {
	jvm := path.Base(r.exe) == "java" || slices.ContainsFunc(r.uses, func(f *files.File) bool { return strings.HasSuffix(f.Name, "/libjvm.so") })
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

// carries tells whether what a process holds open is worth a look for components of its language.
func carries(path []byte) bool { return lang.Carries(bytes.TrimSuffix(path, []byte(proc.Deleted))) }
