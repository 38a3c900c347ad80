package image

import (
	"encoding/hex"
	"slices"
	"strings"
)

// Linking is what the dynamic section says.
type Linking struct {
	Soname      string
	Needed      []string
	Interpreter string   // the loader that the program asks for
	RPath       []string // DT_RPATH, as written
	RunPath     []string // DT_RUNPATH, as written
	NoDefault   bool     // DF_1_NODEFLIB

	symbols        uint64 // address of the dynamic symbol table
	strings, size  uint64 // address and length of its strings
	hash, gnuHash  uint64
	interpreter    bool
	dynamicSection bool
}

const (
	maxDynamic = 4096
	maxNeeded  = 512
	maxName    = 512
	maxPath    = 4096
	maxDirs    = 64 // of one search path
)

// Linking reads the dynamic section through the program headers, so that a file without section headers answers the same.
func (im *Image) Linking() Linking {
	var l Linking
	for _, s := range im.segments {
		if s.kind == typeInterp && !l.interpreter {
			l.interpreter = true
			if b, err := im.Bytes(s.Off, min(s.Size, maxPath)); err == nil {
				l.Interpreter = Text(b, 0, maxPath)
			}
		}
		if s.kind == typeDynamic && !l.dynamicSection {
			l.dynamicSection = true
			im.readDynamic(&l, s)
		}
	}
	return l
}

func (im *Image) readDynamic(l *Linking, s Segment) {
	width := 8
	if im.wide {
		width = 16
	}
	table, err := im.Bytes(s.Off, min(s.Size, uint64(maxDynamic*width)))
	if err != nil {
		return
	}
	var soname, rpath, runpath uint64
	var needed []uint64
	for len(table) >= width {
		tag, value := im.word(table), im.word(table[width/2:])
		table = table[width:]
		switch tag {
		case 0:
			table = nil
		case 1:
			needed = append(needed, value)
		case 4:
			l.hash = value
		case 5:
			l.strings = value
		case 6:
			l.symbols = value
		case 10:
			l.size = value
		case 14:
			soname = value
		case 15:
			rpath = value
		case 29:
			runpath = value
		case 0x6ffffffb:
			l.NoDefault = value&0x800 != 0
		case 0x6ffffef5:
			l.gnuHash = value
		}
	}
	names := im.dynamicStrings(*l)
	if soname != 0 {
		l.Soname = Text(names, soname, maxName)
	}
	l.RPath, l.RunPath = searchPath(names, rpath), searchPath(names, runpath)
	for _, n := range needed[:min(len(needed), maxNeeded)] {
		if name := Text(names, n, maxName); name != "" && !slices.Contains(l.Needed, name) {
			l.Needed = append(l.Needed, name)
		}
	}
}

// searchPath reads a list of directories with colons between them; an offset of zero means that there is none.
func searchPath(names []byte, off uint64) []string {
	if off == 0 {
		return nil
	}
	list := Text(names, off, maxPath)
	if list == "" {
		return nil
	}
	dirs := strings.Split(list, ":")
	return dirs[:min(len(dirs), maxDirs)]
}

func (im *Image) dynamicStrings(l Linking) []byte {
	off, left, ok := im.At(l.strings)
	if !ok {
		return nil
	}
	b, err := im.Bytes(off, min(l.size, left, maxPiece))
	if err != nil {
		return nil
	}
	return b
}

// dynamicSymbols returns where the dynamic symbol table lies and how many entries it has.
func (im *Image) dynamicSymbols(l Linking) (off, count uint64) {
	off, left, ok := im.At(l.symbols)
	if !ok {
		return 0, 0
	}
	most := left / im.symbolSize()
	for _, s := range im.sections {
		if s.kind == 11 && s.addr == l.symbols {
			return off, min(s.Size/im.symbolSize(), most)
		}
	}
	if at, _, ok := im.At(l.hash); ok && l.hash != 0 {
		if b, err := im.Bytes(at, 8); err == nil {
			return off, min(uint64(im.order.Uint32(b[4:])), most)
		}
	}
	if l.strings > l.symbols {
		most = min(most, (l.strings-l.symbols)/im.symbolSize())
	}
	return off, min(most, im.gnuCount(l))
}

// gnuCount finds the last symbol that the GNU hash table reaches, which is the table's last.
func (im *Image) gnuCount(l Linking) uint64 {
	off, left, ok := im.At(l.gnuHash)
	if !ok || left < 16 {
		return 0
	}
	b, err := im.Bytes(off, min(left, maxPiece))
	if err != nil {
		return 0
	}
	buckets, first, bloom := uint64(im.order.Uint32(b)), uint64(im.order.Uint32(b[4:])), uint64(im.order.Uint32(b[8:]))
	word := uint64(4)
	if im.wide {
		word = 8
	}
	from := 16 + bloom*word
	chains := from + buckets*4
	if chains > uint64(len(b)) {
		return 0
	}
	last := first
	for i := from; i < chains; i += 4 {
		last = max(last, uint64(im.order.Uint32(b[i:])))
	}
	for i := chains + (last-first)*4; last >= first && i+4 <= uint64(len(b)); i += 4 {
		last++
		if im.order.Uint32(b[i:])&1 != 0 {
			break
		}
	}
	return last
}

// BuildID returns the GNU build id in lower-case hex, "" when there is none.
func (im *Image) BuildID() string {
	for _, s := range im.segments {
		if s.kind != typeNote || s.Size > 1<<16 {
			continue
		}
		if b, err := im.Bytes(s.Off, s.Size); err == nil {
			if id := im.gnuNote(b); id != "" {
				return id
			}
		}
	}
	return ""
}

func (im *Image) gnuNote(b []byte) string {
	for len(b) >= 12 {
		name, desc, kind := uint64(im.order.Uint32(b)), uint64(im.order.Uint32(b[4:])), im.order.Uint32(b[8:])
		from := 12 + (name+3)&^3
		to := from + desc
		if to > uint64(len(b)) {
			return ""
		}
		if kind == 3 && name == 4 && string(b[12:16]) == "GNU\x00" && desc > 0 && desc <= 64 {
			return hex.EncodeToString(b[from:to])
		}
		b = b[min(uint64(len(b)), (to+3)&^3):]
	}
	return ""
}
