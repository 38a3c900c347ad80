package proc

import (
	"bytes"
	"strconv"
	"strings"
)

// Mapping is one file-backed executable range of a process. Path is the raw text of the maps file: it may end in " (deleted)", and a
// newline in a name is written \012 there (a name that holds these four characters itself looks the same).
type Mapping struct {
	Start, End uint64
	Dev        uint64 // major<<32 | minor
	Inode      uint64
	Path       []byte
}

// RangeName is the mapping's name in map_files. Addresses are not padded there, although maps pads them to 8 digits.
func RangeName(start, end uint64) string {
	return "map_files/" + strconv.FormatUint(start, 16) + "-" + strconv.FormatUint(end, 16)
}

// EachExecutable calls yield for every executable mapping of a file in the text of a maps file. Paths point into text.
// Lines that are not as the kernel writes them are counted and left out.
func EachExecutable(text []byte, yield func(Mapping)) (bad int) {
	for len(text) > 0 {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		m, ok, executable := parseMapping(line)
		if !ok {
			bad++
		} else if executable && m.Inode != 0 && len(m.Path) > 0 {
			yield(m)
		}
	}
	return bad
}

// parseMapping reads "start-end perms offset major:minor inode   path". It looks at the permissions first, because most lines end there.
func parseMapping(line []byte) (m Mapping, ok, executable bool) {
	var rest []byte
	if m.Start, rest, ok = hex(line, '-'); !ok {
		return m, false, false
	}
	if m.End, rest, ok = hex(rest, ' '); !ok || len(rest) < 5 || rest[4] != ' ' || m.End <= m.Start {
		return m, false, false
	}
	if rest[2] != 'x' {
		return m, true, false
	}
	if _, rest, ok = hex(rest[5:], ' '); !ok {
		return m, false, false
	}
	var major, minor uint64
	if major, rest, ok = hex(rest, ':'); !ok {
		return m, false, false
	}
	if minor, rest, ok = hex(rest, ' '); !ok {
		return m, false, false
	}
	m.Dev = major<<32 | minor&0xffffffff
	digits := rest
	if end := bytes.IndexByte(rest, ' '); end >= 0 {
		digits, rest = rest[:end], rest[end:]
	} else {
		rest = nil
	}
	if m.Inode, ok = decimal(digits); !ok {
		return m, false, false
	}
	m.Path = bytes.TrimLeft(rest, " ")
	return m, true, true
}

// hex reads hexadecimal digits up to the byte that ends them.
func hex(b []byte, end byte) (uint64, []byte, bool) {
	var n uint64
	for i, c := range b {
		switch {
		case c == end && i > 0:
			return n, b[i+1:], true
		case i == 16:
			return 0, nil, false
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			return 0, nil, false
		}
	}
	return 0, nil, false
}

// Kernel tells whether a mapping is the kernel's own device and no file that somebody installed: shared memory and the like.
// Memory files are told apart by MemFile, because programs are also started from them.
func Kernel(path []byte) bool {
	for _, head := range [...]string{"/SYSV", "/dev/zero", "/[aio]", "[", "anon_inode:", "/drm ", "/i915"} {
		if len(path) >= len(head) && string(path[:len(head)]) == head {
			return true
		}
	}
	return false
}

// MemFile tells whether a mapping is an unnamed memory file (memfd_create).
func MemFile(path []byte) bool { return bytes.HasPrefix(path, []byte("/memfd:")) }

// Unescape turns the \012 of a maps file back into newlines; changed tells whether there was one.
func Unescape(path string) (plain string, changed bool) {
	b := []byte(path)
	out := bytes.ReplaceAll(b, []byte(`\012`), []byte("\n"))
	return string(out), len(out) != len(b)
}

// Deleted is what the kernel adds to the name of a file that has none any more; a name may also truly end with it.
const Deleted = " (deleted)"

// Shown is a raw path of the maps file as people read it, until the disk tells better.
func Shown(path string) string {
	plain, _ := Unescape(path)
	return strings.TrimSuffix(plain, Deleted)
}
