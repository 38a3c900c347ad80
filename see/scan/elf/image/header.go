// Package image reads ELF files: headers, what the loader is told, symbols, the bounds of functions, and the bytes themselves. Everything in
// a file is hostile: each reader has its limits. It knows nothing of components and of what code means.
package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
)

// Limits on what a header may claim. Real files stay far below; a hostile one is refused with a reason.
const (
	maxSegments = 512
	maxSections = 1 << 16
)

// Numbers of the ELF specification that are used here.
const (
	typeLoad    = 1
	typeDynamic = 2
	typeInterp  = 3
	typeNote    = 4
	typeFrames  = 0x6474e550 // PT_GNU_EH_FRAME

	flagExec  = 1
	flagWrite = 2

	machineX86   = 62
	machineArm64 = 183
)

// ErrNotELF says that the content is not an ELF file at all.
var ErrNotELF = errors.New("not an ELF file")

// Segment is a part of the file that the program header maps.
type Segment struct {
	Off, Size   uint64 // in the file
	kind, flags uint32
	vaddr, mem  uint64
}

// Section is one entry of the section table, which stripping may have removed and nothing at run time needs.
type Section struct {
	Off, Size  uint64 // in the file
	name, kind uint32
	link       uint32
	flags      uint64
	addr       uint64
	label      string
}

// Image is an ELF file with its headers read.
type Image struct {
	File     io.ReaderAt
	Size     int64
	wide     bool // 64 bit
	order    binary.ByteOrder
	machine  uint16
	kind     uint16 // 2 program, 3 shared object or PIE
	segments []Segment
	sections []Section
}

// Open reads and checks the headers. Errors say in plain words what is wrong with the file.
func Open(r io.ReaderAt, size int64) (*Image, error) {
	head := make([]byte, 64)
	if n, err := r.ReadAt(head, 0); err != nil && (!errors.Is(err, io.EOF) || n < 52) {
		if n >= 4 && string(head[:4]) == "\x7fELF" && errors.Is(err, io.EOF) {
			return nil, errors.New("truncated: the ELF header is cut off")
		}
		if errors.Is(err, io.EOF) {
			return nil, ErrNotELF
		}
		return nil, err
	}
	if string(head[:4]) != "\x7fELF" {
		return nil, ErrNotELF
	}
	im := &Image{File: r, Size: size}
	if err := im.readClass(head); err != nil {
		return nil, err
	}
	if err := im.readSegments(head); err != nil {
		return nil, err
	}
	im.readSections(head)
	return im, nil
}

func (im *Image) readClass(head []byte) error {
	switch head[4] {
	case 1:
	case 2:
		im.wide = true
	default:
		return fmt.Errorf("malformed: class %d is neither 32 nor 64 bit", head[4])
	}
	switch head[5] {
	case 1:
		im.order = binary.LittleEndian
	case 2:
		im.order = binary.BigEndian
	default:
		return fmt.Errorf("malformed: byte order %d", head[5])
	}
	im.kind, im.machine = im.order.Uint16(head[16:]), im.order.Uint16(head[18:])
	return nil
}

// word reads an address-sized number.
func (im *Image) word(b []byte) uint64 {
	if im.wide {
		return im.order.Uint64(b)
	}
	return uint64(im.order.Uint32(b))
}

func (im *Image) readSegments(head []byte) error {
	off, entry, count := im.word(head[28:]), im.order.Uint16(head[42:]), im.order.Uint16(head[44:])
	want := uint16(32)
	if im.wide {
		off, entry, count, want = im.word(head[32:]), im.order.Uint16(head[54:]), im.order.Uint16(head[56:]), 56
	}
	if count == 0 {
		return errors.New("no program headers: not a program or shared library")
	}
	if entry != want || count > maxSegments {
		return fmt.Errorf("malformed: %d program headers of %d bytes", count, entry)
	}
	table, err := im.Bytes(off, uint64(entry)*uint64(count))
	if err != nil {
		return fmt.Errorf("truncated: the program headers are cut off")
	}
	for i := range int(count) {
		im.segments = append(im.segments, im.segment(table[i*int(entry):]))
	}
	return im.checkSegments()
}

