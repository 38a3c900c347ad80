package proc

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// names calls yield with every entry of an open directory but "." and "..": straight from getdents, without an allocation an entry.
func names(fd int, buf []byte, yield func(name []byte)) error {
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		eachEntry(buf[:n], yield)
	}
}

// eachEntry walks the kernel's linux_dirent64 records: ino 8, off 8, reclen 2, type 1, name.
func eachEntry(b []byte, yield func([]byte)) {
	const head = 19
	for len(b) > head {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size <= head || size > len(b) {
			return
		}
		name := b[head:size]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if string(name) != "." && string(name) != ".." {
			yield(name)
		}
		b = b[size:]
	}
}

// Sockets returns the inode numbers of the sockets that the process has open, and calls other with each descriptor that has a path.
// other may be nil.
func (d *Dir) Sockets(s *Scratch, into []uint64, other func(fd, path string)) ([]uint64, error) {
	fd, err := unix.Openat(d.fd, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return into, err
	}
	defer unix.Close(fd)
	if len(s.buf) < 64<<10 {
		s.buf = make([]byte, 64<<10)
	}
	// the first half takes directory entries, the rest link targets
	link := s.buf[32<<10:]
	err = names(fd, s.buf[:32<<10], func(name []byte) {
		n, err := unix.Readlinkat(fd, string(name), link)
		if err != nil {
			return // closed meanwhile
		}
		to := link[:n]
		if inode, ok := socket(to); ok {
			into = append(into, inode)
		} else if other != nil && len(to) > 0 && to[0] == '/' {
			other(string(name), string(to))
		}
	})
	return into, err
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
