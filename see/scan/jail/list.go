package jail

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is an open directory. It is listed and descended through its descriptor: no path is resolved twice.
type Dir struct {
	fd  int
	buf []byte // for listing, shared with those below: a directory is listed before one goes on
}

// Dir opens a directory for listing.
func (r *Root) Dir(path string) (*Dir, error) {
	fd, err := r.open(path, dirFlags)
	if err != nil {
		return nil, err
	}
	return &Dir{fd, make([]byte, 32<<10)}, nil
}

// dirFlags never open anything but a directory: the kernel refuses all else before it is asked to open.
const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK | unix.O_CLOEXEC

// Sub opens a directory that lies in this one; links are not followed.
func (d *Dir) Sub(name string) (*Dir, error) {
	if name == ".." || strings.Contains(name, "/") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: unix.EXDEV}
	}
	for {
		fd, err := unix.Openat(d.fd, name, dirFlags|unix.O_NOFOLLOW, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &Dir{fd, d.buf}, nil
	}
}

// Close gives the directory back.
func (d *Dir) Close() { unix.Close(d.fd) }

// Entry is one entry of a directory. One that is neither a directory nor a regular file is a link, a device, a pipe or a socket.
type Entry struct {
	Name         string
	Dir, Regular bool
}

// errEnough ends a listing that has reached its limit.
var errEnough = errors.New("enough")

// Entries lists the directory, in the order of the file system; at most limit of them, and more tells that there were more.
func (d *Dir) Entries(limit int) (entries []Entry, more bool, err error) {
	err = EachEntry(d.fd, d.buf, func(name []byte, kind byte) error {
		if len(entries) == limit {
			return errEnough
		}
		e := Entry{Name: string(name), Dir: kind == unix.DT_DIR, Regular: kind == unix.DT_REG}
		if kind == unix.DT_UNKNOWN { // file systems that keep the kind elsewhere
			var st unix.Stat_t
			if unix.Fstatat(d.fd, e.Name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
				e.Dir, e.Regular = st.Mode&unix.S_IFMT == unix.S_IFDIR, st.Mode&unix.S_IFMT == unix.S_IFREG
			}
		}
		entries = append(entries, e)
		return nil
	})
	if err == errEnough {
		return entries, true, nil
	}
	return entries, false, err
}

// Listing is an open directory with what it holds. The caller closes its Dir.
type Listing struct {
	*Dir
	Held []Entry
	More bool // there were more than the limit
	root *Root
}

// List opens and lists a directory, within the patience of a patient root.
func (r *Root) List(path string, limit int) (Listing, error) {
	return Ask(r, path, func() (Listing, error) {
		d, err := r.Dir(path)
		return r.listed(d, err, limit)
	}, func(l Listing) { l.Close() })
}

// Under is List of a directory in this one, which lies at path below the root; links are not followed.
func (l Listing) Under(name, path string, limit int) (Listing, error) {
	return Ask(l.root, path, func() (Listing, error) {
		d, err := l.Sub(name)
		return l.root.listed(d, err, limit)
	}, func(l Listing) { l.Close() })
}

func (r *Root) listed(d *Dir, err error, limit int) (Listing, error) {
	if err != nil {
		return Listing{}, err
	}
	if r.patience != nil { // the shared one may still be written into by a question that nobody waits for
		buf := r.patience.buffer()
		defer r.patience.buffers.Put(buf)
		d = &Dir{d.fd, *buf}
	}
	held, more, err := d.Entries(limit)
	if err != nil {
		d.Close()
		return Listing{}, err
	}
	return Listing{Dir: d, Held: held, More: more, root: r}, nil
}

// Names lists a directory, sorted; at most limit names, and more tells that there were more.
func (r *Root) Names(path string, limit int) (names []string, more bool, err error) {
	type listed struct {
		names []string
		more  bool
	}
	got, err := Ask(r, path, func() (l listed, err error) {
		l.names, l.more, err = r.listNames(path, limit)
		return l, err
	}, nil)
	return got.names, got.more, err
}

func (r *Root) listNames(path string, limit int) (names []string, more bool, err error) {
	d, err := r.Dir(path)
	if err != nil {
		return nil, false, err
	}
	defer d.Close()
	err = EachEntry(d.fd, d.buf, func(name []byte, _ byte) error {
		if len(names) == limit {
			return errEnough
		}
		names = append(names, string(name))
		return nil
	})
	slices.Sort(names)
	if err == errEnough {
		return names, true, nil
	}
	return names, false, err
}

// EachEntry calls yield with every entry of an open directory but "." and "..", and its kind (unix.DT_DIR and so on): straight from the
// kernel, without an allocation an entry. The name is valid until yield returns, and is followed by a zero in its array. An error of yield
// ends the listing and is returned.
func EachEntry(fd int, buf []byte, yield func(name []byte, kind byte) error) error {
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		if err := eachRecord(buf[:n], yield); err != nil {
			return err
		}
	}
}

// eachRecord walks the kernel's linux_dirent64 records: ino 8, off 8, reclen 2, type 1, name.
func eachRecord(b []byte, yield func(name []byte, kind byte) error) error {
	const head = 19
	for len(b) > head {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size <= head || size > len(b) {
			return nil
		}
		name := b[head:size]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if string(name) != "." && string(name) != ".." {
			if err := yield(name, b[head-1]); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	return nil
}
