package proc

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapQuery is struct procmap_query of include/uapi/linux/fs.h: the kernel's answer about one mapping, since Linux 6.11.
type mapQuery struct {
	size, flags, address      uint64
	start, end, vmFlags, page uint64
	offset, inode             uint64
	major, minor              uint32
	nameSize, buildSize       uint32
	nameAddress, buildAddress uint64 // buffers of ours
}

// askMapping is PROCMAP_QUERY, _IOWR('f', 17, struct procmap_query).
const askMapping = 0xc0686611

// What is asked for: the first mapping at or after the address that is executable and of a file.
const (
	mapExecutable = 0x04
	mapNext       = 0x10
	mapOfFile     = 0x20
)

const (
	maxPath     = 4096    // PATH_MAX: the kernel's limit for a name in an answer
	maxMappings = 1 << 20 // more than vm.max_map_count usually allows sixteen times over
)

// EachExecutable calls yield for every executable mapping of a file, asked for one by one where the kernel can answer so, else read from
// the text of the maps file, of which most is about other mappings. Paths are spelled as in that text and are valid until yield returns;
// yield must not use s. bad counts the lines of a text that are not as the kernel writes them.
func (d *Dir) EachExecutable(s *Scratch, yield func(Mapping)) (bad int, err error) {
	for range maxRenewals {
		if bad, err = d.eachExecutable(s, yield); err != unix.ESRCH {
			return bad, err
		}
	}
	return bad, err
}

// maxRenewals is how often the mappings are asked for again because the process began another program, and dropped its memory, after its
// maps were opened. Of one that ended they cannot be opened.
const maxRenewals = 4

func (d *Dir) eachExecutable(s *Scratch, yield func(Mapping)) (bad int, err error) {
	fd, err := openRetry(d.fd, "maps")
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if !d.textOnly {
		s.room()
		switch err := askMappings(fd, s, yield); err {
		case nil:
			return 0, nil
		case unix.ESRCH:
			return 0, err
		} // else this kernel, a filter of system calls, or a name that is too long: the text has everything
	}
	text, err := readFD(fd, s, maxMaps)
	if err != nil {
		return 0, err
	}
	return EachExecutable(text, yield), nil
}

// askMappings yields only when all answers are in, so that a caller who takes to the text instead gets nothing twice.
func askMappings(fd int, s *Scratch, yield func(Mapping)) error {
	s.mappings, s.paths = s.mappings[:0], s.paths[:0]
	q, next := mapQuery{}, uint64(0)
	for len(s.mappings) < maxMappings {
		q = mapQuery{
			size: uint64(unsafe.Sizeof(q)), flags: mapExecutable | mapNext | mapOfFile, address: next,
			nameSize: maxPath, nameAddress: uint64(uintptr(unsafe.Pointer(&s.buf[0]))),
		}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), askMapping, uintptr(unsafe.Pointer(&q)))
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.ENOENT: // no further one
			return yieldAll(s, yield)
		case errno != 0:
			return errno
		case q.end <= q.start || q.end <= next || q.nameSize > maxPath:
			return ErrShape
		}
		next = q.end
		if q.inode != 0 && q.nameSize > 1 {
			s.keep(&q)
		}
	}
	return ErrTooLarge
}

// keptMapping is a mapping whose path lies in Scratch.paths.
type keptMapping struct {
	Mapping
	from, to int
}

func (s *Scratch) keep(q *mapQuery) {
	from := len(s.paths)
	for _, c := range s.buf[:q.nameSize-1] { // its size counts the zero at the end
		if c == '\n' {
			s.paths = append(s.paths, `\012`...) // as the maps file spells it
		} else {
			s.paths = append(s.paths, c)
		}
	}
	m := Mapping{Start: q.start, End: q.end, Dev: uint64(q.major)<<32 | uint64(q.minor), Inode: q.inode}
	s.mappings = append(s.mappings, keptMapping{m, from, len(s.paths)})
}

func yieldAll(s *Scratch, yield func(Mapping)) error {
	for _, m := range s.mappings {
		m.Path = bytes.TrimLeft(s.paths[m.from:m.to], " ") // a name that does not begin with "/" is the kernel's own
		yield(m.Mapping)
	}
	return nil
}
