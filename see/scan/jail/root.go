// Package jail opens files below a directory and never leaves it, whatever symbolic links, mounts or races the owner of that directory plays with.
package jail

import (
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Root is a directory that counts as "/" for every path below it: absolute links and ".." stay inside.
type Root struct {
	fd   int
	name atomic.Pointer[string] // where it lies in our own view
	old  atomic.Bool            // the kernel has no openat2 (before 5.6)

	patience *patience // nil: waits for ever
}

// Open opens a directory of our own view.
func Open(path string) (*Root, error) { return OpenAt(unix.AT_FDCWD, path) }

// OpenAt opens a directory relative to a descriptor; /proc/PID/root is one.
func OpenAt(dirfd int, name string) (*Root, error) {
	fd, err := unix.Openat(dirfd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Root{fd: fd}, nil
}

// Close gives the directory back.
func (r *Root) Close() { unix.Close(r.fd) }

// Path opens what path names with O_PATH: nothing is read, no device is touched. The caller closes the descriptor.
func (r *Root) Path(path string) (int, error) {
	return Ask(r, path, func() (int, error) { return r.open(path, unix.O_PATH|unix.O_CLOEXEC) }, closeFD)
}

func closeFD(fd int) { unix.Close(fd) }

// LPath is Path without following a last symbolic link.
func (r *Root) LPath(path string) (int, error) {
	return Ask(r, path, func() (int, error) { return r.open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC) }, closeFD)
}

func (r *Root) open(path string, flags int) (int, error) {
	if !r.old.Load() {
		how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
		for range 8 { // EAGAIN: something was renamed while ".." was resolved
			fd, err := unix.Openat2(r.fd, relative(path), &how)
			switch {
			case err == unix.ENOSYS, err == unix.EPERM && flags&(unix.O_PATH|unix.O_DIRECTORY) != 0: // EPERM: seccomp filters that do not know the call
				r.old.Store(true)
			case err == unix.EAGAIN, err == unix.EINTR:
				continue
			case err != nil:
				return -1, &fs.PathError{Op: "open", Path: path, Err: err}
			default:
				return fd, nil
			}
			break
		}
	}
	fd, err := r.walk(path, flags)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// relative makes "/" and "" mean the root itself.
func relative(path string) string {
	for len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	if path == "" {
		return "."
	}
	return path
}

// Stat returns size, times and identity of what path names.
func (r *Root) Stat(path string) (unix.Statx_t, error) {
	return r.statAs(path, unix.O_PATH|unix.O_CLOEXEC)
}

// Lstat is Stat without following a last symbolic link.
func (r *Root) Lstat(path string) (unix.Statx_t, error) {
	return r.statAs(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
}

func (r *Root) statAs(path string, flags int) (unix.Statx_t, error) {
	return Ask(r, path, func() (unix.Statx_t, error) {
		fd, err := r.open(path, flags)
		if err != nil {
			return unix.Statx_t{}, err
		}
		defer unix.Close(fd)
		return StatFD(fd, "")
	}, nil)
}

// StatFD is statx of a descriptor, or of a name below it (following links), with everything that identifies content.
func StatFD(dirfd int, name string) (unix.Statx_t, error) {
	var st unix.Statx_t
	flags := 0
	if name == "" {
		flags = unix.AT_EMPTY_PATH
	}
	const mask = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID_UNIQUE
	for {
		err := unix.Statx(dirfd, name, flags, mask, &st)
		if err == unix.EINTR {
			continue
		}
		return st, err
	}
}

// ErrNotRegular tells that a path is a directory, device, pipe or socket: such are never opened for reading.
var ErrNotRegular = errors.New("not a regular file")

// ErrTooLarge tells that a file is larger than the caller's limit.
var ErrTooLarge = errors.New("file too large")

// Reopen turns a descriptor of O_PATH into one for reading, if it is a regular file.
func Reopen(fd int) (int, error) {
	st, err := StatFD(fd, "")
	if err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, ErrNotRegular
	}
	return reopen(fd)
}

func reopen(fd int) (int, error) {
	return unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
}

// OpenRead opens a regular file for reading. The caller closes the descriptor.
func (r *Root) OpenRead(path string) (int, error) {
	return Ask(r, path, func() (int, error) { return r.openRead(path) }, closeFD)
}

func (r *Root) openRead(path string) (int, error) {
	fd, err := r.open(path, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	got, err := Reopen(fd)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return got, nil
}

// Read returns a regular file of at most limit bytes.
func (r *Root) Read(path string, limit int64) ([]byte, error) { return r.ReadInto(path, nil, limit) }

// ReadInto is Read into a buffer that the caller uses again; the result lies in buf if there is room.
func (r *Root) ReadInto(path string, buf []byte, limit int64) ([]byte, error) {
	if r.patience != nil {
		buf = nil // it could be written into when nobody waits for it any more
	}
	return Ask(r, path, func() ([]byte, error) { return r.readInto(path, buf, limit) }, nil)
}

func (r *Root) readInto(path string, buf []byte, limit int64) ([]byte, error) {
	fd, err := r.open(path, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	st, err := StatFD(fd, "")
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	case st.Size > uint64(limit):
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrTooLarge}
	}
	real, err := reopen(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(real)
	buf, err = readAll(File(real), buf[:0], int64(st.Size), limit)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return buf, nil
}

// readAll reads to the end; a file whose size is told (procfs tells 0) is done when that much is read.
func readAll(f File, buf []byte, size, limit int64) ([]byte, error) {
	if int64(cap(buf)) < size+1 {
		buf = make([]byte, 0, size+512)
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF, err == nil && size > 0 && int64(len(buf)) == size:
			return buf, nil
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case int64(len(buf)) > limit:
			return nil, ErrTooLarge
		}
	}
}

// Name is the true path below the root of what a descriptor of Path stands for: no link is left in it. It is false when the file has
// no name below the root any more. Only for a root that lies in our own mount namespace.
func (r *Root) Name(fd int) (string, bool) {
	name, err := readlink(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd))
	if err != nil || !strings.HasPrefix(name, "/") {
		return "", false
	}
	if strings.HasSuffix(name, " (deleted)") { // the kernel's mark, or the end of a strange name: both have a name that leads elsewhere
		return "", false
	}
	top, err := r.own()
	if err != nil {
		return "", false
	}
	if top == "/" {
		return name, true
	}
	rest, below := strings.CutPrefix(name, top)
	return rest, below && strings.HasPrefix(rest, "/")
}

// own is the path of the root itself, asked for once.
func (r *Root) own() (string, error) {
	if name := r.name.Load(); name != nil {
		return *name, nil
	}
	name, err := readlink(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(r.fd))
	if err == nil {
		r.name.Store(&name)
	}
	return name, err
}

// Readlink returns the text of a symbolic link.
func (r *Root) Readlink(path string) (string, error) {
	return Ask(r, path, func() (string, error) {
		fd, err := r.open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
		if err != nil {
			return "", err
		}
		defer unix.Close(fd)
		return readlink(fd, "")
	}, nil)
}

func readlink(fd int, name string) (string, error) {
	var buf [4096]byte
	n, err := unix.Readlinkat(fd, name, buf[:])
	return string(buf[:max(n, 0)]), err
}

// File is a plain descriptor as an io.Reader, io.ReaderAt and io.Closer, without the runtime's poller.
type File int

// Read reads on from the descriptor's position.
func (f File) Read(b []byte) (int, error) { return result(unix.Read(int(f), b)) }

// ReadAt reads at an offset; fewer bytes than asked for come with an error.
func (f File) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pread(int(f), b[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

// Close closes the descriptor.
func (f File) Close() error { return unix.Close(int(f)) }

func result(n int, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Sub opens a directory below as a root of its own.
func (r *Root) Sub(path string) (*Root, error) {
	fd, err := Ask(r, path, func() (int, error) { return r.open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC) }, closeFD)
	if err != nil {
		return nil, err
	}
	sub := &Root{fd: fd}
	if r.patience != nil {
		sub = sub.Patient(r.patience.limit)
	}
	return sub, nil
}
