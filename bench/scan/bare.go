package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// bare reads, one after the other, exactly the files and links of /proc that a report needs, in the cheapest way that the kernel offers,
// and understands nothing of them. It needs a kernel of 6.11 or later.
func bare(root string) {
	b := &barely{buf: make([]byte, 1<<20), files: map[string]bool{}}
	own := b.link(syscallAtCwd, root+"/self/ns/net")
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(root, e.Name())
		fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		if err == nil {
			b.process(fd, own)
			syscall.Close(fd)
		}
	}
}

const syscallAtCwd = -100 // AT_FDCWD

// barely is one bare loop under way.
type barely struct {
	buf   []byte
	files map[string]bool
	asked bool // for the sockets
}

func (b *barely) process(dir int, own string) {
	if b.read(dir, "stat") == 0 {
		return
	}
	var st syscall.Stat_t
	_ = syscall.Fstat(dir, &st)
	b.read(dir, "cgroup")
	if b.link(dir, "exe") == "" {
		return // a thread of the kernel, or ended
	}
	ns := b.link(dir, "ns/mnt")
	b.link(dir, "root")
	b.eachCode(dir, func(name, path string) {
		if key := ns + path; !b.files[key] {
			b.files[key] = true
			stat(dir, "map_files/"+name)
			stat(dir, "root"+path)
		}
	})
	if !b.fds(dir) || b.link(dir, "ns/net") != own || b.asked {
		return
	}
	b.asked = true
	b.sockets()
	b.read(dir, "net/fib_trie")
	b.read(dir, "net/if_inet6")
}

// fds reads all links and tells whether one was a socket's.
func (b *barely) fds(dir int) (sockets bool) {
	fd, err := syscall.Openat(dir, "fd", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	list := make([]byte, 32<<10)
	for {
		n, err := syscall.Getdents(fd, list)
		if err != nil || n <= 0 {
			return sockets
		}
		for rest := list[:n]; len(rest) > 19; rest = rest[binary.NativeEndian.Uint16(rest[16:]):] {
			name, _, _ := strings.Cut(string(rest[19:binary.NativeEndian.Uint16(rest[16:])]), "\x00")
			sockets = strings.HasPrefix(b.link(fd, name), "socket:") || sockets
		}
	}
}

func (b *barely) read(dir int, name string) int {
	fd, err := syscall.Openat(dir, name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer syscall.Close(fd)
	total := 0
	for {
		n, err := syscall.Read(fd, b.buf)
		if err != nil || n == 0 {
			return total
		}
		total += n
	}
}

func (b *barely) link(dir int, name string) string {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return ""
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&b.buf[0])), 4096, 0, 0)
	if errno != 0 {
		return ""
	}
	return string(b.buf[:n])
}

func stat(dir int, name string) {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return
	}
	var st [256]byte // struct statx
	syscall.Syscall6(sysStatx, uintptr(dir), uintptr(unsafe.Pointer(p)), 0, 0xfff, uintptr(unsafe.Pointer(&st[0])), 0)
}

// query is struct procmap_query of include/uapi/linux/fs.h.
type query struct {
	size, flags, address, start, end, vmFlags, page, offset, inode uint64
	major, minor, nameSize, buildSize                              uint32
	nameAddress, buildAddress                                      uint64
}

// eachCode asks for the executable mappings of files.
func (b *barely) eachCode(dir int, yield func(name, path string)) {
	fd, err := syscall.Openat(dir, "maps", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	for next := uint64(0); ; {
		q := query{size: 104, flags: 0x34, address: next, nameSize: 4096, nameAddress: uint64(uintptr(unsafe.Pointer(&b.buf[0])))}
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), 0xc0686611, uintptr(unsafe.Pointer(&q))); errno != 0 {
			return
		}
		next = q.end
		if q.nameSize > 1 && b.buf[0] == '/' {
			yield(strconv.FormatUint(q.start, 16)+"-"+strconv.FormatUint(q.end, 16), string(b.buf[:q.nameSize-1]))
		}
	}
}

// sockets has the kernel list those of this network namespace: TCP of both families, then UDP of each.
func (b *barely) sockets() {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 4) // NETLINK_SOCK_DIAG
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	for _, ask := range []struct {
		kind             uint16
		family, protocol byte
		statesAt         int
		states           uint32
		size             int
	}{{18, 0, 0, 68, 1<<10 | 1<<1, 76}, {20, syscall.AF_INET, 17, 20, 1<<7 | 1<<1, 72}, {20, syscall.AF_INET6, 17, 20, 1<<7 | 1<<1, 72}} {
		q := make([]byte, ask.size)
		binary.NativeEndian.PutUint32(q, uint32(len(q)))
		binary.NativeEndian.PutUint16(q[4:], ask.kind)
		binary.NativeEndian.PutUint16(q[6:], 0x301) // a request for a list
		q[16], q[17] = ask.family, ask.protocol
		binary.NativeEndian.PutUint32(q[ask.statesAt:], ask.states)
		if syscall.Sendto(fd, q, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}) != nil {
			return
		}
		for {
			n, _, err := syscall.Recvfrom(fd, b.buf[:64<<10], 0)
			if err != nil || n < 16 || done(b.buf[:n]) {
				break
			}
		}
	}
}

// done tells whether a datagram ends with an end or an error.
func done(b []byte) bool {
	for len(b) >= 16 {
		if kind := binary.NativeEndian.Uint16(b[4:]); kind == 2 || kind == 3 {
			return true
		}
		size := (int(binary.NativeEndian.Uint32(b)) + 3) &^ 3
		if size < 16 || size > len(b) {
			return true
		}
		b = b[size:]
	}
	return false
}
