package jail

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sort"
	"strconv"

	"golang.org/x/sys/unix"
)

// Names lists a directory, sorted; at most limit names, and more tells that there were more.
func (r *Root) Names(path string, limit int) (names []string, more bool, err error) {
	fd, err := r.Path(path)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(fd)
	real, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, &fs.PathError{Op: "list", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(real), path)
	defer f.Close()
	names, err = f.Readdirnames(limit + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(names) > limit {
		names, more = names[:limit], true
	}
	sort.Strings(names)
	return names, more, err
}