func (im *Image) segment(b []byte) Segment {
	if im.wide {
		return Segment{
			kind: im.order.Uint32(b), flags: im.order.Uint32(b[4:]), Off: im.order.Uint64(b[8:]),
			vaddr: im.order.Uint64(b[16:]), Size: im.order.Uint64(b[32:]), mem: im.order.Uint64(b[40:]),
		}
	}
	return Segment{
		kind: im.order.Uint32(b), Off: im.word(b[4:]), vaddr: im.word(b[8:]),
		Size: im.word(b[16:]), mem: im.word(b[20:]), flags: im.order.Uint32(b[24:]),
	}
}

// checkSegments refuses tables that point outside the file or map the same bytes over and over.
func (im *Image) checkSegments() error {
	var total uint64
	loads := 0
	for _, s := range im.segments {
		if s.kind != typeLoad {
			continue
		}
		loads++
		if s.Off > uint64(im.Size) || s.Size > uint64(im.Size)-s.Off {
			return fmt.Errorf("truncated: a segment ends at %d, the file at %d", s.Off+s.Size, im.Size)
		}
		total += s.Size
	}
	if loads == 0 {
		return errors.New("no loadable segments")
	}
	if total > 2*uint64(im.Size) {
		return errors.New("malformed: segments overlap")
	}
	return nil
}

// readSections takes the section table where it makes sense; a missing or wrong one is no error, since nothing at run time needs it.
func (im *Image) readSections(head []byte) {
	off, entry, count, names := im.word(head[32:]), im.order.Uint16(head[46:]), im.order.Uint16(head[48:]), im.order.Uint16(head[50:])
	want := uint16(40)
	if im.wide {
		off, entry, count, names, want = im.word(head[40:]), im.order.Uint16(head[58:]), im.order.Uint16(head[60:]), im.order.Uint16(head[62:]), 64
	}
	if entry != want || count == 0 {
		return
	}
	table, err := im.Bytes(off, uint64(entry)*uint64(count))
	if err != nil {
		return
	}
	for i := range int(count) {
		im.sections = append(im.sections, im.section(table[i*int(entry):]))
	}
	im.labelSections(int(names))
}

func (im *Image) section(b []byte) Section {
	s := Section{name: im.order.Uint32(b), kind: im.order.Uint32(b[4:])}
	if im.wide {
		s.flags, s.addr, s.Off, s.Size = im.order.Uint64(b[8:]), im.order.Uint64(b[16:]), im.order.Uint64(b[24:]), im.order.Uint64(b[32:])
		s.link = im.order.Uint32(b[40:])
		return s
	}
	s.flags, s.addr, s.Off, s.Size = im.word(b[8:]), im.word(b[12:]), im.word(b[16:]), im.word(b[20:])
	s.link = im.order.Uint32(b[24:])
	return s
}

func (im *Image) labelSections(names int) {
	if names >= len(im.sections) || im.sections[names].Size > 1<<20 {
		return
	}
	table, err := im.Bytes(im.sections[names].Off, im.sections[names].Size)
	if err != nil {
		return
	}
	for i := range im.sections {
		im.sections[i].label = Text(table, uint64(im.sections[i].name), 64)
	}
}

// Labelled returns the section of that name that has bytes in the file.
func (im *Image) Labelled(label string) (Section, bool) {
	for _, s := range im.sections {
		if s.label == label && s.kind != 8 && s.Size > 0 {
			return s, true
		}
	}
	return Section{}, false
}

// maxPiece bounds what is read into memory at once.
const maxPiece = 32 << 20

