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
	f, err := r.openDir(path)
	if err != nil {
		return nil, false, err
	}
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

// Entries lists a directory with the types of its entries, in the order of the file system; at most limit of them.
func (r *Root) Entries(path string, limit int) (entries []fs.DirEntry, more bool, err error) {
	f, err := r.openDir(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	for len(entries) <= limit {
		some, err := f.ReadDir(1024)
		entries = append(entries, some...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return entries, false, err
		}
	}
	if len(entries) > limit {
		return entries[:limit], true, nil
	}
	return entries, false, nil
}

// openDir opens a directory for listing.
func (r *Root) openDir(path string) (*os.File, error) {
	fd, err := r.Path(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	real, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "list", Path: path, Err: err}
	}
	return os.NewFile(uintptr(real), path), nil
}
