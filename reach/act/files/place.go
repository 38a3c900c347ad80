package files

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"staunch/fault"
	"staunch/pattern"

	"golang.org/x/sys/unix"
)

// Dir is a directory held open, so that what is done in it cannot be redirected by links that appear later.
type Dir struct {
	fd   int
	path string
}

// OpenDir opens a real path (see Real) without following any link.
func OpenDir(real string) (*Dir, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, real, &unix.OpenHow{
		Flags: unix.O_DIRECTORY | unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOSYS) {
		fd, err = descend(real) // Linux before 5.6
	}
	if err != nil {
		return nil, fault.New(fault.NotFound, "directory %s: %v", real, err)
	}
	return &Dir{fd: fd, path: real}, nil
}

// descend opens a directory name by name, following no link.
func descend(real string) (int, error) {
	const flags = unix.O_DIRECTORY | unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open("/", flags, 0)
	for name := range strings.SplitSeq(strings.Trim(real, "/"), "/") {
		if err != nil || name == "" {
			break
		}
		next, openErr := unix.Openat(fd, name, flags, 0)
		if err = errors.Join(openErr, unix.Close(fd)); err == nil {
			fd = next
		}
	}
	return fd, err
}

// Close lets the directory go.
func (d *Dir) Close() error { return unix.Close(d.fd) }

// Facts are what is kept of a file: enough to see a change and to bring it back.
type Facts struct {
	Exists bool   `json:"exists"`
	Link   string `json:"link,omitempty"` // target of a symbolic link
	SHA256 string `json:"sha256,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Mode   uint32 `json:"mode,omitempty"`
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
}

// Owner returns user and group of a file.
func Owner(info fs.FileInfo) (uid, gid uint32) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid, st.Gid
	}
	return ^uint32(0), ^uint32(0)
}

// Look returns the facts of a name in the directory. Anything but a regular file or a link is refused.
func (d *Dir) Look(name string) (Facts, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, fs.ErrNotExist) {
		return Facts{}, nil
	}
	if err != nil {
		return Facts{}, fault.New(fault.Denied, "%s: %v", d.at(name), err)
	}
	facts := Facts{Exists: true, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		facts.Link, err = d.link(name)
		return facts, err
	case unix.S_IFREG:
		f, err := d.open(name)
		if err != nil {
			return facts, err
		}
		defer f.Close()
		facts.SHA256, facts.Size, err = Sum(f)
		return facts, err
	}
	return facts, fault.New(fault.Denied, "%s is neither a file nor a link", d.at(name))
}

func (d *Dir) at(name string) string { return filepath.Join(d.path, name) }

func (d *Dir) link(name string) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(d.fd, name, buf)
	if err != nil {
		return "", fault.New(fault.Denied, "%s: %v", d.at(name), err)
	}
	return string(buf[:n]), nil
}

func (d *Dir) open(name string) (*os.File, error) {
	fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fault.New(fault.Denied, "%s: %v", d.at(name), err)
	}
	return os.NewFile(uintptr(fd), d.at(name)), nil
}

// Sum returns the lower-case hex SHA-256 of what r holds, and its length in bytes.
func Sum(r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return "", 0, fault.New(fault.Corrupt, "reading: %v", err)
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// Keep copies a file out of the directory to a path of our own, on disk when it returns.
func (d *Dir) Keep(name, to string) error {
	in, err := d.open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return room(err, to)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return room(err, to)
	}
	return nil
}

// room gives a full disk its kind.
func room(err error, what string) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fault.New(fault.Full, "no room for %s", what).Hinted("make room on its file system; nothing was changed there")
	}
	return fault.New(fault.Denied, "%s: %v", what, err)
}

// Stage writes content under a new, hidden name beside its place and returns that name. Nothing is visible under the real name yet.
func (d *Dir) Stage(content io.Reader, mode, uid, gid uint32) (string, error) {
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fault.New(fault.Bug, "no randomness: %v", err)
	}
	name := ".staunch-" + hex.EncodeToString(salt[:])
	fd, err := unix.Openat(d.fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return "", room(err, d.at(name))
	}
	f := os.NewFile(uintptr(fd), d.at(name))
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chown(int(uid), int(gid))
	}
	if err == nil {
		err = unix.Fchmod(int(f.Fd()), mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(room(err, d.at(name)), d.Drop(name))
	}
	return name, nil
}

// Sweep takes away what an act left staged that was killed before it gave it its real name. One order at a time is carried out on a host,
// so whatever is staged before an act begins belongs to nobody.
func (d *Dir) Sweep() error {
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault.New(fault.Denied, "%s: %v", d.path, err)
	}
	f := os.NewFile(uintptr(fd), d.path)
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return fault.New(fault.Denied, "%s: %v", d.path, err)
	}
	for _, name := range names {
		if !reStaged.MatchString(name) {
			continue
		}
		if err := d.Drop(name); err != nil {
			return err
		}
	}
	return nil
}

var reStaged = pattern.New(`^\.staunch-[0-9a-f]{16}$`)

// Swap gives a staged file its real name, atomically, and makes the change durable.
func (d *Dir) Swap(staged, name string) error {
	if err := unix.Renameat(d.fd, staged, d.fd, name); err != nil {
		return room(err, d.at(name))
	}
	return d.sync()
}

// Link makes name a symbolic link, replacing what was there, atomically.
func (d *Dir) Link(target, name string) error {
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return fault.New(fault.Bug, "no randomness: %v", err)
	}
	staged := ".staunch-" + hex.EncodeToString(salt[:])
	if err := unix.Symlinkat(target, d.fd, staged); err != nil {
		return room(err, d.at(name))
	}
	if err := d.Swap(staged, name); err != nil {
		return errors.Join(err, d.Drop(staged))
	}
	return nil
}

// Drop removes a name that may be gone already.
func (d *Dir) Drop(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Denied, "%s: %v", d.at(name), err)
	}
	return d.sync()
}

func (d *Dir) sync() error {
	if err := unix.Fsync(d.fd); err != nil {
		return fault.New(fault.Unsure, "%s: %v", d.path, err)
	}
	return nil
}

// Restore brings a name back to earlier facts, with content that Keep saved.
func (d *Dir) Restore(name string, was Facts, kept string) error {
	switch {
	case !was.Exists:
		return d.Drop(name)
	case was.Link != "":
		return d.Link(was.Link, name)
	}
	f, err := os.Open(kept)
	if err != nil {
		return fault.New(fault.NotFound, "the saved copy of %s: %v", d.at(name), err)
	}
	defer f.Close()
	if got, _, err := Sum(f); err != nil || got != was.SHA256 {
		return fault.New(fault.Corrupt, "the saved copy of %s is damaged", d.at(name))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fault.New(fault.Corrupt, "%s: %v", kept, err)
	}
	staged, err := d.Stage(f, was.Mode, was.UID, was.GID)
	if err != nil {
		return err
	}
	if err := d.Swap(staged, name); err != nil {
		return errors.Join(err, d.Drop(staged))
	}
	return nil
}