// Bytes reads one piece of the file; more than 32 MB at once or beyond the end is an error.
func (im *Image) Bytes(off, n uint64) ([]byte, error) {
	if n > maxPiece {
		return nil, fmt.Errorf("a table of %d bytes is larger than %d", n, maxPiece)
	}
	if off > uint64(im.Size) || n > uint64(im.Size)-off {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, n)
	got, err := im.File.ReadAt(b, int64(off))
	if got < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// At translates an address into a file offset and tells how many bytes of the file follow inside that segment.
func (im *Image) At(addr uint64) (off, left uint64, ok bool) {
	for _, s := range im.segments {
		if s.kind == typeLoad && addr >= s.vaddr && addr-s.vaddr < s.Size {
			return s.Off + addr - s.vaddr, s.Size - (addr - s.vaddr), true
		}
	}
	return 0, 0, false
}

// Address translates a file offset into an address, 0 when it is not mapped.
func (im *Image) Address(off uint64) uint64 {
	for _, s := range im.segments {
		if s.kind == typeLoad && off >= s.Off && off-s.Off < s.Size {
			return s.vaddr + off - s.Off
		}
	}
	return 0
}

// Constant returns the loadable segments that the program cannot write, in file order: what identifies an object.
// A file that has none (packed programs do that) gives all its loadable segments.
func (im *Image) Constant() []Segment {
	var out, all []Segment
	for _, s := range im.segments {
		if s.kind != typeLoad || s.Size == 0 {
			continue
		}
		all = append(all, s)
		if s.flags&flagWrite == 0 {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		out = all
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Off < out[j].Off })
	return out
}

// Writable returns the loadable segments that the program can write.
func (im *Image) Writable() []Segment {
	var out []Segment
	for _, s := range im.segments {
		if s.kind == typeLoad && s.flags&flagWrite != 0 && s.Size > 0 {
			out = append(out, s)
		}
	}
	return out
}

// IsCode tells whether the file has code at an address. Where code and constants share a segment, it is as far as the section table
// says; without one everything there is code.
func (im *Image) IsCode(addr uint64) bool {
	code := false
	for _, s := range im.segments {
		code = code || s.kind == typeLoad && s.flags&flagExec != 0 && addr >= s.vaddr && addr-s.vaddr < s.Size
	}
	for _, s := range im.sections {
		if s.flags&2 != 0 && s.kind != 8 && addr >= s.addr && addr-s.addr < s.Size {
			return code && s.flags&4 != 0
		}
	}
	return code
}

// Uint32 reads a number in the file's byte order.
func (im *Image) Uint32(b []byte) uint32 { return im.order.Uint32(b) }

// Machine names the instruction set the way the rest of the program does.
func (im *Image) Machine() string {
	switch {
	case im.machine == machineX86 && im.wide:
		return "x86-64"
	case im.machine == machineArm64 && im.wide && im.order == binary.LittleEndian:
		return "aarch64"
	}
	names := map[uint16]string{2: "sparc", 3: "i386", 8: "mips", 20: "powerpc", 21: "powerpc64", 22: "s390", 40: "arm", 43: "sparc64", 50: "ia64", 62: "x32", 183: "aarch64-other", 243: "riscv", 247: "bpf", 258: "loongarch"}
	if n := names[im.machine]; n != "" {
		return n
	}
	return fmt.Sprintf("machine-%d", im.machine)
}

// MachineOf names the machine of the ELF file that begins with head (20 bytes suffice), as Machine does; "" when it is none.
func MachineOf(head []byte) string {
	if len(head) < 20 || string(head[:4]) != "\x7fELF" {
		return ""
	}
	im := Image{wide: head[4] == 2, order: binary.LittleEndian}
	if head[5] == 2 {
		im.order = binary.BigEndian
	}
	im.machine = im.order.Uint16(head[18:])
	return im.Machine()
}

// Text returns the zero-ended string at b[off:], at most limit bytes of it.
func Text(b []byte, off uint64, limit int) string {
	if off >= uint64(len(b)) {
		return ""
	}
	b = b[off:]
	for i := 0; i < len(b) && i < limit; i++ {
		if b[i] == 0 {
			return string(b[:i])
		}
	}
	return string(b[:min(len(b), limit)])
}
