package files

import (
	"errors"
	"io/fs"
	"os"

	"staunch/fault"

	"golang.org/x/sys/unix"
)

// NoRoom gives an error of writing our own records its kind: a full disk, missing rights. Nothing was done then.
func NoRoom(err error, what string) error {
	switch {
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		return fault.New(fault.Full, "no room in %s: nothing was done", what).Hinted("make room first; an order without a record is never carried out")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Denied, "%s cannot be written", what).Hinted("acts need root on the host")
	}
	return fault.New(fault.Denied, "%s: %v", what, err)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
