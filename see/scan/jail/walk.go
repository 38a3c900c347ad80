package jail

import (
	"strings"

	"golang.org/x/sys/unix"
)

const maxLinks = 40 // as the kernel's own limit

// walk resolves a path step by step, for kernels without openat2: links are read and followed here, and ".." never climbs above the root.
func (r *Root) walk(path string, flags int) (int, error) {
	w := walker{root: r.fd, todo: parts(path)}
	defer w.close()
	last, err := w.run(flags&unix.O_NOFOLLOW != 0)
	if err != nil {
		return -1, err
	}
	return unix.Openat(w.here(), last, flags|unix.O_NOFOLLOW, 0)
}

type walker struct {
	root  int
	stack []int // open directories below the root
	todo  []string
	links int
}

func (w *walker) here() int {
	if len(w.stack) == 0 {
		return w.root
	}
	return w.stack[len(w.stack)-1]
}

func (w *walker) close() {
	for _, fd := range w.stack {
		unix.Close(fd)
	}
}

// run walks all but the last step and returns that step's name.
func (w *walker) run(keepLastLink bool) (string, error) {
	for len(w.todo) > 0 {
		name := w.todo[0]
		w.todo = w.todo[1:]
		if name == ".." {
			if n := len(w.stack); n > 0 {
				unix.Close(w.stack[n-1])
				w.stack = w.stack[:n-1]
			}
			continue
		}
		if len(w.todo) == 0 && keepLastLink {
			return name, nil
		}
		done, err := w.step(name)
		if err != nil || done {
			return name, err
		}
	}
	return ".", nil
}

// step enters a directory, unfolds a link, or ends at the last name.
func (w *walker) step(name string) (done bool, err error) {
	fd, err := unix.Openat(w.here(), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	st, err := StatFD(fd, "")
	if err != nil {
		unix.Close(fd)
		return false, err
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		to, err := readlink(fd, "")
		unix.Close(fd)
		if err != nil {
			return false, err
		}
		return false, w.follow(to)
	case len(w.todo) == 0:
		unix.Close(fd)
		return true, nil
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		unix.Close(fd)
		return false, unix.ENOTDIR
	}
	w.stack = append(w.stack, fd)
	return false, nil
}

func (w *walker) follow(to string) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	if strings.HasPrefix(to, "/") {
		w.close()
		w.stack = nil
	}
	w.todo = append(parts(to), w.todo...)
	return nil
}

// parts splits a path into its steps.
func parts(path string) []string {
	var out []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			out = append(out, part)
		}
	}
	return out
}
