package sqlite

import (
	"errors"
	"io/fs"
	"os"
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

// free gives the space back and tells whether there was any.
func (r reserve) free() (bool, error) {
	err := os.Remove(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
