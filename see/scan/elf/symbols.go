package elf

import (
	"staunch/see/scan/elf/sieve"
)

// presence tells how a symbol occurs in an object.
type presence struct {
	defined, imported bool
	addr, size        uint64
}

// wanted is a set of symbol names to look up, compiled once for all objects.
type wanted struct {
	names []string
	set   *sieve.Set
}

// newWanted compiles names. Names shorter than three letters cannot be looked up and are left out.
func newWanted(names []string) (*wanted, error) {
	w := &wanted{}
	seen := map[string]bool{}
	var patterns []sieve.Pattern
	for _, n := range names {
		if len(n) < 3 || seen[n] {
			continue
		}
		seen[n] = true
		w.names = append(w.names, n)
		patterns = append(patterns, sieve.Pattern{Bytes: append([]byte(n), 0)})
	}
	var err error
	w.set, err = sieve.New(patterns)
	return w, err
}

func (im *image) symbolSize() uint64 {
	if im.wide {
		return 24
	}
	return 16
}

// table is a symbol table with its strings, both as file ranges.
type table struct{ off, count, strings, size uint64 }

func (im *image) tables(l linking) []table {
	var out []table
	if off, count := im.dynamicSymbols(l); count > 0 {
		if at, left, ok := im.at(l.strings); ok {
			out = append(out, table{off, count, at, min(l.size, left)})
		}
	}
	for _, s := range im.sections {
		if s.kind == 2 && int(s.link) < len(im.sections) && s.size <= uint64(im.size) {
			str := im.sections[s.link]
			out = append(out, table{s.off, s.size / im.symbolSize(), str.off, str.size})
			break
		}
	}
	return out
}

// symbols looks the wanted names up in .dynsym and .symtab, in bounded memory whatever the tables' size.
// complete is false when a table could not be read to its end: a name not found may then still be there.
func (im *image) symbols(l linking, w *wanted) (found map[string]presence, complete bool) {
	found, complete = map[string]presence{}, true
	for _, t := range im.tables(l) {
		names := im.nameOffsets(t, w)
		if names == nil || !im.matchSymbols(t, names, found) {
			complete = false
		}
	}
	return found, complete
}

const maxNameHits = 1 << 16

// nameOffsets finds where in the table's strings the wanted names end: linkers share tails, so a name may begin inside another.
func (im *image) nameOffsets(t table, w *wanted) map[uint32]string {
	out := map[uint32]string{}
	buf := make([]byte, min(t.size, 1<<20))
	keep := uint64(w.set.Longest())
	for at := uint64(0); at < t.size; {
		n := min(uint64(len(buf)), t.size-at)
		if err := im.read(buf[:n], t.strings+at); err != nil {
			return nil
		}
		w.set.Scan(buf[:n], func(id, i int) {
			if len(out) < maxNameHits {
				out[uint32(at)+uint32(i)] = w.names[id]
			}
		})
		if n < uint64(len(buf)) || n <= keep || at+n >= t.size {
			break
		}
		at += n - keep
	}
	return out
}

func (im *image) matchSymbols(t table, names map[uint32]string, found map[string]presence) bool {
	if len(names) == 0 {
		return true
	}
	width := im.symbolSize()
	buf := make([]byte, min(t.count, 1<<15)*width)
	for at := uint64(0); at < t.count; {
		n := min(uint64(len(buf))/width, t.count-at)
		if err := im.read(buf[:n*width], t.off+at*width); err != nil {
			return false
		}
		for i := range n {
			im.matchSymbol(buf[i*width:(i+1)*width], names, found)
		}
		at += n
	}
	return true
}

func (im *image) matchSymbol(b []byte, names map[uint32]string, found map[string]presence) {
	name, ok := names[im.order.Uint32(b)]
	if !ok {
		return
	}
	shndx, value, size := im.order.Uint16(b[14:]), im.word(b[4:]), uint64(im.order.Uint32(b[8:]))
	if im.wide {
		shndx, value, size = im.order.Uint16(b[6:]), im.order.Uint64(b[8:]), im.order.Uint64(b[16:])
	}
	p := found[name]
	if shndx == 0 {
		p.imported = true
	} else {
		p.defined, p.addr, p.size = true, value, size
	}
	found[name] = p
}

// read fills b from the file or fails.
func (im *image) read(b []byte, off uint64) error {
	if off > uint64(im.size) || uint64(len(b)) > uint64(im.size)-off {
		return errShort
	}
	if n, err := im.r.ReadAt(b, int64(off)); n < len(b) {
		if err == nil {
			err = errShort
		}
		return err
	}
	return nil
}
