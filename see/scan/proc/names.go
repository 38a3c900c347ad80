package proc

import (
	"unsafe"

	"staunch/see/scan/jail"

	"golang.org/x/sys/unix"
)

// Sockets returns the inode numbers of the sockets that the process has open, and calls other with each descriptor whose path wants is true
// for. The path of wants is valid until it returns. wants and other may be nil.
func (d *Dir) Sockets(s *Scratch, into []uint64, wants func(path []byte) bool, other func(fd, path string)) ([]uint64, error) {
	fd, err := unix.Openat(d.fd, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return into, err
	}
	defer unix.Close(fd)
	s.room()
	// the first half takes directory entries, the rest link targets
	link := s.buf[32<<10:]
	err = jail.EachEntry(fd, s.buf[:32<<10], func(name []byte, _ byte) error {
		n, err := readlinkEntry(fd, name, link)
		if err != nil {
			return nil // closed meanwhile
		}
		to := link[:n]
		if inode, ok := socket(to); ok {
			into = append(into, inode)
		} else if wants != nil && len(to) > 0 && to[0] == '/' && wants(to) {
			other(string(name), string(to))
		}
		return nil
	})
	return into, err
}

// readlinkEntry is readlinkat of a name that getdents wrote, where a zero follows it: no copy is made of it.
func readlinkEntry(fd int, name, link []byte) (int, error) {
	if len(name) == 0 || cap(name) == len(name) || name[:len(name)+1][len(name)] != 0 {
		return unix.Readlinkat(fd, string(name), link)
	}
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(fd), uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&link[0])), uintptr(len(link)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// socket reads "socket:[123]".
func socket(b []byte) (uint64, bool) {
	const head = "socket:["
	if len(b) < len(head)+2 || string(b[:len(head)]) != head || b[len(b)-1] != ']' {
		return 0, false
	}
	return decimal(b[len(head) : len(b)-1])
}

// decimal reads an unsigned decimal of at most 20 digits without overflow.
func decimal(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		next := n*10 + uint64(c-'0')
		if n > (1<<64-1)/10 || next < n {
			return 0, false
		}
		n = next
	}
	return n, true
}
