package jail

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Denied is the Reason of what we have no right to open.
const Denied = "permission denied"

// Reason says an error in words that a person can act on.
func Reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return Denied
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}
