// Package files reads what only root may have written, and places files so that nobody can redirect the writing.
package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"staunch/fault"

	"golang.org/x/sys/unix"
)

// Trusted reads a regular file that only its owner may have written: the file and every directory above it, up to root, belong
// to owner and are not writable by others, and the last name is no symbolic link. A missing file is fault.NotFound.
func Trusted(root, path string, owner uint32, most int64) ([]byte, error) {
	f, err := OpenTrusted(root, path, owner)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %v", path, err)
	}
	if int64(len(b)) > most {
		return nil, fault.New(fault.Full, "%s is larger than %d bytes", path, most)
	}
	return b, nil
}

// OpenTrusted opens such a file for reading.
func OpenTrusted(root, path string, owner uint32) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "%s is not there", path)
	}
	if err != nil {
		return nil, fault.New(fault.Denied, "%s cannot be read: %v", path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.Denied, "%s is not a regular file", path)
	}
	if err == nil {
		err = onlyOwner(path, info, owner)
	}
	for dir := filepath.Dir(path); err == nil; dir = filepath.Dir(dir) {
		var above fs.FileInfo
		if above, err = os.Stat(dir); err == nil {
			err = onlyOwner(dir, above, owner)
		}
		if dir == filepath.Clean(root) || dir == "/" {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fault.From(err, fault.Denied)
	}
	return f, nil
}

func onlyOwner(path string, info fs.FileInfo, owner uint32) error {
	uid, _ := Owner(info)
	if uid != owner && uid != 0 {
		return fault.New(fault.Denied, "%s belongs to user %d, not to root", path, uid).Hinted("chown root %s", path)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fault.New(fault.Denied, "%s is writable by others (mode %04o)", path, info.Mode().Perm()).Hinted("chmod go-w %s", path)
	}
	return nil
}

// Real resolves every symbolic link of the directories above path, as far as they exist; the last name is kept, link or not.
func Real(path string) (string, error) {
	dir, rest := filepath.Dir(path), filepath.Base(path)
	for {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return "", fault.New(fault.Denied, "%s cannot be resolved: %v", path, err)
		}
		if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return "", fault.New(fault.Denied, "%s is a link to nowhere", dir)
		}
		rest = filepath.Join(filepath.Base(dir), rest)
		dir = filepath.Dir(dir)
	}
}

// Inside tells whether path is dir or below it. Both are clean.
func Inside(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// Identity is what stays the same through bind mounts and hard links.
type Identity struct{ Dev, Ino uint64 }

// Identities returns the identity of every existing directory above path (without "/") and of path itself.
func Identities(path string) []Identity {
	var found []Identity
	for ; path != "/" && path != "."; path = filepath.Dir(path) {
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil {
			found = append(found, Identity{uint64(st.Dev), st.Ino}) //nolint:unconvert // the type differs between architectures
		}
	}
	return found
}

// Same returns the identity of what path names, links followed.
func Same(path string) (Identity, bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return Identity{}, false
	}
	return Identity{uint64(st.Dev), st.Ino}, true //nolint:unconvert // the type differs between architectures
}
