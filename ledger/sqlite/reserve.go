package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// reserve is a file of real blocks that is given up when the disk is full, so that an incident can still be written.
type reserve struct {
	path string
	size int64
}

// fill takes the space if it is to be had; a disk that is full already is no reason not to open the ledger.
func (r reserve) fill() (kept bool) {
	if r.size <= 0 {
		return false
	}
	if info, err := os.Stat(r.path); err == nil && info.Size() >= r.size {
		return true
	}
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	err = syscall.Fallocate(int(f.Fd()), 0, 0, r.size)
	if closed := f.Close(); err != nil || closed != nil {
		_ = os.Remove(r.path) // half a reserve only takes room from the ledger
		return false
	}
	return true
}

// give frees the reserve on the way into a full disk; what cannot be freed leaves the disk full, which the next try tells.
func (r reserve) give() bool {
	freed, _ := r.free()
	return freed
}

// cramped tells whether the disk below a ledger has no room for what opening it takes.
func cramped(path string) bool {
	const needed = 256 << 10
	var s syscall.Statfs_t
	return syscall.Statfs(filepath.Dir(path), &s) == nil && s.Bavail*uint64(s.Bsize) < needed
}

// free gives the space back and tells whether there was any.
func (r reserve) free() (bool, error) {
	err := os.Remove(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
